"""When each word of a clause is spoken, for engines that know how long each phoneme lasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from voice_stack.tts.engine.base import WordTime


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
