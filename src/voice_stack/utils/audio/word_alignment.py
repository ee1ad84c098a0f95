"""How loud speech is from moment to moment, and when its words are said.

Where an engine knows how long each phoneme lasts, that tells. Else it is estimated: pauses are left out; what remains
is shared among the words by how much there is to say in each, and every border moves to a quiet moment nearby. The
best shares of all words together are found by dynamic programming.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.pcm import Samples

_LEVEL_S = 0.005
_AUDIBLE_DB = -45.0
"""Against the loudest 5 ms: below the quietest consonants, above the noise of a voice's recordings."""
_SILENT_RMS = 1e-4


@dataclass(frozen=True, slots=True)
class WordTime:
    """A spoken word and when, in seconds from the beginning of the samples it came with; perhaps only about then."""

    text: str
    start_s: float
    end_s: float
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class SampleRange:
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


def find_speech(samples: Samples, sample_rate: int, loudest: float = 0.0) -> SampleRange:
    """Where the sound is, without the silence around it; empty, from 0 to 0, if there is none.

    `loudest` is the loudest level of the clause, if that lies outside these samples.
    """
    frame = _frame(sample_rate)
    levels = measure_levels(samples, frame)
    threshold = max(loudest, levels.max(initial=0.0)) * 10 ** (_AUDIBLE_DB / 20)
    audible = np.flatnonzero(levels > max(threshold, _SILENT_RMS))
    if not len(audible):
        return SampleRange(0, 0)
    return SampleRange(int(audible[0]) * frame, min((int(audible[-1]) + 1) * frame, len(samples)))


def _frame(sample_rate: int) -> int:
    return max(round(_LEVEL_S * sample_rate), 1)


_FRAME_S = 0.01
_PAUSE_FRAMES = 6
_PAUSE_DB = -32.0
"""Against a clause's loud frames: the closure of a stop is as quiet, but shorter than six frames."""
_DIGIT_WEIGHT, _IDEOGRAPH_WEIGHT, _WORD_WEIGHT = 4.0, 3.0, 1.0
"""In letters: a digit is a word, an ideograph a syllable; the constant is what even "a" takes."""
_BORDER_COST = 0.6
"""Of a border in the middle of a loud sound, against a word that is twice too long."""
_PAUSE_REWARD = 1.5
"""For a border at a pause; as much again where the word before it ends with a mark."""
_LONGEST, _LONGEST_FRAMES = 4.0, 20
"""No word is longer than so many times what is expected of it, and so many frames more."""
_MARKS = tuple(",;:.!?…—–،؛。、，；：！？")
_CLOSERS = "\"'”’»›)]"
# Scripts without spaces between words: Han, kana, Thai, Lao, Myanmar, Khmer.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}][^\s{_UNSPACED}\w]*|[^\s{_UNSPACED}]+")


def cut_words(text: str) -> list[str]:
    """The words of a text with the marks that cling to them; a letter each where a script has no spaces.

    Marks that stand alone go with the word before them, at the beginning with the one after. No visible character is
    lost; a text with nothing to pronounce has no words.
    """
    words: list[str] = []
    end = 0
    for found in _WORD.finditer(text):
        if words and not (_is_spoken(found[0]) and _is_spoken(words[-1])):
            words[-1] += text[end : found.start()] + found[0]
        else:
            words.append(found[0])
        end = found.end()
    return [word for word in words if _is_spoken(word)]


def writes_spaces(word: str) -> bool:
    """Whether its script writes a space before it."""
    return re.match(f"[{_UNSPACED}]", word) is None


def align_words(words: Sequence[str], samples: Samples, sample_rate: int) -> list[tuple[float, float]]:
    """Estimate when each word is spoken.

    Args:
        words: In order, as `cut_words` gives them.
        samples: 1-D float32 with these words and nothing else.
        sample_rate: In Hz.

    Returns:
        Start and end of each word in seconds, in order and without overlap.
    """
    if not words:
        return []
    speech = find_speech(samples, sample_rate)
    frame = max(round(_FRAME_S * sample_rate), 1)
    levels = measure_levels(samples[speech.start : speech.end], frame)
    if len(levels) < len(words):
        edges = np.linspace(0, len(samples), len(words) + 1) / sample_rate
        return [(float(start), float(end)) for start, end in pairwise(edges)]
    voiced = np.flatnonzero(~_pauses(levels))
    if len(voiced) < len(words):
        voiced = np.arange(len(levels))
    borders = _place_borders(words, levels[voiced], np.diff(voiced, prepend=voiced[0]) > 1)
    first, last = voiced[borders[:-1]], voiced[borders[1:] - 1] + 1
    starts_s, ends_s = ((frames * frame + speech.start) / sample_rate for frames in (first, last))
    length_s = len(samples) / sample_rate
    return [(float(start), min(float(end), length_s)) for start, end in zip(starts_s, ends_s, strict=True)]


def _is_spoken(word: str) -> bool:
    return any(map(str.isalnum, word))


def _weigh(word: str) -> float:
    """How long a word takes, in letters."""
    return _WORD_WEIGHT + sum(map(_letter_weight, filter(str.isalnum, word)))


def _letter_weight(letter: str) -> float:
    if letter.isdigit():
        return _DIGIT_WEIGHT
    return _IDEOGRAPH_WEIGHT if unicodedata.east_asian_width(letter) == "W" else 1.0


def find_pauses(samples: Samples, sample_rate: int) -> list[tuple[float, float]]:
    """Start and end, in seconds, of each silence that is longer than a consonant's."""
    frame = max(round(_FRAME_S * sample_rate), 1)
    runs = _long_runs(measure_levels(samples, frame)) if len(samples) else []
    return [(start * frame / sample_rate, end * frame / sample_rate) for start, end in runs]


def end_at_pauses(words: Sequence[WordTime], samples: Samples, sample_rate: int) -> tuple[WordTime, ...]:
    """The words without the silence that the length of a last phoneme has in it, before a pause."""
    pauses = find_pauses(samples, sample_rate)
    return tuple(
        replace(word, end_s=next((a for a, b in pauses if word.start_s + _FRAME_S < a < word.end_s <= b), word.end_s))
        for word in words
    )


def _long_runs(levels: NDArray[np.float64]) -> list[tuple[int, int]]:
    quiet = levels < np.quantile(levels, 0.9) * 10 ** (_PAUSE_DB / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]))).tolist()
    return [run for run in zip(edges[::2], edges[1::2], strict=True) if run[1] - run[0] >= _PAUSE_FRAMES]


def _pauses(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames lie in a silence that is longer than a consonant's."""
    pauses: NDArray[np.bool_] = np.zeros(len(levels), np.bool_)
    for start, end in _long_runs(levels):
        pauses[start:end] = True
    return pauses


def _place_borders(
    words: Sequence[str], levels: NDArray[np.float64], after_pause: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """The frames, of those with speech, at which the words begin, and the end of the last: `len(words) + 1` of them.

    There are as many frames as words at least; `after_pause` is whether a pause was left out before a frame.
    """
    count = len(levels)
    weights = np.array([_weigh(word) for word in words])
    expected = weights / weights.sum() * count
    border_costs = _BORDER_COST * np.clip(levels / np.quantile(levels, 0.9), 0, 1)
    best = np.where(np.arange(count + 1) == 0, 0.0, np.inf)
    steps: list[NDArray[np.intp]] = []
    for word, length in zip(words, expected, strict=True):
        best, step = _extend(best, float(length))
        steps.append(step)
        reward = _PAUSE_REWARD * (2 if word.rstrip(_CLOSERS).endswith(_MARKS) else 1)
        best[:-1] += np.where(after_pause, -reward, border_costs)
    borders = [count]
    for step in reversed(steps):
        borders.append(borders[-1] - int(step[borders[-1]]))
    return np.array(borders[::-1], np.intp)


def _extend(best: NDArray[np.float64], expected: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """One more word.

    Args:
        best: Lowest cost of all words so far, if they end before a frame.
        expected: How many frames the word should have; the cost is the square of by how many octaves it differs.

    Returns:
        The same with the word, and the length the word then has.
    """
    longest = math.ceil(_LONGEST * expected) + _LONGEST_FRAMES
    costs = np.log2(np.arange(longest, 0, -1) / expected) ** 2
    before = np.concatenate([np.full(longest, np.inf), best[:-1]])
    totals = np.lib.stride_tricks.sliding_window_view(before, longest) + costs
    shortest = totals.argmin(axis=1)
    return totals[np.arange(len(best)), shortest], longest - shortest


@dataclass(frozen=True, slots=True)
class TimedPhoneme:
    """A phoneme, or a mark or space between phonemes, and for how many samples it lasts."""

    symbol: str
    samples: int

    @property
    def is_spoken(self) -> bool:
        """Whether it is a sound, not a mark or a space."""
        return self.symbol.isalpha()


def time_words(
    words: Sequence[str], pronunciations: Sequence[Sequence[str]], phonemes: Sequence[TimedPhoneme], sample_rate: int
) -> tuple[WordTime, ...]:
    """When each word is spoken.

    Args:
        words: The words of a clause.
        pronunciations: The phonemes of each word spoken alone. In the clause words run together (`of the`) or change
            a little, so the two are matched as texts are compared.
        phonemes: The whole clause, with marks and spaces.
        sample_rate: Of the durations, in Hz.

    Returns:
        The words with their times from the beginning of the clause; none if one of them is nowhere to be found.
    """
    spoken = [[symbol for symbol in symbols if symbol.isalpha()] for symbols in pronunciations]
    clause = [index for index, phoneme in enumerate(phonemes) if phoneme.is_spoken]
    if not clause or not all(spoken):
        return ()
    borders = _match_borders(spoken, [phonemes[index].symbol for index in clause])
    if any(start >= end for start, end in pairwise(borders)):
        return ()
    ends = list(accumulate(phoneme.samples for phoneme in phonemes))
    times = []
    for word, (start, end) in zip(words, pairwise(borders), strict=True):
        first, last = clause[start], clause[end - 1]
        start_s = (ends[first] - phonemes[first].samples) / sample_rate
        times.append(WordTime(word, start_s, ends[last] / sample_rate))
    return tuple(times)


def _match_borders(spoken: Sequence[Sequence[str]], clause: Sequence[str]) -> list[int]:
    """Where each word begins among the phonemes of the clause, and the end of the last."""
    joined = [symbol for word in spoken for symbol in word]
    matcher = SequenceMatcher(None, joined, clause, autojunk=False)
    places = {0: 0, len(joined): len(clause)}
    for a, b, size in matcher.get_matching_blocks():
        places |= {a + offset: b + offset for offset in range(size)}
    places |= {0: 0, len(joined): len(clause)}
    known = sorted(places)
    starts = accumulate((len(word) for word in spoken), initial=0)
    return [_interpolate(start, known, places) for start in starts]


def _interpolate(position: int, known: Sequence[int], places: dict[int, int]) -> int:
    if position in places:
        return places[position]
    before = max(place for place in known if place < position)
    after = min(place for place in known if place > position)
    share = (position - before) / (after - before)
    return round(places[before] + share * (places[after] - places[before]))
