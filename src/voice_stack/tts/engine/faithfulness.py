"""Is a clause as long as its text says? Models that sample their speech invent some at times, and swallow some.

A clause whose length is far off the one predicted from its text is spoken again with another seed, a few times at
most; the take whose length fits best is kept, and what babbles on behind the predicted end is cut off at the quietest
place. That needs the whole clause before anything of it is sent. Later clauses of a speech are ready before they are
due, so they are checked like this. The first one is awaited and sent while it is made: of it only the end can be
corrected, by a `StreamGuard`. Silence at the end is no concern of this: all clauses are trimmed where they are joined.
"""

import logging
import math
import re
import unicodedata
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from voice_stack.core.logging import log_event
from voice_stack.utils.audio.pcm import Samples, fade_edges
from voice_stack.utils.audio.word_alignment import find_speech, loudest_level, measure_levels

# Sounds per letter. Alphabets: phonemes that espeak-ng 1.52 counts in the first article of the Universal Declaration of
# Human Rights, divided by its letters; 1 where it lies between 0.95 and 1.05. Arabic: with the vowels nobody writes.
_PER_LETTER = {"en": 0.85, "fr": 0.7, "de": 0.9, "hu": 0.95, "nl": 0.95, "ar": 1.4, "hi": 1.55}
_PER_DIGIT = 4.0  # "seven"
# What one character stands for in scripts of syllables: consonant, vowel and often one sound more.
_SCRIPTS = (
    ("\u1100", "\u11ff", 1.0),  # single Korean letters
    ("\u3040", "\u30ff", 2.0),  # kana
    ("\u3400", "\u9fff", 3.0),  # Chinese characters
    ("\uac00", "\ud7a3", 2.4),  # Korean syllables
    ("\uf900", "\ufaff", 3.0),
)
_JAPANESE_KANJI = 3.6  # most are read with two morae
_PAUSES = re.compile(r"[,;:.!?…،؛]+\s|\s[–—-]\s|[、，；：。！？—]+")


def count_sounds(text: str, language: str) -> float:
    """Phonemes in a text, about.

    Args:
        text: As it is written; digits count as the words they stand for.
        language: Its code; an unknown one counts as one that is spelled as it is spoken.

    Returns:
        0.0 for a text with nothing to pronounce.
    """
    per_letter = _PER_LETTER.get(language, 1.0)
    return sum(_sounds(character, language, per_letter) for character in unicodedata.normalize("NFC", text))


def _sounds(character: str, language: str, per_letter: float) -> float:
    if character.isdecimal():
        return _PER_DIGIT
    if not character.isalpha():
        return 0.0
    for first, last, sounds in _SCRIPTS:
        if first <= character <= last:
            return _JAPANESE_KANJI if language == "ja" and sounds == 3.0 else sounds
    return per_letter


def count_pauses(text: str) -> int:
    """Marks inside a text at which a speaker pauses; that at the end is none."""
    return len(_PAUSES.findall(text.rstrip(" \n\"'»”’)]」』.,;:!?…،؛、，；：。！？—")))


USUAL_PACE = 12.0
"""Sounds per second of a voice that was not heard yet. Recordings of readers had 8 to 15, Piper's voices 12 to 16."""
PAUSE_S = 0.2
"""Length of the pause at a comma inside a clause."""
PACE_RANGE = (0.6, 1.6)
"""How far from the usual pace a learned one may get: a model that always babbles must not become the measure."""
_PRIOR_SOUNDS = 120.0
_MEMORY_SOUNDS = 2000.0
_MAX_PACES = 256
_WIDE, _NARROW, _NARROWING_SOUNDS = 2.2, 1.6, 300.0
_MARGIN_S = 0.5
_LEAST_S = 0.02


@dataclass(frozen=True, slots=True)
class Expectation:
    """The predicted length of a clause.

    Attributes:
        expected_s: The most likely length, in seconds.
        shortest_s: Below this, some of the text was swallowed.
        longest_s: Above this, something was invented.
    """

    expected_s: float
    shortest_s: float
    longest_s: float

    def fits(self, spoken_s: float) -> bool:
        """Whether a clause of this length can be the text."""
        return self.shortest_s <= spoken_s <= self.longest_s

    def misfit(self, spoken_s: float) -> float:
        """How far off a length is: 0 for the expected one, the same for twice and for half of it."""
        return abs(math.log(max(spoken_s, _LEAST_S) / self.expected_s))


@dataclass(slots=True)
class _Heard:
    sounds: float = 0.0
    spoken_s: float = 0.0


class Paces:
    """The pace of each voice as far as it was heard, in sounds per second; for the 256 voices used last."""

    def __init__(self) -> None:
        self._heard = lru_cache(_MAX_PACES)(lambda _voice: _Heard())

    def expect(self, voice: Hashable, text: str, language: str, speed: float = 1.0) -> Expectation:
        """Predict the length of a clause.

        Args:
            voice: Whatever tells voices apart.
            text: What is said.
            language: Its code.
            speed: 2 halves the length.
        """
        sounds = count_sounds(text, language)
        expected_s = (sounds / self.pace(voice) + PAUSE_S * count_pauses(text)) / speed
        heard = self._heard(voice).sounds
        spread = _NARROW + (_WIDE - _NARROW) / (1.0 + heard / _NARROWING_SOUNDS)
        margin_s = _MARGIN_S / speed
        return Expectation(
            max(expected_s, _LEAST_S), max(0.0, expected_s / spread - margin_s / 2), expected_s * spread + margin_s
        )

    def learn(self, voice: Hashable, text: str, language: str, spoken_s: float, speed: float = 1.0) -> None:
        """Take note of a clause that was spoken as it should be.

        Args:
            voice: As for `expect`.
            text: What was said.
            language: Its code.
            spoken_s: Its length without silence around it.
            speed: At which it was spoken.
        """
        heard = self._heard(voice)
        kept = min(1.0, _MEMORY_SOUNDS / max(heard.sounds, 1.0))
        heard.sounds = heard.sounds * kept + count_sounds(text, language)
        heard.spoken_s = heard.spoken_s * kept + max(spoken_s * speed - PAUSE_S * count_pauses(text), _LEAST_S)

    def pace(self, voice: Hashable) -> float:
        """Sounds per second; what was heard counts more the more it is."""
        heard = self._heard(voice)
        pace = (_PRIOR_SOUNDS + heard.sounds) / (_PRIOR_SOUNDS / USUAL_PACE + heard.spoken_s)
        return min(max(pace, PACE_RANGE[0] * USUAL_PACE), PACE_RANGE[1] * USUAL_PACE)


logger = logging.getLogger(__name__)

FRAME_S = 0.02
CUT_FADE_S = 0.03
BABBLED = "clause does not fit its text: what was too much is cut"
SWALLOWED = "clause does not fit its text: some of it may be missing"


def cut_babble(samples: Samples, sample_rate: int, *, earliest_s: float, latest_s: float) -> Samples:
    """Cut at the quietest 20 ms between two times; the end fades.

    Args:
        samples: 1-D float32, no shorter than `earliest_s`.
        sample_rate: In Hz.
        earliest_s: Before that nothing is cut; below 0 counts as 0.
        latest_s: Behind that nothing is kept.
    """
    earliest, latest = (max(0, int(limit_s * sample_rate)) for limit_s in (earliest_s, latest_s))
    frame = max(1, int(FRAME_S * sample_rate))
    levels = measure_levels(samples[earliest:latest], frame)
    end = earliest + int(np.argmin(levels)) * frame + frame // 2 if levels.size else latest
    return fade_edges(samples[: min(end, latest)], sample_rate, CUT_FADE_S, start=False)


def end_faithfully(samples: Samples, sample_rate: int, expectation: Expectation) -> Samples:
    """A clause without what was invented behind its predicted end; as it is if it is not too long."""
    if find_speech(samples, sample_rate).end <= expectation.longest_s * sample_rate:
        return samples
    return cut_babble(samples, sample_rate, earliest_s=expectation.expected_s, latest_s=expectation.longest_s)


def best_take(
    speak: Callable[[int], Samples], sample_rate: int, expectation: Expectation, max_retries: int
) -> tuple[Samples, bool]:
    """Speak a clause until its length fits the text, and keep the take that fits best; what was done is logged.

    Args:
        speak: Gives take 0, 1, 2 and so on: 1-D float32, another one for each number.
        sample_rate: In Hz.
        expectation: The predicted length.
        max_retries: Most takes after the first.

    Returns:
        The take, without what is too much, and whether its length fitted before anything was cut.
    """
    takes: list[tuple[float, Samples]] = []
    for number in range(max_retries + 1):
        samples = speak(number)
        spoken_s = find_speech(samples, sample_rate).end / sample_rate
        if expectation.fits(spoken_s):
            if number:
                report("clause spoken again: its length fits now", logging.INFO, expectation, spoken_s, retries=number)
            return samples, True
        takes.append((spoken_s, samples))
    spoken_s, samples = min(takes, key=lambda take: expectation.misfit(take[0]))
    best = end_faithfully(samples, sample_rate, expectation)
    what = BABBLED if spoken_s > expectation.longest_s else SWALLOWED
    kept_s = round(best.size / sample_rate, 2)
    report(what, logging.WARNING, expectation, spoken_s, retries=max_retries, kept_s=kept_s)
    return best, False


def report(what: str, level: int, expectation: Expectation, spoken_s: float, **fields: object) -> None:
    """Log what was found and done of a clause, never its words."""
    expected_s = round(expectation.expected_s, 2)
    log_event(logger, level, what, expected_s=expected_s, spoken_s=round(spoken_s, 2), **fields)


class StreamGuard:
    """Holds silence back until it is known to belong to the clause.

    What was sent cannot be taken back, so only the end can be corrected: a clause that gets longer than its text can be
    is cut at the quietest place that is not out yet, which is the pause before what was invented if there is one. That
    a clause ended too early can only be logged.
    """

    def __init__(self, sample_rate: int, expectation: Expectation) -> None:
        self._rate, self._expectation = sample_rate, expectation
        self._held: Samples = np.zeros(0, np.float32)
        self._loudest = 0.0
        self._sent = 0
        self.is_cut = False

    @property
    def spoken_s(self) -> float:
        """Length of the clause so far, without silence at its end."""
        return (self._sent + self._speech_end) / self._rate

    def push(self, samples: Samples) -> Samples:
        """Take a piece; give what can be sent, which may be nothing. Once `is_cut`, that was the last."""
        self._held = np.concatenate([self._held, samples])
        self._loudest = max(self._loudest, loudest_level(samples, self._rate))
        return self._cut() if self.spoken_s > self._expectation.longest_s else self._release(self._speech_end)

    def finish(self) -> tuple[Samples, bool]:
        """The rest of a clause that ended by itself, and whether its length fits."""
        fits = self._expectation.fits(self.spoken_s)
        if not fits:
            report(SWALLOWED, logging.WARNING, self._expectation, self.spoken_s)
        return self._release(self._held.size), fits

    @property
    def _speech_end(self) -> int:
        return find_speech(self._held, self._rate, self._loudest).end

    def _release(self, count: int) -> Samples:
        ready, self._held = self._held[:count], self._held[count:]
        self._sent += count
        return ready

    def _cut(self) -> Samples:
        made_s, sent_s = self.spoken_s, self._sent / self._rate
        earliest_s, latest_s = (limit - sent_s for limit in (self._expectation.expected_s, self._expectation.longest_s))
        end = cut_babble(self._held, self._rate, earliest_s=earliest_s, latest_s=latest_s)
        self.is_cut = True
        kept_s = round(sent_s + end.size / self._rate, 2)
        report(BABBLED, logging.WARNING, self._expectation, made_s, kept_s=kept_s)
        return end
