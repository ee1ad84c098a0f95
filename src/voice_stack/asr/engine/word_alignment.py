"""When each word of a Whisper text is said, by the library's alignment."""

from collections.abc import Sequence
from typing import TypedDict

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from voice_stack.asr.transcript import Segment, Word

_OPENING_MARKS = "\"'“¿([{-"
_CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"


class _AlignedWord(TypedDict):
    word: str
    start: float
    end: float
    probability: float


class _Alignable(TypedDict):
    """What the library's alignment takes for a segment; it fills in the words."""

    seek: int
    start: float
    end: float
    tokens: list[int]
    words: list[_AlignedWord]


def align_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    segments: Sequence[Segment],
    encoded: ctranslate2.StorageView,
    duration_s: float,
) -> list[tuple[Word, ...]]:
    """The words of each segment of one window.

    Args:
        model: The loaded model.
        tokenizer: For the language of the text.
        segments: As decoded, in window time.
        encoded: The encoder's output for this window alone.
        duration_s: Length of the window; no word ends later.
    """
    found: list[_Alignable] = [
        {"seek": 0, "start": segment.start_s, "end": segment.end_s, "tokens": list(segment.tokens), "words": []}
        for segment in segments
    ]
    frames = max(int(duration_s * model.frames_per_second), model.input_stride)
    model.add_word_timestamps([found], tokenizer, encoded, frames, _OPENING_MARKS, _CLOSING_MARKS, 0.0)
    words, earliest_s = list[tuple[Word, ...]](), 0.0
    for segment in found:
        clamped = []
        for word in segment["words"]:
            start_s = min(max(float(word["start"]), earliest_s), duration_s)
            earliest_s = min(max(float(word["end"]), start_s), duration_s)
            clamped.append(Word(word["word"].strip(), start_s, earliest_s, float(word["probability"])))
        words.append(tuple(word for word in clamped if word.text))
    return words
