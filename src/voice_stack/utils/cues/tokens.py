"""A segment -> the smallest pieces of text that subtitles are made of, each with the time it is said."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from voice_stack.utils.cues.text import (
    blank_sound_labels,
    display_width,
    is_ideographic,
    is_unspaced,
    make_visible,
    split_run,
)
from voice_stack.utils.cues.timed import TimedText, TimedWord
from voice_stack.utils.text import sentence_ends

_LATEST_S = 1e7
_CLAUSE_ENDS = tuple(",;:،؛、，；：—–")
_WORD_SEARCH_CHARS = 40
_BASE_WORD_MS, _COLUMN_MS, _DIGIT_MS = 500, 150, 450


class Mark(IntEnum):
    """What ends with a token."""

    NOTHING = 0
    CLAUSE = 1
    SENTENCE = 2


@dataclass(frozen=True, slots=True)
class Token:
    """Text that no line parts.

    Attributes:
        text: Mostly one word; several, with spaces, where they belong together.
        width: Its columns.
        words: How many words it counts as; a wide character is half a word.
        is_spaced: Whether a space stands before it.
        is_first: Whether a segment begins with it.
        mark: What ends with it.
        start_ms: When it begins to be said, never before the token before it ends; `end_ms` is when it has been said.
    """

    text: str
    width: int
    words: float
    is_spaced: bool
    is_first: bool
    mark: Mark
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Text from offset `begin` to `end`, said from `start_ms` to `end_ms`."""

    begin: int
    end: int
    start_ms: int
    end_ms: int

    def time_ms(self, offset: int) -> int:
        """When the text at an offset is said, by its share of the characters."""
        share = (min(max(offset, self.begin), self.end) - self.begin) / (self.end - self.begin)
        return round(self.start_ms + share * (self.end_ms - self.start_ms))


def cut_tokens(segment: TimedText, *, with_words: bool, sdh: bool, limit: int, clock_ms: int) -> list[Token]:
    """Part a segment where a line may end.

    Args:
        segment: Any text and any times, out of order and infinite ones included.
        with_words: Time goes by the segment's words, if it has any; else by characters.
        sdh: Keep sound labels.
        limit: Most columns of a token.
        clock_ms: When the tokens so far have been said; no time is earlier.

    Returns:
        The tokens in order, their times rising.
    """
    spoken = make_visible(segment.text)
    text = spoken if sdh else blank_sound_labels(spoken)
    words = _locate(segment.words, spoken, clock_ms) if with_words else []
    starts = frozenset(word.begin for word in words)
    parts = [
        part for run in re.finditer(r"\S+", text) for part in split_run(text, run.start(), run.end(), starts, limit)
    ]
    spans = words or _by_characters(segment, text, clock_ms)
    return _assemble(text, [part for part in parts if display_width(text[slice(*part)])], spans, clock_ms)


def whole_ms(time_s: float, otherwise_ms: int) -> int:
    """A time in whole milliseconds, at least `otherwise_ms`, which also stands for infinity and NaN."""
    if not math.isfinite(time_s):
        return otherwise_ms
    return max(round(min(max(time_s, 0.0), _LATEST_S) * 1000), otherwise_ms)


def _by_characters(segment: TimedText, text: str, clock_ms: int) -> list[_Span]:
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    start_ms = whole_ms(segment.start_s, clock_ms)
    return [_Span(begin, end, start_ms, whole_ms(segment.end_s, start_ms))] if begin < end else []


def _locate(words: Sequence[TimedWord], text: str, clock_ms: int) -> list[_Span]:
    """Where each word stands in the text; one that stands nowhere near is left out."""
    spans, position = list[_Span](), 0
    for word in words:
        wanted = make_visible(word.text).strip()
        begin = text.find(wanted, position, position + len(wanted) + _WORD_SEARCH_CHARS) if wanted else -1
        if begin < 0:
            continue
        position = begin + len(wanted)
        start_ms = whole_ms(word.start_s, clock_ms)
        start_ms, clock_ms = _plausible(
            wanted, start_ms, whole_ms(word.end_s, start_ms), begins=not spans and len(words) > 1
        )
        spans.append(_Span(begin, position, start_ms, clock_ms))
    return spans


def _plausible(word: str, start_ms: int, end_ms: int, *, begins: bool) -> tuple[int, int]:
    """Shorten a word that is stretched over silence: before it where a segment begins with it, else after it.

    The limit is generous, several times the 60 to 80 ms that a letter takes in running speech.
    """
    longest_ms = _BASE_WORD_MS + _COLUMN_MS * display_width(word) + _DIGIT_MS * sum(map(str.isdigit, word))
    return (max(start_ms, end_ms - longest_ms), end_ms) if begins else (start_ms, min(end_ms, start_ms + longest_ms))


def _assemble(text: str, parts: Sequence[tuple[int, int]], spans: Sequence[_Span], clock_ms: int) -> list[Token]:
    sentences, at, stop = sentence_ends(text), 0, 0
    tokens = list[Token]()
    for begin, end in parts:
        while at < len(spans) and spans[at].end <= begin:
            at += 1
        start_ms, clock_ms = _said(spans, at, begin, end, clock_ms)
        shown = text[begin:end]
        while stop < len(sentences) and sentences[stop] <= begin:
            stop += 1
        mark = Mark.SENTENCE if stop < len(sentences) and sentences[stop] <= end else _clause(shown)
        width = display_width(shown)
        words = width / 4 if is_ideographic(shown[-1]) or is_unspaced(shown[-1]) else 1.0
        tokens.append(Token(shown, width, words, text[max(begin - 1, 0)] == " ", not tokens, mark, start_ms, clock_ms))
    return tokens


def _clause(shown: str) -> Mark:
    return Mark.CLAUSE if shown.rstrip("\"'”’»)]").endswith(_CLAUSE_ENDS) else Mark.NOTHING


def _said(spans: Sequence[_Span], at: int, begin: int, end: int, clock_ms: int) -> tuple[int, int]:
    """From when to when the text from `begin` to `end` is said; `at` is the first span that ends after `begin`."""
    if at == len(spans) or spans[at].begin >= end:
        return clock_ms, clock_ms
    start_ms = max(spans[at].time_ms(begin), clock_ms)
    while at + 1 < len(spans) and spans[at + 1].begin < end:
        at += 1
    return start_ms, max(spans[at].time_ms(end), start_ms)
