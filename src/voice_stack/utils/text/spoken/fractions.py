"""Common fractions."""

import re
from decimal import Decimal

from voice_stack.utils.text.spoken.amounts import spell_attributive
from voice_stack.utils.text.spoken.grammar import Grammar, words
from voice_stack.utils.text.spoken.numbers import choose_form, spell

_SIGNS = {
    "½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45", "⅙": "16",
    "⅚": "56", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78",
}  # fmt: skip
FRACTION = re.compile(rf"(?<![\w.,/])([1-9])/([2-9]|10)(?![\w/]|[.,]\d)|([{''.join(_SIGNS)}])")
_NAMED = ((1, 2), (1, 3), (2, 3), (1, 4), (3, 4))
_FIRST_OF_PARTS = 5
_BEFORE_DATES = words("on since until le du au el del il dal dia em am vom bis op w od do dne")


def read_fraction(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `FRACTION` found, if it is less than one; behind `on` and the like it is a day."""
    digits = _SIGNS[found[3]] if found[3] else found[1] + found[2]
    before = found.string[max(0, found.start() - 8) : found.start()]
    if found[1] and before.rpartition(" ")[0].rpartition(" ")[2].lower() in _BEFORE_DATES:
        return None
    spoken = _spell_fraction(int(digits[0]), int(digits[1:]), grammar)
    is_mixed = grammar.code == "en" and re.search(r"(?<![\w./])\d+ ?$", before[-6:])
    return f"and {spoken}" if spoken and is_mixed else spoken


def _spell_fraction(count: int, parts: int, grammar: Grammar) -> str | None:
    if (count, parts) in _NAMED:
        return grammar.fractions[_NAMED.index((count, parts))]
    if parts < _FIRST_OF_PARTS or count >= parts or not grammar.fraction:
        return None
    forms = grammar.parts[parts - _FIRST_OF_PARTS] if grammar.parts else spell(parts, grammar.code)
    number = spell(count, grammar.code, grammar.parts_counted)
    if grammar.code == "hu":
        number = spell_attributive(number)
    return grammar.fraction.format(n=number, d=choose_form(forms, Decimal(count), grammar))
