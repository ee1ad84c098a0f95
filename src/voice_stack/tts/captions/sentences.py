"""When each sentence and word of a speech is said."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import Literal, NotRequired, TypedDict, cast

from voice_stack.tts.request import Sound
from voice_stack.utils.audio.word_alignment import WordTime, cut_words


def respell(words: Sequence[WordTime], written: str) -> tuple[WordTime, ...]:
    """Give the times of spoken words to the words that were written.

    Words that are spelled the same have the same times. Between them, what was written shares the time of what is
    spoken there, by length; what is not spoken has no time and is left out.

    Args:
        words: A clause's, in order.
        written: The same clause as the client wrote it.

    Returns:
        The written words in order with their marks; the spoken ones if nothing was written.
    """
    own = cut_words(written)
    if not own or [word.text for word in words] == own:
        return tuple(words)
    matcher = SequenceMatcher(None, [_key(text) for text in own], [_key(word.text) for word in words], autojunk=False)
    times: list[WordTime] = []
    own_at = spoken_at = 0
    for own_start, spoken_start, size in matcher.get_matching_blocks():
        times += _share(own[own_at:own_start], words[spoken_at:spoken_start])
        own_at, spoken_at = own_start + size, spoken_start + size
        pairs = zip(own[own_start:own_at], words[spoken_start:spoken_at], strict=True)
        times += [replace(word, text=text) for text, word in pairs]
    return tuple(times)


def _key(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _share(own: Sequence[str], words: Sequence[WordTime]) -> Iterator[WordTime]:
    """The time of spoken words, shared among what was written in their place."""
    if not own or not words:
        return
    start_s, end_s = words[0].start_s, words[-1].end_s
    lengths = [len(text) for text in own]
    shares = [total / sum(lengths) for total in accumulate(lengths, initial=0)]
    edges_s = [start_s + share * (end_s - start_s) for share in shares]
    for text, (word_start_s, word_end_s) in zip(own, pairwise(edges_s), strict=True):
        yield WordTime(text, word_start_s, word_end_s, words[0].is_estimated)


Granularity = Literal["word", "sentence"]
"""What captions give the times of."""


class WordFields(TypedDict):
    """A word in JSON; times are in seconds from the beginning of the speech."""

    word: str
    start: float
    end: float


class SentenceFields(TypedDict):
    """A sentence in JSON."""

    text: str
    start: float
    end: float
    words: list[WordFields]
    estimated: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class TimedSentence:
    """What is spoken as one: a sentence, or a clause of a long one.

    Attributes:
        text: As the client wrote it.
        start_s: When it begins to be said, in seconds from the beginning of the speech; `end_s` is when it has been.
        words: Those whose times are known, in order.
    """

    text: str
    start_s: float
    end_s: float
    words: tuple[WordTime, ...] = ()

    def describe(self, *, with_words: bool) -> dict[str, object]:
        """As a JSON object."""
        words = [{"word": w.text, "start": round(w.start_s, 3), "end": round(w.end_s, 3)} for w in self.words]
        times: dict[str, object] = {"text": self.text, "start": round(self.start_s, 3), "end": round(self.end_s, 3)}
        estimated = {"estimated": True} if any(word.is_estimated for word in self.words) else {}
        return times | ({"words": words, **estimated} if with_words else {})

    def with_space(self) -> "TimedSentence":
        """The same with the space before its text that its script writes, if it writes one."""
        is_spaced = unicodedata.east_asian_width(self.text[:1] or " ") != "W"
        return replace(self, text=f" {self.text}") if is_spaced else self


def describe_sound(sound: Sound, start_s: float) -> dict[str, object]:
    """What is noted of a sound.

    Args:
        sound: With the text of a sentence, or without one if that comes with another of its sounds.
        start_s: Where it begins in the speech, in seconds.

    Returns:
        A JSON object: `sentence` if it has one, `until` where the sound ends, `is_last`.
    """
    end_s = start_s + sound.samples.size / sound.sample_rate
    note: dict[str, object] = {"until": round(end_s, 3), "is_last": sound.is_last}
    return note | ({"sentence": _place(sound, start_s, end_s).describe(with_words=True)} if sound.text else {})


def find_sentence(note: Mapping[str, object] | None) -> TimedSentence | None:
    """The sentence that `describe_sound` noted; None if the note is of something else."""
    if note is None or "sentence" not in note:
        return None
    fields = cast("SentenceFields", note["sentence"])
    is_estimated = fields.get("estimated", False)
    words = tuple(WordTime(word["word"], word["start"], word["end"], is_estimated) for word in fields["words"])
    return TimedSentence(fields["text"], fields["start"], fields["end"], words)


def _place(sound: Sound, start_s: float, end_s: float) -> TimedSentence:
    # A model's last phoneme may last into the silence that was cut off.
    latest_s = math.inf if sound.goes_on else end_s
    words = tuple(
        replace(word, start_s=min(start_s + word.start_s, latest_s), end_s=min(start_s + word.end_s, latest_s))
        for word in sound.words
    )
    if not words:
        return TimedSentence(sound.text, start_s, end_s)
    return TimedSentence(sound.text, words[0].start_s, words[-1].end_s, words)
