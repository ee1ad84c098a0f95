"""How clauses follow one another: no clicks, and pauses that last as long as they are meant to.

An engine puts silence of its own around a clause (Piper some 40 ms before and 150 ms after), another amount each time.
It is cut off, so that the pause between two clauses, from the last sound of one to the first of the next, is the pause
that the text asks for.
"""

import numpy as np

from voice_stack.utils.audio.envelope import find_speech, loudest_level
from voice_stack.utils.audio.pcm import Samples, silence

LEAD_S, TAIL_S = 0.02, 0.05
"""What is left of an engine's silence: enough for a breath of an onset, and for a voice to die away."""
LAST_TAIL_S = 0.35
"""Most silence at the very end: players that cut off the end of a sound cut no speech."""
FADE_S = 0.004
"""Ramp at both ends of a clause: short enough to hear nothing of it, long enough to take the click out of a cut."""


class ClauseTrimmer:
    """Takes the silence off both ends of a clause, which may come in pieces, and softens the edges.

    Args:
        sample_rate: In Hz.
        is_last: Whether the speech ends with the clause: then more of its own silence is kept.

    Attributes:
        cut: How many samples were taken off at the beginning; known with the first sound.
    """

    def __init__(self, sample_rate: int, *, is_last: bool) -> None:
        self._sample_rate, self._is_last = sample_rate, is_last
        self._held = np.zeros(0, np.float32)
        self._loudest = 0.0
        self._began = False
        self.cut = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything but silence has come."""
        return self._began

    def push(self, samples: Samples) -> Samples:
        """Take a piece; give what is not the silence at the end, as far as can be told.

        Args:
            samples: 1-D float32 of any length.
        """
        self._held = np.concatenate([self._held, samples])
        self._loudest = max(self._loudest, loudest_level(samples, self._sample_rate))
        speech = find_speech(self._held, self._sample_rate, self._loudest)
        end = min(speech.end, len(self._held) - self._count(FADE_S))
        if end <= 0:
            return self._held[:0]
        start = 0 if self._began else max(speech.start - self._count(LEAD_S), 0)
        ready, self._held = self._held[start:end], self._held[end:]
        if not self._began:
            self._began, self.cut = True, start
            ready = self._fade(ready)
        return ready

    def finish(self) -> Samples:
        """The end of the clause, with a little of its silence; nothing for a clause without any sound."""
        if not self._began:
            speech = find_speech(self._held, self._sample_rate)
            return self._fade(self._fade(self._held[speech.start : speech.end])[::-1])[::-1]
        speech = find_speech(self._held, self._sample_rate, self._loudest)
        end = speech.end + self._count(LAST_TAIL_S if self._is_last else TAIL_S)
        return self._fade(self._held[:end][::-1])[::-1]

    def _fade(self, samples: Samples) -> Samples:
        """Half a cosine at the beginning."""
        length = min(self._count(FADE_S), len(samples))
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))
        return np.concatenate([samples[:length] * ramp.astype(np.float32), samples[length:]])

    def _count(self, duration_s: float) -> int:
        return round(duration_s * self._sample_rate)


def pause_after(pause_s: float, faster: float, sample_rate: int) -> Samples:
    """Silence to add after a clause.

    Args:
        pause_s: From its last sound to the first of the next.
        faster: How much faster the trimmed clauses became, with the silence that was left at their ends.
        sample_rate: In Hz.
    """
    return silence(max(pause_s - (TAIL_S + LEAD_S) / faster, 0.0), sample_rate)
