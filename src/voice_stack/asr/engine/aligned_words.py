"""From segments to the dictionaries that Whisper libraries fill with words, and from these to words.

faster-whisper and openai-whisper share the shape of the dictionaries and the marks.
"""

from collections.abc import Sequence
from typing import TypedDict

from voice_stack.asr.transcript import Segment, Word

OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"


class AlignedWord(TypedDict):
    """A word as a library times it; in seconds."""

    word: str
    start: float
    end: float
    probability: float


class AlignableSegment(TypedDict):
    """What a library's alignment takes for a segment; it fills in the words."""

    seek: int
    start: float
    end: float
    tokens: list[int]
    words: list[AlignedWord]


def alignable_segments(segments: Sequence[Segment]) -> list[AlignableSegment]:
    """The segments of one window, still without words; times in seconds from its start."""
    return [
        {"seek": 0, "start": segment.start_s, "end": segment.end_s, "tokens": list(segment.tokens), "words": []}
        for segment in segments
    ]


def read_words(aligned: Sequence[AlignableSegment], duration_s: float) -> list[tuple[Word, ...]]:
    """The words of each segment, in order of time and inside the window; libraries keep to neither.

    Args:
        aligned: Segments of one window with their words.
        duration_s: Length of the window; no word ends later.
    """
    words, earliest_s = list[tuple[Word, ...]](), 0.0
    for segment in aligned:
        clamped = []
        for word in segment["words"]:
            start_s = min(max(float(word["start"]), earliest_s), duration_s)
            earliest_s = min(max(float(word["end"]), start_s), duration_s)
            clamped.append(Word(word["word"].strip(), start_s, earliest_s, float(word["probability"])))
        words.append(tuple(word for word in clamped if word.text))
    return words
