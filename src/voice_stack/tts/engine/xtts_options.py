"""The options that a voice may set for XTTS: how it draws its sounds."""

from dataclasses import dataclass, fields
from typing import Protocol

from voice_stack.core.errors import UnsupportedValueError

Value = float | str | bool


class ModelDefaults(Protocol):
    """The part of the model's own configuration that options stand in for."""

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    length_penalty: float


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


def read_options(options: tuple[tuple[str, Value], ...], defaults: ModelDefaults) -> XttsOptions:
    """Check the options of a voice.

    Args:
        options: Names and values as the voice's file has them.
        defaults: What the model's own configuration says.

    Raises:
        UnsupportedValueError: There is no such option, or it has another range; the message names both.
    """
    given = dict(options)
    if unknown := sorted(set(given) - set(_LIMITS)):
        raise UnsupportedValueError(f"option {unknown[0]!r} of the voice: XTTS has {', '.join(_LIMITS)}", param="voice")
    own = {name: getattr(defaults, name) for name in _LIMITS if hasattr(defaults, name)}
    read = {name: _number(name, given[name]) for name in given}
    values = {**{f.name: f.default for f in fields(XttsOptions)}, **own, **read}
    return XttsOptions(**values)


def _number(name: str, value: Value) -> float | int:
    low, high = _LIMITS[name]
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (name in _WHOLE and value != int(value)):
        kind = "a whole number" if name in _WHOLE else "a number"
        raise UnsupportedValueError(
            f"option {name}={value!r} of the voice: {kind} from {low:g} to {high:g} fits", param="voice"
        )
    return int(value) if name in _WHOLE else float(value)
