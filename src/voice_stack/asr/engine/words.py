"""When each word is said: by the alignment of Whisper libraries, or from timed tokens.

faster-whisper and openai-whisper share the shape of the dictionaries and the marks.
"""

import math
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.request import DecodeOptions
from voice_stack.asr.transcript import Segment, Word
from voice_stack.utils.audio.word_alignment import find_pauses

OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"
WHISPER_LEAD_S = 0.08
"""The attention turns to a word before it is said: against the times that speech was made with, see `benchmarks`."""


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


def read_words(aligned: Sequence[AlignableSegment], window: NDArray[np.float32]) -> list[tuple[Word, ...]]:
    """The words of each segment of a window, where they are said: see `settle_words`.

    A word is what the text writes between two blanks (`$43,000`, `don't`, `3.5%`, `mother-in-law`), in scripts without
    blanks what the library takes for one. A mark that stands alone belongs to a word beside it.
    """
    read = [_join(segment["words"]) for segment in aligned]
    settled = iter(settle_words([word for words in read for word in words], window))
    return [tuple(islice(settled, len(words))) for words in read]


def _join(aligned: Sequence[AlignedWord]) -> list[Word]:
    """The words of a segment, as the text writes them, at the times that the library has."""
    groups, ends_blank = list[_Group](), True
    for word in aligned:
        written, text = word["word"], word["word"].strip()
        if text:
            blank = " " if ends_blank or written[0].isspace() else ""
            part = Word(text, float(word["start"]), float(word["end"]), float(word["probability"]))
            if groups and groups[-1].takes(text, blank):
                groups[-1].add(part, blank)
            else:
                groups.append(_Group(text, [part]))
        ends_blank = bool(written) and written[-1].isspace()
    if len(groups) > 1 and _is_mark(groups[-1].text):
        last = groups.pop()
        groups[-1].text += f" {last.text}"
    return [group.word for group in groups]


_BEFORE_S, _AFTER_S = 0.15, 0.35
"""A border is taken to a pause that ends so long before it, or begins so long after it, at most."""
_FARTHER, _LEAST_PAUSE_S = 0.5, 0.05
"""The farther it is, the longer the pause must be: a stop within a word is silent for a moment, too."""
_LEAST_WORD_S = 0.03


def settle_words(words: Sequence[Word], window: NDArray[np.float32]) -> tuple[Word, ...]:
    """The words of a window as the attention has them, moved to where they are said.

    They come later by `WHISPER_LEAD_S`; a border near a pause is taken apart, so that one word ends where the pause
    begins and the next begins where it ends. All is in order of time and inside the window; libraries keep to neither.
    """
    duration_s, pauses = window.size / SAMPLE_RATE, find_pauses(window, SAMPLE_RATE)
    settled: list[Word] = []
    earliest_s = 0.0
    for word in words:
        start_s, end_s = (min(time_s + WHISPER_LEAD_S, duration_s) for time_s in (word.start_s, word.end_s))
        start_s = max(start_s, earliest_s)
        end_s = max(end_s, start_s)
        last = settled[-1] if settled else None
        pause = _nearest_pause(pauses, last, start_s, end_s)
        if pause is not None:
            if last is not None:
                settled[-1] = replace(last, end_s=pause[0])
            start_s = pause[1]
        settled.append(replace(word, start_s=start_s, end_s=end_s))
        earliest_s = end_s
    if settled and (pause := _nearest_pause(pauses, settled[-1], earliest_s, math.inf)) is not None:
        settled[-1] = replace(settled[-1], end_s=min(pause[0], earliest_s))
    return tuple(settled)


def _nearest_pause(
    pauses: Sequence[tuple[float, float]], last: Word | None, start_s: float, end_s: float
) -> tuple[float, float] | None:
    """The pause between a word and the one that starts and ends then, if there is one."""
    ended_s, earliest_s = (last.end_s, last.start_s + _LEAST_WORD_S) if last else (0.0, -1.0)
    best, least_s = None, _LEAST_PAUSE_S
    for from_s, to_s in pauses:
        is_near = ended_s - _BEFORE_S <= to_s and from_s <= start_s + _AFTER_S
        if is_near and earliest_s <= from_s and to_s <= end_s - _LEAST_WORD_S:
            worth_s = to_s - from_s - _FARTHER * max(0.0, from_s - start_s, ended_s - to_s)
            if worth_s >= least_s:
                best, least_s = (from_s, to_s), worth_s
    return best


_SPOKEN_SIGNS = frozenset("&@#*/+=×÷<>~^|\\")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Thai, Lao, Burmese, Khmer, kana, Han and their marks: scripts that write no blanks between words."""


def _is_mark(text: str) -> bool:
    """Whether nobody says it: marks and currencies, but not `&` or `+`."""
    return not any(char.isalnum() or char in _SPOKEN_SIGNS for char in text)


@dataclass(slots=True)
class _Group:
    """One word: what libraries have in several parts."""

    text: str
    parts: list[Word]

    def takes(self, text: str, blank: str) -> bool:
        """Whether what follows belongs to this word."""
        if _is_mark(self.text):
            return True
        kind = unicodedata.category(text[-1])
        opens = kind in {"Ps", "Pi"} or (kind == "Sc" and not self.text[-1].isdigit())
        if _is_mark(text) and not opens:
            return True
        return not blank and not _UNSPACED.match(self.text[-1]) and not _UNSPACED.match(text[0])

    def add(self, part: Word, blank: str) -> None:
        """Take a further part; marks change no times."""
        self.text += blank + part.text
        self.parts.append(part)

    @property
    def word(self) -> Word:
        """The word, from where its first part begins to where the last ends, as probable as they are on average."""
        said = [part for part in self.parts if not _is_mark(part.text)] or self.parts
        probability = sum(part.probability for part in said) / len(said)
        return Word(self.text, said[0].start_s, said[-1].end_s, probability)


LONGEST_TOKEN_S = 0.32
"""A token of a token-and-duration transducer lasts four frames of 80 ms at most (Xu et al. 2023, arXiv:2304.06795)."""
_SENTENCE_END = (".", "?", "!", "…")


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A piece of a word; a leading space begins a new word.

    Attributes:
        id: Its number in the model's vocabulary.
        text: As written.
        start_s: Where it begins, in seconds from the start of the window.
        logprob: Its log-probability.
    """

    id: int
    text: str
    start_s: float
    logprob: float


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and the tokens it is made of."""

    word: Word
    tokens: tuple[TimedToken, ...]


def join_words(tokens: Sequence[TimedToken], duration_s: float) -> list[SpokenWord]:
    """The words of a window of that length; each ends where the next begins, or soon after its own last token."""
    groups = [group for group in _group(tokens) if _text(group)]
    starts = [min(group[0].start_s, duration_s) for group in groups]
    words = []
    for group, start_s, next_s in zip(groups, starts, (*starts, duration_s)[1:], strict=True):
        end_s = min(max(start_s, group[-1].start_s + LONGEST_TOKEN_S), max(start_s, next_s))
        probability = math.exp(mean_logprob(group))
        words.append(SpokenWord(Word(_text(group), start_s, end_s, probability), tuple(group)))
    return words


def split_sentences(words: Sequence[SpokenWord]) -> Iterator[tuple[SpokenWord, ...]]:
    """The words of each sentence; a sentence ends with a word that ends in its mark."""
    sentence: list[SpokenWord] = []
    for word in words:
        sentence.append(word)
        if word.word.text.endswith(_SENTENCE_END):
            yield tuple(sentence)
            sentence = []
    if sentence:
        yield tuple(sentence)


def mean_logprob(tokens: Sequence[TimedToken]) -> float:
    """Mean log-probability; 0 of no tokens."""
    return sum(token.logprob for token in tokens) / len(tokens) if tokens else 0.0


def _group(tokens: Sequence[TimedToken]) -> Iterator[list[TimedToken]]:
    group: list[TimedToken] = []
    for token in tokens:
        if group and token.text.startswith(" "):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _text(group: Sequence[TimedToken]) -> str:
    return "".join(token.text for token in group).strip()


def window_result(tokens: Sequence[TimedToken], duration_s: float, options: DecodeOptions) -> WindowResult:
    """One segment for each sentence; no model of this kind tells silence from speech, so `no_speech_prob` is 0."""
    words = join_words(tokens, duration_s)
    text = " ".join(word.word.text for word in words)
    ratio = compression_ratio(text)
    return WindowResult(
        segments=tuple(_segment(sentence, ratio, options) for sentence in split_sentences(words)),
        avg_logprob=mean_logprob(tokens),
        compression_ratio=ratio,
        no_speech_prob=0.0,
        is_complete_until_s=duration_s,
    )


def compression_ratio(text: str) -> float:
    """Bytes of a text over its bytes when compressed (Radford et al. 2022, section 4.5); high means repetition."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _segment(words: Sequence[SpokenWord], ratio: float, options: DecodeOptions) -> Segment:
    tokens = [token for word in words for token in word.tokens]
    return Segment(
        text="".join(f" {word.word.text}" for word in words),
        start_s=words[0].word.start_s,
        end_s=words[-1].word.end_s,
        tokens=tuple(token.id for token in tokens),
        temperature=options.temperature,
        avg_logprob=mean_logprob(tokens),
        compression_ratio=ratio,
        no_speech_prob=0.0,
        words=tuple(word.word for word in words) if options.word_timestamps else (),
    )


def token_bytes(text: str) -> bytes:
    """The bytes behind a token as the vocabulary writes it."""
    return bytes(_byte_values()[character] for character in text)


@cache
def _byte_values() -> Mapping[str, int]:
    """The byte behind each character of a byte-level vocabulary (GPT-2's, section 2.2 of Radford et al. 2019).

    Printable bytes of Latin-1 stand for themselves, the others, in order, for the characters from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
