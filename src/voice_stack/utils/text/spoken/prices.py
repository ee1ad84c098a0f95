"""Prices written in less usual ways: as a range, in cents, without the zero, and what is paid or counted per unit."""

import functools
import re
from decimal import Decimal

from voice_stack.utils.text.spoken.amounts import CURRENCY_SIGNS, money_pattern, number_shape, read_money
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_BEFORE, Grammar
from voice_stack.utils.text.spoken.numbers import choose_form, spell_number, spell_whole

CENTS = re.compile(r"(?<![\w.,-])(?:(\d{1,9}) ?¢|\$\.(\d\d)(?!\d))")
PER = re.compile(r"(?:(?<=\d)|(?<=\d[kKM]))/(hr|hour|yr|year|mo|month|wk|week|day|night|person)(?!\w)")
_PER = {"hr": "hour", "yr": "year", "mo": "month", "wk": "week"}


@functools.cache
def price_range_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Two numbers with the currency's sign before the first one, perhaps before both."""
    if not grammar.is_spaced or not grammar.signs.get("to"):
        return None
    number = number_shape(grammar)
    return re.compile(
        rf"{WORD_EDGE_BEFORE}(?<![-–])(?P<sign>[{CURRENCY_SIGNS}])({number})[-–](?P=sign)?({number})(?![\w%-])"
    )


def read_price_range(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `price_range_pattern` found: the currency is named once, at the end."""
    price = money_pattern(grammar).fullmatch(found["sign"] + found[3])
    last = read_money(price, grammar) if price else None
    return f"{spell_number(found[2], grammar)} {grammar.signs['to']} {last}" if last else None


def read_cents(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read cents of a dollar that `CENTS` found: `99¢`, `$.50`."""
    digits = str(int(found[1] or found[2]))
    if "USD" not in grammar.cents:
        return None
    return f"{spell_whole(digits, grammar)} {choose_form(grammar.cents['USD'], Decimal(digits), grammar)}"


def read_per(found: re.Match[str], _grammar: Grammar) -> str:
    """Read an English `/hr` that `PER` found."""
    return f" per {_PER.get(found[1], found[1])}"
