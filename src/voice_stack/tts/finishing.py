"""What an engine made of a clause -> the sound that is sent: trimmed, as loud as every voice, at the right speed."""

from dataclasses import dataclass

import numpy as np

from voice_stack.tts.engine.base import EngineVoice, Spoken, WordTime
from voice_stack.tts.joining import ClauseTrimmer, pause_after
from voice_stack.tts.levels import VoiceLevels
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.stretch import MAX_SPEED, MIN_SPEED, Stretcher
from voice_stack.utils.audio.word_alignment import align_words, cut_words

_NEAR_ENOUGH = 0.005
"""Nobody hears half a percent, and a stretched voice is a little rougher."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a clause is to be heard.

    Attributes:
        text: What is said.
        voice: Who says it.
        speed: 1 is the voice's own pace.
        engine_speed: What of it was asked of the engine.
        pause_s: From its last sound to the first of the next clause, at speed 1.
        is_last: Whether the speech ends with it.
    """

    text: str
    voice: EngineVoice
    speed: float = 1.0
    engine_speed: float = 1.0
    pause_s: float = 0.0
    is_last: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The next samples of a clause, mono float32, and words with times from the beginning of the clause."""

    samples: Samples
    words: tuple[WordTime, ...]


class Finisher:
    """Finishes one clause, whole or piece by piece as an engine makes it.

    Args:
        delivery: How it is to be heard.
        levels: The gains of the engine's voices.
        sample_rate: In Hz.
    """

    def __init__(self, delivery: Delivery, levels: VoiceLevels, sample_rate: int) -> None:
        self._delivery, self._sample_rate = delivery, sample_rate
        self._trimmer = ClauseTrimmer(sample_rate, is_last=delivery.is_last)
        self._level = levels.clause(delivery.voice, sample_rate)
        self._stretcher: Stretcher | None = None
        self._faster = 1.0
        self._raw: list[Samples] = []
        self._has_words = False
        self._unplaced: list[tuple[WordTime, float]] = []

    def push(self, part: Spoken) -> Finished:
        """Take a stretch of the clause; give what cannot be the silence at its end."""
        before_s = sum(map(len, self._raw)) / self._sample_rate
        self._raw.append(part.samples)
        self._has_words = self._has_words or bool(part.words)
        if self._stretcher is None:
            self._faster = _missing_speed(part, self._delivery)
            self._stretcher = Stretcher(self._sample_rate, self._faster)
        samples = self._stretcher.push(self._level.apply(self._trimmer.push(part.samples)))
        self._unplaced += [(word, before_s) for word in part.words]
        return Finished(samples, self._place_words() if self._trimmer.has_begun else ())

    def finish(self) -> Finished:
        """The end of the clause with the pause after it; all words, if the engine gave none."""
        rest = self._level.apply(self._trimmer.finish())
        if self._stretcher is not None:
            rest = np.concatenate([self._stretcher.push(rest), self._stretcher.finish()])
        pause = pause_after(self._delivery.pause_s / self._delivery.speed, self._faster, self._sample_rate)
        return Finished(np.concatenate([rest, pause]), self._place_words() if self._has_words else self._align())

    def _place_words(self) -> tuple[WordTime, ...]:
        """The words whose times wait for the beginning of the sound to be known."""
        placed = tuple(self._place(word, before_s) for word, before_s in self._unplaced)
        self._unplaced.clear()
        return placed

    def _align(self) -> tuple[WordTime, ...]:
        words = cut_words(self._delivery.text)
        spans = align_words(words, np.concatenate([np.zeros(0, np.float32), *self._raw]), self._sample_rate)
        return tuple(self._place(WordTime(word, *span), 0.0) for word, span in zip(words, spans, strict=True))

    def _place(self, word: WordTime, before_s: float) -> WordTime:
        """A word's time in the finished clause; `before_s` is the length of what the engine gave before."""
        shift_s = before_s - self._trimmer.cut / self._sample_rate
        start_s, end_s = (max(time_s + shift_s, 0.0) / self._faster for time_s in (word.start_s, word.end_s))
        return WordTime(word.text, start_s, end_s)


def _missing_speed(part: Spoken, delivery: Delivery) -> float:
    """How much faster the samples must get to be as fast as was asked for."""
    faster = delivery.speed / (part.pace or delivery.engine_speed)
    return 1.0 if abs(faster - 1) < _NEAR_ENOUGH else min(max(faster, MIN_SPEED), MAX_SPEED)
