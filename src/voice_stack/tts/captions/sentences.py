"""A sentence and when it is said: what captions are made of."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, cast

from voice_stack.tts.engine.base import WordTime
from voice_stack.tts.request import Sound

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
        return times | ({"words": words} if with_words else {})

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
    words = tuple(WordTime(word["word"], word["start"], word["end"]) for word in fields["words"])
    return TimedSentence(fields["text"], fields["start"], fields["end"], words)


def _place(sound: Sound, start_s: float, end_s: float) -> TimedSentence:
    # A model's last phoneme may last into the silence that was cut off.
    latest_s = math.inf if sound.goes_on else end_s
    words = tuple(
        WordTime(word.text, min(start_s + word.start_s, latest_s), min(start_s + word.end_s, latest_s))
        for word in sound.words
    )
    if not words:
        return TimedSentence(sound.text, start_s, end_s)
    return TimedSentence(sound.text, words[0].start_s, words[-1].end_s, words)
