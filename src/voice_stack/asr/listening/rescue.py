"""Windows that would be lost: the model is stuck in a loop at every temperature, or says that nobody speaks in speech.

Two halves are two other beginnings: mostly one of them is understood, and a loop ends where its half does.
"""

import logging
from collections.abc import Callable

import numpy as np

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.listening.repetition import MAX_COMPRESSION_RATIO
from voice_stack.asr.listening.window_result import after, before, better, is_poor, is_silence
from voice_stack.asr.listening.window_sound import WindowSound
from voice_stack.asr.windows import Window
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

Decode = Callable[[Window, float], WindowResult]
"""Decode a window at a temperature."""

SHORTEST_S = 4.0
"""A window of less is not cut."""
LOST_SPEECH_S = 1.0
"""Speech that the detector must hear: with less, there is little to be lost."""
_SECOND_TEMPERATURE = 0.4
_STEP = SAMPLE_RATE // 50
_QUIET_STEPS = 10


def rescue(window: Window, result: WindowResult, decode: Decode) -> list[tuple[Window, WindowResult]]:
    """The window with its result, or its halves with theirs where those are better."""
    if window.duration_s < SHORTEST_S or not is_lost(window, result):
        return [(window, result)]
    cut = find_cut(window)
    halves = [(half, _decode_half(half, decode)) for half in (before(window, cut), after(window, cut))]
    is_better = any(not is_poor(half) and not is_silence(half) for _, half in halves)
    log_event(
        logger,
        logging.INFO,
        "window decoded again in halves",
        start_s=round(window.start_s, 2),
        end_s=round(window.end_s, 2),
        is_better=is_better,
    )
    return halves if is_better else [(window, result)]


def is_lost(window: Window, result: WindowResult) -> bool:
    """Whether the text repeats itself, or is none, although the voice detector hears speech."""
    is_useless = is_silence(result) or not result.segments or result.compression_ratio > MAX_COMPRESSION_RATIO
    return is_useless and WindowSound(window).speech_s >= LOST_SPEECH_S


def find_cut(window: Window) -> int:
    """The sample in the middle third of the window around which a fifth of a second is quietest."""
    third = window.samples.size // 3 // _STEP
    middle = window.samples[third * _STEP : 2 * third * _STEP].reshape(-1, _STEP)
    energy = np.convolve(np.mean(middle**2, axis=1), np.ones(_QUIET_STEPS), mode="valid")
    return (third + int(energy.argmin()) + _QUIET_STEPS // 2) * _STEP


def _decode_half(half: Window, decode: Decode) -> WindowResult:
    result = decode(half, 0.0)
    return better(result, decode(half, _SECOND_TEMPERATURE)) if is_poor(result) else result
