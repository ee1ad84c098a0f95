"""What XTTS is given: the options a voice may set, and texts as its tokenizer can take them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError

Value = float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class XttsOptions:
    """How a voice speaks.

    Attributes:
        temperature: Above 0; the higher, the livelier and the less reliable.
        top_k: Only so many of the likeliest sounds are drawn from.
        top_p: Only the likeliest sounds that have this probability together are drawn from.
        repetition_penalty: Above 1 keeps it from humming on.
        length_penalty: Of a search by beams; the model's authors hand it on, and so do we.
        seed: Where the draw begins: the same seed gives the same speech.
        max_retries: How often a clause is spoken again whose length does not fit its text.
    """

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    length_penalty: float
    seed: int = 0
    max_retries: int = 2


_LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.01, 2.0),
    "top_k": (1, 10_000),
    "top_p": (0.01, 1.0),
    "repetition_penalty": (1.0, 50.0),
    "length_penalty": (-10.0, 10.0),
    "seed": (0, 2**31 - 1),
    "max_retries": (0, 10),
}
_WHOLE = frozenset({"top_k", "seed", "max_retries"})


def read_options(options: tuple[tuple[str, Value], ...], defaults: object) -> XttsOptions:
    """Check the options of a voice.

    Args:
        options: Names and values as the voice's file has them.
        defaults: The model's own configuration, whose attributes options stand in for.

    Raises:
        UnsupportedValueError: There is no such option, or it has another range; the message names both.
    """
    given = dict(options)
    if unknown := sorted(set(given) - set(_LIMITS)):
        raise UnsupportedValueError(f"option {unknown[0]!r} of the voice: XTTS has {', '.join(_LIMITS)}", param="voice")
    own = {name: getattr(defaults, name) for name in _LIMITS if hasattr(defaults, name)}
    return XttsOptions(**own | {name: _number(name, given[name]) for name in given})


def _number(name: str, value: Value) -> float | int:
    low, high = _LIMITS[name]
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (name in _WHOLE and value != int(value)):
        kind = "a whole number" if name in _WHOLE else "a number"
        raise UnsupportedValueError(
            f"option {name}={value!r} of the voice: {kind} from {low:g} to {high:g} fits", param="voice"
        )
    return int(value) if name in _WHOLE else float(value)


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


def fit_text(text: str, language: str, fits: Callable[[str], bool]) -> list[str]:
    """Cut a text into pieces that the model can take; nearly always it is one already.

    Args:
        text: A clause.
        language: Its code, for the message.
        fits: Whether the model takes a piece at once; its tokenizer writes out numbers and abbreviations first.

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
            return _halve(plainer, fits)
        except ImportError as error:
            missing = f"language {language!r}: {error}; pip install 'voice-stack[xtts]'"
            raise UnsupportedValueError(missing, param="language") from error
        except _UNREADABLE as error:
            refusal = error
    reason = f": {refusal}" if str(refusal) else ""
    raise InvalidRequestError(f"XTTS cannot read {text[:80]!r} in {language!r}{reason}", param="input") from refusal


def _halve(text: str, fits: Callable[[str], bool]) -> list[str]:
    if len(text) < 2 or fits(text):
        return [text]
    cut = _middle(text)
    halves = (half for part in (text[:cut], text[cut:]) if (half := part.strip()))
    return [piece for half in halves for piece in _halve(half, fits)]


def _middle(text: str) -> int:
    """Where to cut: at a mark in the middle half, else at a blank there, else in the middle of a word."""
    middle, quarter = len(text) // 2, len(text) // 4
    for pattern in _BREAKS:
        ends = [found.end() for found in pattern.finditer(text, quarter, len(text) - quarter)]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return middle
