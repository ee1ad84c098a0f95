"""Words as an attention has them, moved to where they are said."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.asr.engine.words import settle_words
from voice_stack.asr.transcript import Word

RATE = 16_000
NOISE = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * 0.1
PAUSE = np.zeros(RATE // 2, np.float32)


def times(*edges_s: tuple[float, float]) -> list[Word]:
    return [Word("word", start_s, end_s, 0.9) for start_s, end_s in edges_s]


def test_words_end_and_begin_at_the_pause_between_them() -> None:
    window = np.concatenate([PAUSE, NOISE, PAUSE, NOISE, PAUSE])
    first, second = settle_words(times((0.2, 1.2), (1.2, 3.4)), window)
    edges_s = [first.start_s, first.end_s, second.start_s, second.end_s]
    assert edges_s == pytest.approx([0.5, 1.5, 2.0, 3.0], abs=0.02)


@pytest.mark.parametrize("window", [NOISE, NOISE * 0], ids=["no pause", "nothing but pause"])
def test_without_pauses_words_come_a_little_later_in_order_and_inside(window: NDArray[np.float32]) -> None:
    words = settle_words(times((0.0, 0.3), (0.2, 0.2), (0.3, 0.98), (0.98, 1.5)), window)
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] == pytest.approx(0.08)
    assert edges[-1] == 1.0
