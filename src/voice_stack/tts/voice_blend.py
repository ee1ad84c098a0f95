"""Voices mixed of others, as clients write them: `af_heart+am_adam`, `af_heart*0.7+am_adam*0.3`, `af_heart(2)`."""

import re
from collections.abc import Collection

from voice_stack.core.errors import UnsupportedValueError

MAX_PARTS = 10
_WEIGHT = r"\d{1,6}(?:\.\d{1,6})?"
_PART = re.compile(rf"(?P<name>[A-Za-z0-9_-]+)\s*(?:\*\s*(?P<factor>{_WEIGHT})|\(\s*(?P<share>{_WEIGHT})\s*\))?")


def parse_blend(text: str, names: Collection[str]) -> tuple[tuple[str, float], ...] | None:
    """The parts of a blend with their shares, which add up to 1; a part without a weight has weight 1.

    Args:
        text: What the client wrote.
        names: Every voice that can be mixed, in lower case.

    Returns:
        Each voice once, in the order of the text; None for a text that is no blend of these voices.

    Raises:
        UnsupportedValueError: It has such a voice and is wrong all the same: another part is not known, a weight is no
            number, all are 0, or there are too many.
    """
    parts = [part.strip() for part in text.lower().split("+")]
    if not any(mark in text for mark in "+*(") or not any(re.split(r"[\s*(]", part)[0] in names for part in parts):
        return None
    if len(parts) > MAX_PARTS:
        raise _refuse(text, f"has {len(parts)} parts, at most {MAX_PARTS} are mixed")
    weights: dict[str, float] = {}
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None:
            raise _refuse(text, f"the part {part!r} is neither NAME nor NAME*0.5 nor NAME(2)")
        if match["name"] not in names:
            raise _refuse(text, f"{match['name']!r} is not one of {', '.join(names)}")
        weight = float(match["factor"] or match["share"] or 1)
        weights[match["name"]] = weights.get(match["name"], 0.0) + weight
    total = sum(weights.values())
    if total == 0:
        raise _refuse(text, "every weight is 0")
    return tuple((name, weight / total) for name, weight in weights.items() if weight)


def _refuse(text: str, reason: str) -> UnsupportedValueError:
    return UnsupportedValueError(f"voice {text[:80]!r}: {reason}", param="voice")
