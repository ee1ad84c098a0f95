"""Every voice as loud as every other: one gain for each, found with its first sentence and then held.

One gain for a voice, not one for a clause: a sentence that is said softly stays softer than the others. It is held from
the first sentence on, so the same text again is the same sound again. That sentence may be a loud or a soft one: those
of one voice differ by 1.7 LU (standard deviation, Piper), and so may voices afterwards, where engines differ by 10 LU.
Nothing is kept on disk: a voice is measured again when its engine is started again.
"""

import threading
from collections.abc import Hashable

import numpy as np

from voice_stack.utils.audio.loudness import HOP_S, Powers, integrate, limit, measure_powers
from voice_stack.utils.audio.pcm import Samples

CEILING_DBTP = -1.0
"""Highest true peak, as EBU R 128 has it: lossy codecs overshoot a little."""
REFERENCE_S = 1.5
"""Sound from which a voice's loudness is known; what is said until then counts together."""
MAX_GAIN_DB = 24.0


class VoiceLevels:
    """The gains of the voices of an engine; any number of threads may ask.

    Args:
        target_lufs: Loudness of every voice; None leaves each as its engine makes it.
    """

    def __init__(self, target_lufs: float | None) -> None:
        self._target_lufs = target_lufs
        self._heard: dict[Hashable, Powers] = {}
        self._lock = threading.Lock()

    def clause(self, voice: Hashable, sample_rate: int) -> "ClauseLevel":
        """The level of one clause that a voice speaks."""
        return ClauseLevel(self, voice, sample_rate)

    def knows(self, voice: Hashable) -> bool:
        """Whether a voice's gain will not change any more."""
        with self._lock:
            return self._target_lufs is None or len(self._heard.get(voice, ())) * HOP_S >= REFERENCE_S

    def hear(self, voice: Hashable, samples: Samples, sample_rate: int) -> float:
        """Learn how loud a voice is, until that is known.

        Args:
            voice: Who speaks.
            samples: 1-D float32.
            sample_rate: In Hz.

        Returns:
            The factor that brings the voice to the target.
        """
        if self._target_lufs is None:
            return 1.0
        with self._lock:
            heard = self._heard.get(voice, np.zeros(0))
            if len(heard) * HOP_S < REFERENCE_S:
                heard = np.concatenate([heard, measure_powers(samples, sample_rate)])
                self._heard[voice] = heard
        loudness_lufs = integrate(heard)
        if loudness_lufs is None:
            return 1.0
        return float(10 ** (np.clip(self._target_lufs - loudness_lufs, -MAX_GAIN_DB, MAX_GAIN_DB) / 20))


class ClauseLevel:
    """One gain for all pieces of a clause, found with the first, and peaks below the ceiling."""

    def __init__(self, levels: VoiceLevels, voice: Hashable, sample_rate: int) -> None:
        self._levels, self._voice, self._sample_rate = levels, voice, sample_rate
        self._gain: float | None = None

    def apply(self, samples: Samples) -> Samples:
        """The next piece at its level.

        Args:
            samples: 1-D float32.

        Returns:
            1-D float32 of the same length.
        """
        if not len(samples):
            return samples
        gain = self._levels.hear(self._voice, samples, self._sample_rate)
        self._gain = gain if self._gain is None else self._gain
        return limit((samples * np.float32(self._gain)).astype(np.float32), self._sample_rate, CEILING_DBTP)
