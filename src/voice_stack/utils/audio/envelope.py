"""How loud a piece of sound is from moment to moment, and where it is silent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.pcm import Samples

_FRAME_S = 0.005
_AUDIBLE_DB = -45.0
"""Against the loudest 5 ms: below the quietest consonants, above the noise of a voice's recordings."""
_SILENT_RMS = 1e-4


@dataclass(frozen=True, slots=True)
class Span:
    """From sample `start` to before sample `end`."""

    start: int
    end: int


def measure_levels(samples: Samples, frame: int) -> NDArray[np.float64]:
    """Root mean square of each `frame` samples; the last frame is filled up with silence."""
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    levels: NDArray[np.float64] = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    return levels


def loudest_level(samples: Samples, sample_rate: int) -> float:
    """Root mean square of the loudest 5 ms; 0 for no samples."""
    return float(measure_levels(samples, _frame(sample_rate)).max(initial=0.0))


def find_speech(samples: Samples, sample_rate: int, loudest: float = 0.0) -> Span:
    """Where the sound is, without the silence around it; empty, from 0 to 0, if there is none.

    Args:
        samples: 1-D float32.
        sample_rate: In Hz.
        loudest: The loudest level of the clause, if that lies outside these samples.
    """
    frame = _frame(sample_rate)
    levels = measure_levels(samples, frame)
    threshold = max(loudest, levels.max(initial=0.0)) * 10 ** (_AUDIBLE_DB / 20)
    audible = np.flatnonzero(levels > max(threshold, _SILENT_RMS))
    if not len(audible):
        return Span(0, 0)
    return Span(int(audible[0]) * frame, min((int(audible[-1]) + 1) * frame, len(samples)))


def _frame(sample_rate: int) -> int:
    return max(round(_FRAME_S * sample_rate), 1)
