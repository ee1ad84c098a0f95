"""Numbers cut short (`1.5M`, `10k`), how many times something is (`3x`), and signs before a number (`~10`)."""

import functools
import re
from decimal import Decimal

from voice_stack.utils.text.spoken.amounts import ENGLISH_SCALES, SHORT_SCALES, number_shape, number_start
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_AFTER, WORD_EDGE_BEFORE, Grammar
from voice_stack.utils.text.spoken.numbers import MAX_DIGITS, spell_decimal, spell_number, spell_whole, split_number

TIMES = re.compile(r"(?<![\w.,/-])(\d{1,4}(?:\.\d{1,2})?)x(?= [a-z])")
AHEAD = re.compile(r"(?<!\w)[±~≈≥≤<>] ?")
_AMOUNT_STARTS = frozenset("0123456789$€£")
_NO_THOUSANDS = frozenset({"2", "4", "5", "8"})  # 4K is a picture's width, 5K a run


@functools.cache
def scaled_pattern(grammar: Grammar) -> re.Pattern[str]:
    """A number with the first letter of thousand, million or billion."""
    start = rf"{WORD_EDGE_BEFORE}{number_start(grammar)}"
    return re.compile(rf"{start}({number_shape(grammar)})(k|K|M|B|bn){WORD_EDGE_AFTER}(?!['/-]\w)")


def read_scaled(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `scaled_pattern` found, unless it may well be a name, as `3M`, `4K` and `2B` are."""
    parts = split_number(found[1], grammar)
    if parts is None or len(parts[0]) > MAX_DIGITS or not _is_scaled(*parts, found):
        return None
    whole, decimals = parts
    if grammar.code == "en":
        number = spell_decimal(whole, decimals, grammar) if decimals else spell_whole(whole, grammar)
        return f"{number} {ENGLISH_SCALES.get(found[2], 'thousand')}"
    value = Decimal(f"{whole}.{decimals or 0}") * SHORT_SCALES[found[2]]
    is_usual = found[2] not in {"B", "bn"} and value == int(value) and len(str(int(value))) <= MAX_DIGITS
    return spell_whole(str(int(value)), grammar) if is_usual else None


def _is_scaled(whole: str, decimals: str, found: re.Match[str]) -> bool:
    if decimals or found[2] in {"k", "bn"}:
        return True
    if found[2] == "K":
        return whole not in _NO_THOUSANDS
    return found[2] == "M" and re.match(" [a-z]", found.string[found.end() : found.end() + 2]) is not None


def read_times(found: re.Match[str], grammar: Grammar) -> str:
    """Read `3x` in `3x faster`, which `TIMES` found."""
    return f"{spell_number(found[1], grammar)} times"


def read_ahead(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name a sign before a number that `AHEAD` found, in languages that have names for it; between two it compares."""
    # Looked at here and not in the pattern, which sees nothing of what has been read on both sides.
    sign, text = found[0].strip(), found.string
    is_before_amount = text[found.end() : found.end() + 1] in _AMOUNT_STARTS
    if not is_before_amount or (sign != "±" and text[: found.start()][-2:].strip().isdecimal()):
        return None
    named = grammar.signs.get(sign)
    return f"{named} " if named else None
