"""What XTTS is given: the options a voice may set, and texts as its tokenizer can take them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.tts.engine.voice_options import Value, choose_options


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


def read_options(options: tuple[tuple[str, Value], ...], defaults: object) -> XttsOptions:
    """Check the options of a voice.

    Args:
        options: Names and values as the voice's file has them.
        defaults: The model's own configuration, whose attributes options stand in for.

    Raises:
        UnsupportedValueError: There is no such option, or it has another range; the message names both.
    """
    model_has = ("temperature", "top_k", "top_p", "repetition_penalty", "length_penalty")
    own = {name: getattr(defaults, name) for name in model_has} | {"seed": 0, "max_retries": 2}
    chosen = choose_options(options, own, "XTTS")
    return XttsOptions(
        temperature=chosen["temperature"],
        top_k=int(chosen["top_k"]),
        top_p=chosen["top_p"],
        repetition_penalty=chosen["repetition_penalty"],
        length_penalty=chosen["length_penalty"],
        seed=int(chosen["seed"]),
        max_retries=int(chosen["max_retries"]),
    )


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
