"""Feet and inches, which English writes with quotation marks."""

import re
from decimal import Decimal

from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.numbers import choose_form, spell_number

_FEET, _INCHES = "foot|feet", "inch|inches"
FEET_AND_INCHES = re.compile(
    r"(?<![\w.,'])(\d{1,3})(?:['′] ?(\d{1,2}(?:\.\d)?)(?:[\"″]|'')| ?ft\.? (\d{1,2}) ?in(?!\w)(?:\.(?= [a-z]))?)(?!\w)"
)
INCHES = re.compile(r"(?<![\w.,/'])(\d{1,3}(?:\.\d{1,3})?)(?:([\"″])(?![\w\"])| ?in\.(?= [a-z]))")
_QUOTATION_CHARS = 300
_NOUN_BEHIND = re.compile(r" (?!(?:and|at|by|deep|from|high|in|long|of|or|tall|thick|to|wide|with)(?!\w))[a-z]")


def read_feet_and_inches(found: re.Match[str], grammar: Grammar) -> str:
    """Read a height that `FEET_AND_INCHES` found: `5'10"`, `5 ft 10 in`."""
    feet, inches = found[1], found[2] or found[3]
    return f"{_read_length(feet, _FEET, grammar)} {_read_length(inches, _INCHES, grammar)}"


def read_inches(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `INCHES` found, unless the mark ends a quotation; before a noun it is `inch`."""
    if found[2] == '"' and _is_quoted(found.string[max(0, found.start() - _QUOTATION_CHARS) : found.start()]):
        return None
    if found[2] and _NOUN_BEHIND.match(found.string, found.end()):
        return f"{spell_number(found[1], grammar)} inch"
    return _read_length(found[1], _INCHES, grammar)


def _is_quoted(before: str) -> bool:
    """Whether a quotation is open at the end of a text; marks behind digits are inches, and open none."""
    marks = [mark.start() for mark in re.finditer(r'(?<!\d)"', before)]
    return bool(marks) and (before[: marks[-1]] or " ")[-1] in " (["


def _read_length(number: str, unit: str, grammar: Grammar) -> str:
    return f"{spell_number(number, grammar)} {choose_form(unit, Decimal(number), grammar)}"
