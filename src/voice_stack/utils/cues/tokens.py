"""A segment -> the smallest pieces of text that subtitles are made of, each with the time it is said."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from voice_stack.utils.cues.cue import TimedText, TimedWord
from voice_stack.utils.text import sentence_ends

ARROW = "-->"
"""Stands between the times of a cue in SRT and VTT and may not stand in its text."""

_NOTES = "♩♪♫♬"
_LATIN = "0-9A-Za-zÀ-ɏ"
_LABEL = re.compile(
    rf" ?(?:(?<![{_LATIN}(\[{{*])"
    r"(?:\[+[^\[\]]*\]+|\(+[^()]*\)+|\{+[^{}]*\}+|\*+(?![\s*])[^*]*(?<!\s)\*+)"
    rf"(?![{_LATIN}])"
    r"|（[^（）]*）|［[^［］]*］|【[^【】]*】"
    rf"|[{_NOTES}]+[^{_NOTES}]*[{_NOTES}]+|[{_NOTES}]+)([.,!?;:…]*)"
)
_NO_LINE_START = frozenset(
    "、。，．・：；？！‥…）」』】〉》〕］｝”’ー々〻゛゜ヽヾゝゞぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ,.!?:;)]}%‰℃~〜～\"'»"
)
_NO_LINE_END = frozenset("（「『【〈《〔［｛“‘([{#$£¥￥＄«¿¡")
_DASHES = frozenset("—–")


@lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def display_width(text: str) -> int:
    """Columns that the text takes: a wide character (UAX #11) two, a combining or invisible one none."""
    return sum(map(_char_width, text))


def make_visible(text: str) -> str:
    """Drop control characters and lone surrogates; runs of blanks and line breaks become one space."""
    blanked = (" " if c.isspace() else "" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text)
    return re.sub(" +", " ", "".join(blanked))


def _blank(label: re.Match[str]) -> str:
    """Spaces; the marks behind the label move to the word before it, if that has none."""
    before = label.string[max(label.start() - 1, 0)]
    return (label[1] if before.isalnum() else "").ljust(len(label[0]))


def blank_sound_labels(text: str) -> str:
    """Put spaces in the place of `[...]`, `(...)`, `{...}`, `*...*`, `♪...♪` and of single notes.

    A part of a word, as in "word(s)", and stars between blanks, as in "2 * 3 * 4", are no labels.

    Returns:
        A text of the same length; all spaces if the rest of it would be marks alone.
    """
    blanked, labels = _LABEL.subn(_blank, text)
    return blanked if not labels or any(map(str.isalnum, blanked)) else " " * len(text)


@lru_cache(maxsize=4096)
def is_ideographic(char: str) -> bool:
    """Whether it is of a script that writes no spaces and may be parted anywhere: Han, Kana, wide marks, emoji."""
    return _char_width(char) == 2 and not unicodedata.name(char, "").startswith("HANGUL")


def is_unspaced(char: str) -> bool:
    """Whether it is Thai, Lao, Burmese or Khmer: no spaces, but parted only between words."""
    return "\u0e00" <= char <= "\u0eff" or "\u1000" <= char <= "\u109f" or "\u1780" <= char <= "\u17ff"


def _is_katakana(char: str) -> bool:
    return "\u30a0" <= char <= "\u30ff"


def _is_bound(left: str, right: str) -> bool:
    """Whether nothing may part two characters, by the rules of Japanese and Chinese typesetting."""
    return (
        right in _NO_LINE_START
        or left in _NO_LINE_END
        or left == "\u200d"
        or unicodedata.category(right) in {"Mn", "Mc", "Me", "Cf"}
        or (left.isdigit() and right.isalnum())
    )


def _may_part(left: str, right: str, *, is_word_start: bool, has_words: bool) -> bool:
    if _is_bound(left, right):
        return False
    if is_ideographic(left) or is_ideographic(right):
        return is_word_start if has_words else not (_is_katakana(left) and _is_katakana(right))
    if is_unspaced(left) and is_unspaced(right):
        return is_word_start
    return left in _DASHES and right.isalnum()


def split_run(text: str, begin: int, end: int, word_starts: frozenset[int], limit: int) -> Iterator[tuple[int, int]]:
    """Part a run without blanks where a line may end: nowhere in most scripts.

    Args:
        text: Holds the run from `begin` to `end`.
        begin: Offset of its first character.
        end: Offset after its last.
        word_starts: Offsets at which words begin, if they are known.
        limit: Most columns of a part; a wider one is cut where it is full.

    Yields:
        The offsets of the parts.
    """
    start, width = begin, 0
    for at in range(begin, end):
        wide = _char_width(text[at])
        if at > start and (
            width + wide > limit
            or _may_part(text[at - 1], text[at], is_word_start=at in word_starts, has_words=bool(word_starts))
        ):
            yield start, at
            start, width = at, 0
        width += wide
    yield start, end


_BY_LANGUAGE = {
    "en": """a about after again against although an and as at because before between but by for from her his how if in
        into its my nor of on or our since so than that the their though through to under unless until upon when where
        whether which while who whose why with within without your i you he she it we they not no""",
    "de": """aber als am an auf aus bei beim bevor bis da damit das dass dem den denn der des die dein durch ein eine
        einem einen einer eines für gegen hinter ich ihr ihre im in ins ist mein mit nach nachdem neben nicht ob obwohl
        oder ohne sein seine seit sich sie sobald sondern über um und unser unter vom von vor während weil wenn wer wie
        wo zu zum zur zwischen er es wir kein keine""",
    "fr": """à afin au aux avant avec car ce ces cet cette chez comme dans de depuis derrière des dont du elle en entre
        et il ils je jusque la le les leur leurs lorsque ma mais mes mon ne nos notre nous on or ou où par parce pendant
        pour puisque quand que qui sa sans ses si son sous sur ta tes ton tu un une vers vos votre vous""",
    "es": """a al ante antes aunque bajo como con contra cuando de del desde donde durante e el ella en entre es hacia
        hasta la las lo los mi mientras ni no o para pero por porque pues que quien se según si sin sino sobre su sus
        tras tu u un una unos unas y yo él""",
    "it": """a ad agli ai al alla alle anche che chi col come con contro cui da dai dal dalla degli dei del della delle
        di dopo dove e ed fra gli i il in io la le lo ma mentre mia mio ne nei nel nella non o per perché però poiché
        prima quando se senza si sono su sua sui sul sulla suo tra un una uno""",
    "pt": """a ao aos até com como contra da das de desde do dos durante e ela ele em embora entre eu mas na nas nem no
        nos não o os ou para pela pelo por porque pois quando que quem se sem seu sob sobre sua são um uma""",
    "nl": """aan achter als bij binnen boven dan dat de die door dus een en haar het hij hun ik in is maar met mijn na
        naar naast nadat niet of om omdat onder ons op over sinds te tegen terwijl tot tussen uit van voor want wanneer
        we wie zij zijn zodat zonder""",
    "pl": """a aby albo ale bez bo będzie czy dla do gdy gdzie i ich ja jak jako jego jej jest jeśli kiedy które który
        lecz lub między mój na nad nie o od ona oraz po pod ponieważ przed przez przy się u w we z za ze że żeby""",
    "sv": """att av de den det där därför efter eller en ett för från genom han hon hos i inte jag kan med medan men
        min mot mellan när och om på samt sedan som så till under ur utan vi vid än över""",
}  # fmt: skip
_WORDS = {language: frozenset(words.split()) for language, words in _BY_LANGUAGE.items()}
_NONE: frozenset[str] = frozenset()


def opens_phrase(word: str, language: str) -> bool:
    """Whether it is a conjunction, preposition, article or pronoun of the language; its case does not matter.

    Languages without a table here have none, and their lines end by punctuation and balance alone.
    """
    return word.casefold() in _WORDS.get(language, _NONE)


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
class _SaidText:
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


def _by_characters(segment: TimedText, text: str, clock_ms: int) -> list[_SaidText]:
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    start_ms = whole_ms(segment.start_s, clock_ms)
    return [_SaidText(begin, end, start_ms, whole_ms(segment.end_s, start_ms))] if begin < end else []


def _locate(words: Sequence[TimedWord], text: str, clock_ms: int) -> list[_SaidText]:
    """Where each word stands in the text; one that stands nowhere near is left out."""
    spans, position = list[_SaidText](), 0
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
        spans.append(_SaidText(begin, position, start_ms, clock_ms))
    return spans


def _plausible(word: str, start_ms: int, end_ms: int, *, begins: bool) -> tuple[int, int]:
    """Shorten a word that is stretched over silence: before it where a segment begins with it, else after it.

    The limit is generous, several times the 60 to 80 ms that a letter takes in running speech.
    """
    longest_ms = _BASE_WORD_MS + _COLUMN_MS * display_width(word) + _DIGIT_MS * sum(map(str.isdigit, word))
    return (max(start_ms, end_ms - longest_ms), end_ms) if begins else (start_ms, min(end_ms, start_ms + longest_ms))


def _assemble(text: str, parts: Sequence[tuple[int, int]], spans: Sequence[_SaidText], clock_ms: int) -> list[Token]:
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


def _said(spans: Sequence[_SaidText], at: int, begin: int, end: int, clock_ms: int) -> tuple[int, int]:
    """From when to when the text from `begin` to `end` is said; `at` is the first span that ends after `begin`."""
    if at == len(spans) or spans[at].begin >= end:
        return clock_ms, clock_ms
    start_ms = max(spans[at].time_ms(begin), clock_ms)
    while at + 1 < len(spans) and spans[at + 1].begin < end:
        at += 1
    return start_ms, max(spans[at].time_ms(end), start_ms)
