"""Numbers in words: rules of the Unicode consortium (CLDR), run by unicode-rbnf."""

import functools
import re
from decimal import Decimal

from babel import Locale
from unicode_rbnf import RbnfEngine

from voice_stack.utils.text.spoken.grammar import Grammar

CARDINAL = "spellout-numbering"
YEAR = "spellout-numbering-year"
MASCULINE = "spellout-cardinal-masculine"
FEMININE = "spellout-cardinal-feminine"
MAX_DIGITS = 15
"""Longer numbers are read digit by digit: the rules end at 10**18, and nobody follows such a number anyway."""
ID_DIGITS = 10
"""So are unbroken runs of digits from here on: they number an account, a phone, a parcel."""
THIN_BLANK = "\u202f"
"""Between groups of three digits, in any language; `normalise` makes it of the other blanks that do not break."""
_CATEGORIES = ("zero", "one", "two", "few", "many", "other")
_MANY_IS_OTHER = frozenset(["es", "fr", "it", "pt"])
"""Languages whose nouns have one plural: CLDR's "many" is for the preposition after millions."""
_YEARS = range(1100, 2100)
_OLD_CENTURIES = range(1100, 2000)  # English alone reads 2010 and later in pairs as well


@functools.cache
def _engine(code: str) -> RbnfEngine:
    return RbnfEngine.for_language(code)


# The rules write `е` where `ё` is said: четырёх, трёхсот, четвёртый.
_STRESSED = re.compile(r"((?:четыр|тр)(?=ем(?!я)|ех)|четв(?=ерт))е(м|х|рт)")


@functools.lru_cache(maxsize=4096)
def spell(number: int, code: str, ruleset: str = CARDINAL) -> str:
    """Write a whole number in words.

    Args:
        number: Of `MAX_DIGITS` digits at most.
        code: A language of CLDR's rules.
        ruleset: Name of the rule set; the plain cardinals are used where the language has none of that name.
    """
    engine = _engine(code)
    names = [ruleset if ruleset in engine.rulesets else CARDINAL]
    spelled = engine.format_number(number, ruleset_names=names).text.replace("〇", "零")
    if code == "ru":
        spelled = _STRESSED.sub(r"\1ё\2", spelled)
    return spelled.removeprefix("одна ") if number >= 1000 and spelled.startswith("одна тысяча ") else spelled


def spell_digits(digits: str, grammar: Grammar) -> str:
    """Read digits one by one."""
    return (" " if grammar.is_spaced else "").join(spell(int(digit), grammar.code) for digit in digits)


def spell_whole(digits: str, grammar: Grammar, ruleset: str = CARDINAL) -> str:
    """Read a run of digits: as a number, or one by one where it is no number (`007`, a card's number)."""
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return spell_digits(digits, grammar)
    return spell(int(digits), grammar.code, ruleset)


def spell_plain(digits: str, grammar: Grammar) -> str:
    """Read a run of digits that stands alone: four digits may be a year, many are no number."""
    if len(digits) >= ID_DIGITS:
        return spell_digits(digits, grammar)
    if len(digits) == 4 and grammar.has_long_years and int(digits) in _YEARS:
        return spell_year(int(digits), grammar)
    return spell_whole(digits, grammar)


def spell_year(year: int, grammar: Grammar) -> str:
    """Read a year."""
    if grammar.code == "zh":
        return spell_digits(str(year), grammar)
    is_pair = grammar.has_long_years and (year in _OLD_CENTURIES or (grammar.code == "en" and year >= 2010))
    return spell(year, grammar.code, YEAR if is_pair else CARDINAL)


def spell_decimal(whole: str, decimals: str, grammar: Grammar) -> str:
    """Read a decimal number."""
    if len(decimals) <= len(grammar.denominators):
        return _spell_fraction(whole, decimals, grammar)
    as_number = grammar.decimals == "number" and len(decimals) <= 2 and decimals[0] != "0"
    behind = spell_whole(decimals, grammar) if as_number else spell_digits(decimals, grammar)
    parts = [spell_whole(whole, grammar), choose_form(grammar.point, Decimal(whole), grammar), behind]
    return (" " if grammar.is_spaced else "").join(parts)


def _spell_fraction(whole: str, decimals: str, grammar: Grammar) -> str:
    """`три целых четырнадцать сотых`: both numbers count parts, which are feminine where there is a gender."""
    point = choose_form(grammar.point, Decimal(whole), grammar)
    denominator = choose_form(grammar.denominators[len(decimals) - 1], Decimal(decimals), grammar)
    counts = spell_whole(whole, grammar, FEMININE), spell(int(decimals), grammar.code, FEMININE)
    return f"{counts[0]} {point} {counts[1]} {denominator}"


def choose_form(forms: str, count: Decimal, grammar: Grammar) -> str:
    """Choose among `one|few|many|other`; where there are fewer, the last serves for the rest."""
    choices = forms.split("|")
    rule = Locale.parse(grammar.code).plural_form
    category = rule(count)
    if grammar.code in _MANY_IS_OTHER and category == "many":
        category = "other"
    order = [name for name in _CATEGORIES if name == "other" or name in rule.tags]
    if grammar.code in _MANY_IS_OTHER:
        order.remove("many")
    return choices[min(order.index(category), len(choices) - 1)]


@functools.cache
def _shapes(grammar: Grammar) -> tuple[re.Pattern[str], ...]:
    """Of a number in groups of three, by this language's habits and by anybody's."""
    ours = rf"(\d{{1,3}}(?:[{re.escape(grammar.groups)}{THIN_BLANK}]\d{{3}})++)(?:{re.escape(grammar.decimal)}(\d++))?"
    indian = r"(\d{1,2}(?:(,)\d{2}(?!\d))++,\d{3})(?:\.(\d++))?"
    return (
        re.compile(ours),
        re.compile(r"(\d{1,3}(?:([.,' ])\d{3})(?:\2\d{3})++)(?:[.,](\d++))?"),
        re.compile(r"(\d{1,3}([.,' ])\d{3})(?!\2)[.,](\d++)"),
        re.compile(r"(\d{1,3}([ ,])000)()" if grammar.decimal == "," else r"(\d{1,3}( )000)()"),
        *([re.compile(indian)] if grammar.groups == "," else []),
    )


def split_number(written: str, grammar: Grammar) -> tuple[str, str] | None:
    """Digits before and behind the decimal mark, or None for what is no single number (`1.2.3`, `1,2,3`)."""
    if written.isdigit():
        return written, ""
    if grouped := next(filter(None, (shape.fullmatch(written) for shape in _shapes(grammar))), None):
        return re.sub(r"\D", "", grouped[1]), grouped[grouped.re.groups] or ""
    whole, mark, decimals = re.split(r"([.,])", written, maxsplit=1) if re.search("[.,]", written) else ("", "", "")
    is_decimal = whole.isdigit() and decimals.isdigit() and bool(mark)
    return (whole, decimals) if is_decimal else None


def spell_number(written: str, grammar: Grammar) -> str:
    """Read what is written with digits and the marks inside numbers, in any way."""
    number = split_number(written, grammar)
    if number is None:
        return _spell_parts(written, grammar)
    whole, decimals = number
    if decimals:
        return spell_decimal(whole, decimals, grammar)
    return spell_plain(whole, grammar) if whole == written else spell_whole(whole, grammar)


def _spell_parts(written: str, grammar: Grammar) -> str:
    """Versions and addresses have dots; lists have commas; the rest are neighbours."""
    blank = " " if grammar.is_spaced else ""
    joints = {".": f"{blank}{grammar.signs['.']}{blank}", ",": "," + (blank or ""), " ": " ", "'": " ", THIN_BLANK: " "}
    return re.sub(r"\d+|\D", lambda m: joints.get(m[0]) or spell_whole(m[0], grammar), written)
