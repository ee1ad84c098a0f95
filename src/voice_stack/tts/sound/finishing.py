"""What an engine made of a clause -> the sound that is sent: trimmed, as loud as every voice, at the right speed.

One gain for a voice, not one for a clause: a sentence that is said softly stays softer than the others. It is held from
the first sentence on, so the same text again is the same sound again. That sentence may be a loud or a soft one: those
of one voice differ by 1.7 LU (standard deviation, Piper), and so may voices afterwards, where engines differ by 10 LU.
Nothing is kept on disk: a voice is measured again when its engine is started again.

An engine puts silence of its own around a clause (Piper some 40 ms before and 150 ms after), another amount each time.
It is cut off, so that the pause between two clauses, from the last sound of one to the first of the next, is the pause
that the text asks for.
"""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from voice_stack.tts.engine.base import Spoken, VoiceOptions
from voice_stack.tts.sound.dynamics import (
    HOP_S,
    MAX_SPEED,
    MIN_SPEED,
    Powers,
    Stretcher,
    integrate,
    limit,
    measure_powers,
)
from voice_stack.utils.audio.pcm import Samples, silence
from voice_stack.utils.audio.word_alignment import WordTime, align_words, cut_words, find_speech, loudest_level
from voice_stack.utils.text import Clause

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
        has_begun: Whether anything but silence has come.
        cut: How many samples were taken off at the beginning; known with the first sound.
    """

    def __init__(self, sample_rate: int, *, is_last: bool) -> None:
        self._sample_rate, self._is_last = sample_rate, is_last
        self._held = np.zeros(0, np.float32)
        self._loudest = 0.0
        self.has_begun = False
        self.cut = 0

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
        start = 0 if self.has_begun else max(speech.start - self._count(LEAD_S), 0)
        ready, self._held = self._held[start:end], self._held[end:]
        if not self.has_begun:
            self.has_begun, self.cut = True, start
            ready = self._fade(ready)
        return ready

    def finish(self) -> Samples:
        """The end of the clause, with a little of its silence; nothing for a clause without any sound."""
        if not self.has_begun:
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


_NEAR_ENOUGH = 0.005
"""Nobody hears half a percent, and a stretched voice is a little rougher."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A clause and how it is to be heard.

    Attributes:
        clause: What is said, and the pause from its last sound to the first of the next, at speed 1.
        options: What is asked of the engine, a part of the speed with it.
        speed: 1 is the voice's own pace.
        is_last: Whether the speech ends with it.
    """

    clause: Clause
    options: VoiceOptions
    speed: float = 1.0
    is_last: bool = False


class Finisher:
    """Finishes one clause, whole or piece by piece as an engine makes it; words have times from its beginning."""

    def __init__(self, delivery: Delivery, levels: VoiceLevels, sample_rate: int) -> None:
        self._delivery, self._sample_rate = delivery, sample_rate
        self._trimmer = ClauseTrimmer(sample_rate, is_last=delivery.is_last)
        self._level = ClauseLevel(levels, delivery.options.voice, sample_rate)
        self._stretcher: Stretcher | None = None
        self._faster = 1.0
        self._raw: list[Samples] = []
        self._has_words = False
        self._unplaced: list[tuple[WordTime, float]] = []

    def push(self, part: Spoken) -> Spoken:
        """Take a stretch of the clause; give what cannot be the silence at its end."""
        before_s = sum(map(len, self._raw)) / self._sample_rate
        self._raw.append(part.samples)
        self._has_words = self._has_words or bool(part.words)
        if self._stretcher is None:
            self._faster = _missing_speed(part, self._delivery)
            self._stretcher = Stretcher(self._sample_rate, self._faster)
        samples = self._stretcher.push(self._level.apply(self._trimmer.push(part.samples)))
        self._unplaced += [(word, before_s) for word in part.words]
        return Spoken(samples, self._place_words() if self._trimmer.has_begun else ())

    def finish(self) -> Spoken:
        """The end of the clause with the pause after it; all words, if the engine gave none."""
        rest = self._level.apply(self._trimmer.finish())
        if self._stretcher is not None:
            rest = np.concatenate([self._stretcher.push(rest), self._stretcher.finish()])
        pause = pause_after(self._delivery.clause.pause_s / self._delivery.speed, self._faster, self._sample_rate)
        return Spoken(np.concatenate([rest, pause]), self._place_words() if self._has_words else self._align())

    def _place_words(self) -> tuple[WordTime, ...]:
        """The words whose times wait for the beginning of the sound to be known."""
        placed = tuple(self._place(word, before_s) for word, before_s in self._unplaced)
        self._unplaced.clear()
        return placed

    def _align(self) -> tuple[WordTime, ...]:
        words = cut_words(self._delivery.clause.text)
        spans = align_words(words, np.concatenate([np.zeros(0, np.float32), *self._raw]), self._sample_rate)
        return tuple(
            self._place(WordTime(word, *span, is_estimated=True), 0.0) for word, span in zip(words, spans, strict=True)
        )

    def _place(self, word: WordTime, before_s: float) -> WordTime:
        """A word's time in the finished clause; `before_s` is the length of what the engine gave before."""
        shift_s = before_s - self._trimmer.cut / self._sample_rate
        start_s, end_s = (max(time_s + shift_s, 0.0) / self._faster for time_s in (word.start_s, word.end_s))
        return replace(word, start_s=start_s, end_s=end_s)


def _missing_speed(part: Spoken, delivery: Delivery) -> float:
    """How much faster the samples must get to be as fast as was asked for."""
    faster = delivery.speed / (part.pace or delivery.options.speed)
    return 1.0 if abs(faster - 1) < _NEAR_ENOUGH else min(max(faster, MIN_SPEED), MAX_SPEED)
