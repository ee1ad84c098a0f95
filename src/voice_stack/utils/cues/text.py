"""The text of subtitles: what is visible, how wide it is, what names a sound, where it may be parted."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

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
