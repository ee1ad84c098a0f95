"""Texts as XTTS can take them: its tokenizer has limits, and a few texts it cannot read at all."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError

MODEL_CODES = {"zh": "zh-cn"}
"""Languages that the model calls by another code than we do."""

_UNREADABLE = (ArithmeticError, LookupError, NotImplementedError, ValueError)  # what its number words raise
_BREAKS = (re.compile(r"[.!?;:,、，。！？；：…]\s*"), re.compile(r"\s+"))
# Ways to write a text whose numbers have no words, the gentlest first: "7." at the end of a sentence is an ordinal to
# the tokenizer, which Czech and Hindi do not have; a number may be too large, or a fraction, to have a name.
_PLAINER = (
    (),
    ((re.compile(r"(?<=\d)\.(?!\d)"), " ."),),
    ((re.compile(r"(?<=\d)[.,](?=\d)|(?<=\d)(?=\d)"), " "), (re.compile(r"(?<=\d)\.(?!\d)"), " .")),
)

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class TextLimits:
    """How much the model takes at once, in characters as they are written and in tokens."""

    max_chars: int
    max_tokens: int


def fit_text(text: str, language: str, count_tokens: CountTokens, limits: TextLimits) -> list[str]:
    """Cut a text into pieces that the model can take; nearly always it is one already.

    Args:
        text: A clause.
        language: Its code, for the message.
        count_tokens: The model's tokenizer, which writes out numbers and abbreviations before it counts.
        limits: Of a piece.

    Returns:
        The pieces in order; numbers nobody can read as such are there digit by digit.

    Raises:
        UnsupportedValueError: A package is missing that reads this language.
        InvalidRequestError: The model cannot read the text.
    """
    refusal: Exception | None = None
    for rules in _PLAINER:
        plainer = text
        for pattern, replacement in rules:
            plainer = pattern.sub(replacement, plainer)
        try:
            return _halve(plainer, count_tokens, limits)
        except ImportError as error:
            missing = f"language {language!r}: {error}; pip install 'voice-stack[xtts]'"
            raise UnsupportedValueError(missing, param="language") from error
        except _UNREADABLE as error:
            refusal = error
    reason = f": {refusal}" if str(refusal) else ""
    raise InvalidRequestError(f"XTTS cannot read {text[:80]!r} in {language!r}{reason}", param="input") from refusal


def _halve(text: str, count_tokens: CountTokens, limits: TextLimits) -> list[str]:
    # The tokenizer is not asked about what is too long anyway: it would say so in the log, with the text.
    if len(text) < 2 or (len(text) <= limits.max_chars and count_tokens(text) <= limits.max_tokens):
        return [text]
    cut = _middle(text)
    halves = (half for part in (text[:cut], text[cut:]) if (half := part.strip()))
    return [piece for half in halves for piece in _halve(half, count_tokens, limits)]


def _middle(text: str) -> int:
    """Where to cut: at a mark in the middle half, else at a blank there, else in the middle of a word."""
    middle, quarter = len(text) // 2, len(text) // 4
    for pattern in _BREAKS:
        ends = [found.end() for found in pattern.finditer(text, quarter, len(text) - quarter)]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return middle
