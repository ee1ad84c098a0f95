"""The options that a voice may set, for every engine that draws its speech by lot."""

from collections.abc import Mapping

from voice_stack.core.errors import UnsupportedValueError

Value = float | str | bool

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


def choose_options(
    given: tuple[tuple[str, Value], ...], own: Mapping[str, float | int], engine: str
) -> dict[str, float | int]:
    """An engine's options as a voice sets them; those that only other engines have are passed over.

    Args:
        given: Names and values as the voice's file has them.
        own: The options that the engine has, with what holds where the voice sets none.
        engine: What it is called, for the message.

    Raises:
        UnsupportedValueError: No engine has such an option, or it has another range; the message names both.
    """
    if unknown := sorted(dict(given).keys() - _LIMITS.keys()):
        raise UnsupportedValueError(f"option {unknown[0]!r} of the voice: {engine} has {', '.join(own)}", param="voice")
    checked = {name: _number(name, value) for name, value in given}
    return {name: checked.get(name, value) for name, value in own.items()}


def _number(name: str, value: Value) -> float | int:
    low, high = _LIMITS[name]
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (name in _WHOLE and value != int(value)):
        kind = "a whole number" if name in _WHOLE else "a number"
        raise UnsupportedValueError(
            f"option {name}={value!r} of the voice: {kind} from {low:g} to {high:g} fits", param="voice"
        )
    return int(value) if name in _WHOLE else float(value)
