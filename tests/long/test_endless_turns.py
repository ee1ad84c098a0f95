"""Turns that nobody ends take no more memory than short ones."""

import tracemalloc

import numpy as np
import pytest

from asr.listening.test_turn_windows import silence
from voice_stack.asr.listening.turn_windows import TurnCutter, TurnWindow
from voice_stack.asr.live.turns import TurnRules
from voice_stack.utils.audio.vad import SAMPLE_RATE


@pytest.mark.parametrize(("kind", "probability"), [("silence", 0.0), ("none", 0.0), ("none", 0.9), ("semantic", 0.9)])
def test_half_an_hour_without_a_commit_takes_no_more_memory_than_a_few_windows(kind: str, probability: float) -> None:
    cutter, block = TurnCutter(TurnRules(kind=kind)), silence(8)  # type: ignore[arg-type]
    tracemalloc.start()
    windows = 0
    for _ in range(30 * 60 // 8):
        events = cutter.push(block.copy(), np.full(250, probability, np.float32))
        windows += sum(isinstance(event, TurnWindow) for event in events)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 28 * SAMPLE_RATE * 4
    assert (windows > 60) == (probability > 0.5)
