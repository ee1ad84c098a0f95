"""Parts of a text that are read otherwise than they are written; the table of pronunciations.

The table is a CSV file in UTF-8 with the head `written,spoken,language,case`; the last two columns may be left out or
empty. Lines that begin with `#` are comments. `language` is a code or name, empty for all; `case` is `exact` or `any`,
and empty means `exact` for words in capitals (`IT` is not `it`) and `any` for all others.
"""

import csv
import io
import logging
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.logging import log_event
from voice_stack.utils.language import find_code, find_language
from voice_stack.utils.text.script import PLAIN_CHARACTERS

MatchReader = Callable[[re.Match[str]], str | None]
"""What is said for a match; None leaves it as it is written."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`text[start:end]` is read as `spoken`."""

    start: int
    end: int
    spoken: str


def fill(text: str, spans: Sequence[Reading], pattern: re.Pattern[str], reader: MatchReader) -> list[Reading]:
    """Add what a pattern finds between the spans that are there, which are in order and do not overlap."""
    filled: list[Reading] = []
    for start, end, span in _gaps(text, spans):
        for match in pattern.finditer(text, start, end):
            spoken = reader(match)
            if spoken is not None:
                filled.append(Reading(*match.span(), spoken))
        filled += span
    return filled


def _gaps(text: str, spans: Iterable[Reading]) -> Iterator[tuple[int, int, list[Reading]]]:
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


def read_out(text: str, spans: Iterable[Reading], *, is_spaced: bool = True) -> ReadText:
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


logger = logging.getLogger(__name__)

COLUMNS = ("written", "spoken", "language", "case")
_CASES = ("", "any", "exact")
# An ideograph or kana is a token of its own: no blanks part the words of these scripts.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
_WORD_CHARACTER = re.compile(rf"[^\W{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class PronunciationRule:
    """One line of the table.

    Attributes:
        written: A word, or several, as they stand in normalised text.
        spoken: What is said instead; empty: nothing.
        language: Code of the language of the texts it is for; empty: all.
        is_exact: Whether capitals matter.
    """

    written: str
    spoken: str
    language: str = ""
    is_exact: bool = False

    def matches(self, text: str, start: int, language: str) -> bool:
        """Whether the words stand at this place, whole, in a text of this language."""
        end = start + len(self.written)
        there = text[start:end]
        if self.language not in ("", language) or not (there == self.written or not self.is_exact):
            return False
        is_whole = not (_WORD_CHARACTER.match(self.written[-1]) and _WORD_CHARACTER.match(text, end))
        return is_whole and there.casefold() == self.written.casefold()


class Pronunciations:
    """A table of rules; longer ones go first, then those for one language, then those that mind the case."""

    def __init__(self, rules: Iterable[PronunciationRule] = ()) -> None:
        self.rules = tuple(rules)
        by_token: dict[str, list[PronunciationRule]] = {}
        for rule in sorted(
            self.rules, key=lambda rule: (len(rule.written), rule.language, rule.is_exact), reverse=True
        ):
            by_token.setdefault(_first_token(rule.written), []).append(rule)
        self._by_token: Mapping[str, list[PronunciationRule]] = by_token

    def find(self, text: str, language: str) -> list[Reading]:
        """Find the words that have a rule.

        Args:
            text: Normalised text.
            language: Code or name of its language; empty if not known.

        Returns:
            What is said for them, in order.
        """
        return list(self._find(text, find_code(language))) if self.rules else []

    def _find(self, text: str, language: str) -> Iterator[Reading]:
        end = 0
        for token in _TOKEN.finditer(text):
            for rule in self._by_token.get(token[0].casefold(), ()) if token.start() >= end else ():
                if rule.matches(text, token.start(), language):
                    end = token.start() + len(rule.written)
                    yield Reading(token.start(), end, rule.spoken)
                    break


def _first_token(written: str) -> str:
    token = _TOKEN.match(written)
    return token[0].casefold() if token else ""


def parse_pronunciations(table: str, name: str) -> Pronunciations:
    """Read the rules of a table in CSV.

    Args:
        table: Its text.
        name: Name of the file, for messages.

    Raises:
        ConfigurationError: A line is wrong; the message names it.
    """
    lines = ["\n" if line.startswith("#") else line for line in io.StringIO(table.removeprefix("\ufeff"), newline=None)]
    rows = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        numbered = [(rows.line_num, [field.strip() for field in row]) for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        raise ConfigurationError(f"{name}, line {rows.line_num}: {error}") from error
    if not numbered:
        return Pronunciations()
    line, head = numbered[0]
    if tuple(head) != COLUMNS[: len(head)] or len(head) < 2:
        raise ConfigurationError(f"{name}, line {line}: the head is {','.join(head)!r}; write {','.join(COLUMNS)!r}")
    return Pronunciations(_parse_rule(row, f"{name}, line {line}") for line, row in numbered[1:])


def _parse_rule(row: list[str], place: str) -> PronunciationRule:
    if not 2 <= len(row) <= len(COLUMNS):
        raise ConfigurationError(f"{place}: {len(row)} columns; write {','.join(COLUMNS)!r}, the last two if needed")
    written, spoken, language, case = [*row, "", ""][: len(COLUMNS)]
    written = " ".join(unicodedata.normalize("NFC", written.translate(PLAIN_CHARACTERS)).split())
    if not _TOKEN.match(written):
        raise ConfigurationError(f"{place}: the column 'written' is empty")
    if language and find_language(language) is None:
        raise ConfigurationError(
            f"{place}: no language is called {language!r}; write a code as 'en', or nothing for all"
        )
    if case not in _CASES:
        raise ConfigurationError(f"{place}: case={case!r}; write 'any', 'exact' or nothing")
    is_exact = case == "exact" if case else len(written) > 1 and written.isupper()
    return PronunciationRule(written, unicodedata.normalize("NFC", spoken), find_code(language), is_exact)


class PronunciationFile:
    """A table in a file, read again when the file has changed. For one thread at a time.

    What is wrong with it is an error in the log, once for each change; the last good table stays in use.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | str | None = ""
        self._rules = Pronunciations()

    def current(self) -> Pronunciations:
        """The rules as they are now; none without a file."""
        if self._path is None:
            return self._rules
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version != self._seen:
                self._seen = version
                self._rules = parse_pronunciations(self._path.read_text(encoding="utf-8"), str(self._path))
                log_event(logger, logging.INFO, "pronunciations read", path=self._path, rules=len(self._rules.rules))
        except (OSError, UnicodeDecodeError, ConfigurationError) as error:
            self._report(error)
        return self._rules

    def _report(self, error: Exception) -> None:
        if isinstance(error, OSError):
            if self._seen is None:  # reported when it went
                return
            self._seen = None
        log_event(
            logger, logging.ERROR, "pronunciations not read, the last good ones stay", path=self._path, error=error
        )
