"""How what was heard is written: Chinese in the characters that are asked for, Japanese without blanks."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module

from voice_stack.asr.transcript import Segment, Word

_SIMPLIFIED, _TRADITIONAL = "t2s", "s2t"
_BY_REGION = {"cn": _SIMPLIFIED, "sg": _SIMPLIFIED, "my": _SIMPLIFIED, "tw": "s2tw", "hk": "s2hk", "mo": "s2hk"}
_BY_SCRIPT = {"hans": _SIMPLIFIED, "hant": _TRADITIONAL}
_CHINESE = frozenset({"zh", "yue"})
_NAMES = frozenset({"zh", "zho", "chi", "cmn", "yue", "chinese", "mandarin", "cantonese"})
_BETWEEN = "[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
"""Kana, Han and the marks of their width."""
_STRAY_BLANKS = re.compile(rf"(?:(?<={_BETWEEN})|^)\s+(?={_BETWEEN})")


class NoConverterError(Exception):
    """OpenCC is not installed."""


def find_characters(*languages: str | None) -> str | None:
    """Which characters the first Chinese among some languages asks for, by OpenCC's name of the way to them.

    `zh-CN`, `zh-SG` and `zh-Hans` mean simplified ones, `zh-TW`, `zh-HK` and `zh-Hant` traditional ones as written
    there.

    Returns:
        None where no Chinese is named, or nothing is said of its characters.
    """
    for language in languages:
        name, *subtags = re.split(r"[\s_.@-]+", (language or "").strip().casefold())
        if name not in _NAMES:
            continue
        if "hans" in subtags:
            return _SIMPLIFIED
        ways = [table[tag] for table in (_BY_REGION, _BY_SCRIPT) for tag in subtags if tag in table]
        return next(iter(ways), None)
    return None


def rewrite(segment: Segment, language: str, characters: str | None) -> Segment:
    """The segment as it is to be written; its tokens stay.

    Args:
        segment: As heard.
        language: Code of its language.
        characters: What `find_characters` gave; None: Chinese stays as the model wrote it.

    Raises:
        NoConverterError: The characters cannot be converted here.
    """
    if language == "ja":
        words = tuple(replace(word, text=_STRAY_BLANKS.sub("", word.text)) for word in segment.words)
        return replace(segment, text=_STRAY_BLANKS.sub("", segment.text), words=words)
    if language not in _CHINESE or characters is None:
        return segment
    convert = _converter(characters)
    text = convert(segment.text)
    return replace(segment, text=text, words=_words(segment, text, convert))


def _words(segment: Segment, text: str, convert: Callable[[str], str]) -> tuple[Word, ...]:
    """The words as the converted text has them: what a character becomes depends on those beside it."""
    words, at = list[Word](), 0
    for word in segment.words:
        found = segment.text.find(word.text, at) if len(text) == len(segment.text) else -1
        at = found + len(word.text) if found >= 0 else at
        words.append(replace(word, text=text[found:at] if found >= 0 else convert(word.text)))
    return tuple(words)


@cache
def _converter(characters: str) -> Callable[[str], str]:
    try:
        convert: Callable[[str], str] = import_module("opencc").OpenCC(characters).convert
    except ImportError as error:
        raise NoConverterError from error
    return convert
