"""A text with readings over parts of it: what is said there instead of what is written."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

Reader = Callable[[re.Match[str]], str | None]
"""What is said for a match; None leaves it as it is written."""


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is read as `spoken`."""

    start: int
    end: int
    spoken: str


def fill(text: str, spans: Sequence[Span], pattern: re.Pattern[str], reader: Reader) -> list[Span]:
    """Add what a pattern finds between the spans that are there, which are in order and do not overlap."""
    filled: list[Span] = []
    for start, end, span in _gaps(text, spans):
        for match in pattern.finditer(text, start, end):
            spoken = reader(match)
            if spoken is not None:
                filled.append(Span(*match.span(), spoken))
        filled += span
    return filled


def _gaps(text: str, spans: Iterable[Span]) -> Iterator[tuple[int, int, list[Span]]]:
    """Start and end of each stretch without a span, and the span behind it."""
    start = 0
    for span in spans:
        yield start, span.start, [span]
        start = span.end
    yield start, len(text), []


@dataclass(frozen=True, slots=True)
class ReadText:
    """A text as it is said, and where each part of it is written.

    Attributes:
        text: What is said.
        pieces: In order, for each piece where it ends in `text`, where it ends in the written text, and whether it
            is the same in both.
    """

    text: str
    pieces: tuple[tuple[int, int, bool], ...]

    def end_of(self, part: str, start: int) -> int:
        """Where a part of the text ends that comes next after `start`, blanks apart."""
        while self.text[start : start + 1].isspace():
            start += 1
        return start + len(part)

    def written_until(self, said: int) -> int:
        """Offset in the written text up to which everything is said at this offset in `text`; readings are whole."""
        index = min(bisect_left(self.pieces, said, key=itemgetter(0)), len(self.pieces) - 1)
        said_end, written_end, is_same = self.pieces[index]
        return written_end - (said_end - said) if is_same else written_end


def read_out(text: str, spans: Iterable[Span], *, is_spaced: bool = True) -> ReadText:
    """Put the readings in, with a blank where a word would run into its neighbour in a language with blanks."""
    parts: list[str] = []
    pieces: list[tuple[int, int, bool]] = []
    said = 0
    for start, end, span in _gaps(text, spans):
        for part, until, is_same in [(text[start:end], end, True), *((s.spoken, s.end, False) for s in span)]:
            glued = is_spaced and part and parts and part[0].isalnum() and parts[-1][-1].isalnum()
            if part:
                parts.append(f" {part}" if glued else part)
                said += len(parts[-1])
            pieces.append((said, until, is_same))
    return ReadText("".join(parts), tuple(pieces))
