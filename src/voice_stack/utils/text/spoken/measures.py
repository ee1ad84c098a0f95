"""Fractions, feet and inches, prices written in less usual ways, numbers cut short."""

import re
import unicodedata
from decimal import Decimal

from voice_stack.utils.text.spoken.amounts import (
    CURRENCY_SIGNS,
    ENGLISH_SCALES,
    SHORT_SCALES,
    UNITS,
    money_pattern,
    number_shape,
    number_start,
    read_money,
    read_unit,
    spell_attributive,
)
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_AFTER, WORD_EDGE_BEFORE, Grammar, word_before, words
from voice_stack.utils.text.spoken.numbers import (
    CARDINAL,
    MASCULINE,
    MAX_DIGITS,
    choose_form,
    spell,
    spell_decimal,
    spell_number,
    spell_whole,
    split_number,
)

_ENGLISH_UNITS = {
    "tsp": "teaspoon", "tbsp": "tablespoon", "lb": "pound", "oz": "ounce", "mi": "mile", "in": "inch", "hr": "hour",
    "yr": "year", "mo": "month", "wk": "week", "kg": "kilogram", "gal": "gallon", "sq ft": "square foot",
    "min": "minute", "sec": "second",
}  # fmt: skip
FRACTION = re.compile(
    r"(?<![\w.,/])(?:(?P<whole>\d{1,4})[ -])?(?P<count>[1-9]|1[1357])/(?P<parts>[2-9]|10|12|16|32)(?![\w/]|[.,]\d)"
    r"(?:(?P<inch>''|[\"″](?!\w))| (?P<unit>tsp|tbsp|lb|oz|mi)(?!\w)|-(?=[a-z]))?"
    r"|(?:(?<![\w.,/])(?P<ones>\d{1,4}) ?)?(?P<sign>[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])"
)
_NAMED = ((1, 2), (1, 3), (2, 3), (1, 4), (3, 4))
_FIRST_OF_PARTS, _LAST_OF_PARTS = 5, 10
_BEFORE_DATES = words("on since until le du au el del il dal dia em am vom bis op w od do dne")


def read_fraction(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `FRACTION` found, if it is less than one; behind `on` and the like it is a day."""
    sign, whole = found["sign"], found["whole"] or found["ones"]
    written = unicodedata.normalize("NFKC", sign).split("⁄") if sign else found.group("count", "parts")
    count, parts = map(int, written)
    if not sign and not whole and word_before(found).lower() in _BEFORE_DATES:
        return None
    part = _spell_fraction(count, parts, grammar)
    if part is None:
        return None
    spoken = _spell_mixed(whole, (count, parts), part, grammar) if whole else part
    if grammar.code != "en" or not (found["inch"] or found["unit"]):
        return spoken + (found["inch"] or (f" {found['unit']}" if found["unit"] else ""))
    unit = "inch" if found["inch"] else _ENGLISH_UNITS[found["unit"]]
    if whole:
        return f"{spoken} {unit}{'es' if unit == 'inch' else 's'}"
    return f"{spoken} of an inch" if unit == "inch" and (count, parts) != (1, 2) else f"{spoken} {unit}"


def _spell_mixed(whole: str, fraction: tuple[int, int], part: str, grammar: Grammar) -> str:
    """Read a whole number with a fraction behind it: `two and a half`."""
    if fraction == (1, 2) and grammar.half:
        rules = MASCULINE if grammar.code == "de" else CARDINAL
        return grammar.half.format(spell_whole(whole, grammar, rules))
    joint = f" {grammar.signs['&']} " if grammar.half else " "
    joint = joint if grammar.is_spaced else {"zh": "又", "ja": "と"}.get(grammar.code, "")
    return f"{spell_whole(whole, grammar)}{joint}{part}"


def _spell_fraction(count: int, parts: int, grammar: Grammar) -> str | None:
    if (count, parts) in _NAMED:
        return grammar.fractions[_NAMED.index((count, parts))]
    if parts < _FIRST_OF_PARTS or count >= parts or not grammar.fraction:
        return None
    if parts > _LAST_OF_PARTS:
        if grammar.code != "en" or count % 2 == 0:
            return None
        return f"{spell(count, 'en')} {spell(parts, 'en', 'spellout-ordinal')}{'s' if count > 1 else ''}"
    forms = grammar.parts[parts - _FIRST_OF_PARTS] if grammar.parts else spell(parts, grammar.code)
    number = spell(count, grammar.code, grammar.parts_counted)
    number = spell_attributive(number) if grammar.code == "hu" else number
    return grammar.fraction.format(n=number, d=choose_form(forms, Decimal(count), grammar))


POWER = re.compile(
    r"(?<![\w^.,])(?:(\d{1,9}(?:[.,]\d{1,9})?)|([a-z]{1,2}|[A-Z]))(?:\^\{?(-?\d{1,3}|[nkmtpqr])\}?|([⁻⁰⁴-⁹][⁰¹²³⁴-⁹]{0,2}|[¹²³][⁰¹²³⁴-⁹]{1,2}|[²³]))(?!\w)"
)
_NOTED = 1000  # a raised 2 or 3 behind a larger number, such as a year, is that of a note


def read_power(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `POWER` found: `10^6`, `x²`; single letters are those of a formula."""
    number, letters, exponent, raised = found.groups()
    base = spell_number(number, grammar) if number else " ".join(letters)
    if exponent and exponent.isalpha():
        return f"{base} {grammar.powers[2].format(exponent)}" if grammar.powers and grammar.powers[2] else None
    power = int(exponent or unicodedata.normalize("NFKC", raised).replace("\u2212", "-"))
    if not grammar.powers or (letters and raised and (letters in UNITS or len(letters) > 1)):
        return None
    if raised and number and power in (2, 3) and float(number.replace(",", ".")) >= _NOTED:
        return None
    squared, cubed, other = grammar.powers
    if power in (2, 3):
        return f"{base} {squared if power == 2 else cubed}"
    said = spell(abs(power), grammar.code, "spellout-ordinal" if grammar.code == "en" and power > 0 else CARDINAL)
    return f"{base} {other.format(said if power >= 0 else grammar.signs['minus'] + ' ' + said)}" if other else None


ARC = re.compile(
    r"(?<![\w.,])(\d{1,3})° ?(\d{1,2})['′](?: ?(\d{1,2}(?:[.,]\d{1,4})?)(?:[\"″]|''))? ?(?:([NSEW])(?!\w))?"
)
_WINDS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def read_arc(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read degrees with minutes and seconds that `ARC` found."""
    read = zip(found.group(1, 2, 3), ("°", "min", "s"), strict=True)
    numbers = [(split_number(number, grammar) or (number, ""), unit) for number, unit in read if number]
    said = [read_unit(*number, unit, grammar) for number, unit in numbers]
    wind = found[4] and (_WINDS[found[4]] if grammar.code == "en" else found[4])
    return grammar.join(*said, wind) if None not in said else None


_FEET, _INCHES = "foot|feet", "inch|inches"
FEET_AND_INCHES = re.compile(
    r"(?<![\w.,'])(\d{1,3})(?:['′] ?(\d{1,2}(?:\.\d)?)(?:[\"″]|'')| ?ft\.? (\d{1,2}) ?in(?!\w)(?:\.(?= [a-z]))?)(?!\w)"
)
INCHES = re.compile(r"(?<![\w.,/'])(\d{1,3}(?:\.\d{1,3})?)(?:([\"″])(?![\w\"])| ?in\.(?= [a-z]))")
_QUOTATION_CHARS = 300
_BEFORE_HEIGHTS = words("a an the this that his her my your our their")
_NOUN_BEHIND = re.compile(r" (?!(?:and|at|by|deep|from|high|in|long|of|or|tall|thick|to|wide|with)(?!\w))[a-z]")


def read_feet_and_inches(found: re.Match[str], grammar: Grammar) -> str:
    """Read a height that `FEET_AND_INCHES` found: `5'10"`, `5 ft 10 in`."""
    feet, inches = found[1], found[2] or found[3]
    if word_before(found).lower() in _BEFORE_HEIGHTS and _NOUN_BEHIND.match(found.string, found.end()):
        return f"{spell_number(feet, grammar)} foot {spell_number(inches, grammar)} inch"
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


CENTS = re.compile(r"(?<![\w.,-])(?:(\d{1,9}) ?¢|\$\.(\d\d)(?!\d))")
PER = re.compile(
    r"(?:(?<=\d)|(?<=\d[kKM]))/(hr|hour|yr|year|mo|month|wk|week|day|night|person|lb|kg|oz|gal|gallon|mile|sq ft|pound|"
    r"unit|user|seat|min|minute|sec|second|GB|MB|TB|kWh|share|barrel|acre|ton|tonne|litre|liter|pint|dozen|head)(?!\w)"
)
# A measure before a noun, in English: "a 100-m race".
JOINED = re.compile(
    r"(?<![\w.,-])(a )?(\d{1,4}(?:\.\d{1,2})?)-"
    r"(m|km|cm|mm|kg|g|lb|oz|ft|mi|yd|mph|kW|MW|kHz|MHz|GHz|GB|TB|MB|min|hr|in\b)\.?(?= [a-z])"
)


def read_joined(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read an English measure that `JOINED` found: its unit is singular, `a hundred-meter race`."""
    measured = read_unit("1", "", found[3], grammar) if found[3] not in _ENGLISH_UNITS else None
    unit = _ENGLISH_UNITS.get(found[3]) or (measured or "").removeprefix("one ")
    number = spell_number(found[2], grammar)
    if found[1]:
        number = "a " + (number.removeprefix("one ") if found[2] in ("100", "1000") else number)
    return f"{number}-{unit}" if unit else None


def price_range_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Two numbers with the currency's sign before the first one, perhaps before both."""
    if not grammar.is_spaced or not grammar.signs.get("to"):
        return None
    number = number_shape(grammar)
    scale = "(?:[kKMBm]|bn|(?: (?:million|billion|trillion)))?" if grammar.code == "en" else ""
    return re.compile(
        rf"{WORD_EDGE_BEFORE}(?<![-–])(?P<sign>[{CURRENCY_SIGNS}])({number}{scale})"
        rf"[-–](?P=sign)?({number}{scale})(?![\w%-])"
    )


def read_price_range(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `price_range_pattern` found: the currency is named once, at the end."""
    prices = (money_pattern(grammar).fullmatch(found["sign"] + number) for number in found.group(2, 3))
    first, last = (read_money(price, grammar) if price else None for price in prices)
    has_scale = found[2][-1].isalpha()  # "$1M-$2M"
    low = first and first.rpartition(" ")[0] if has_scale else spell_number(found[2], grammar)
    return f"{low} {grammar.signs['to']} {last}" if low and last else None


def read_cents(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read cents of a dollar that `CENTS` found: `99¢`, `$.50`."""
    digits = str(int(found[1] or found[2]))
    if "USD" not in grammar.cents:
        return None
    return f"{spell_whole(digits, grammar)} {choose_form(grammar.cents['USD'], Decimal(digits), grammar)}"


def read_per(found: re.Match[str], _grammar: Grammar) -> str:
    """Read an English `/hr` that `PER` found."""
    return f" per {_ENGLISH_UNITS.get(found[1], found[1])}"


AHEAD = re.compile(r"(?<!\w)(?:[±~≈≥≤<>] ?|(?<!\+)\+)")
_DIGITS = frozenset("0123456789")
_NO_THOUSANDS = frozenset({"2", "4", "5", "8"})  # 4K is a picture's width, 5K a run
_MEMORIES = frozenset({"16", "32", "56", "64", "128", "256", "512", "640"})  # 64K of memory, a 56K modem


def scaled_pattern(grammar: Grammar) -> re.Pattern[str]:
    """A number with the first letter of thousand, million or billion."""
    start = rf"{WORD_EDGE_BEFORE}{number_start(grammar)}"
    return re.compile(rf"{start}({number_shape(grammar)})(k|K|M|B|bn){WORD_EDGE_AFTER}(?!['/-]\w)")


def read_scaled(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `scaled_pattern` found, unless it may well be a name, as `3M`, `4K` and `2B` are."""
    parts = split_number(found[1], grammar)
    is_model = _MODEL.search(found.string[max(0, found.start() - 4) : found.start()])
    if parts is None or len(parts[0]) > MAX_DIGITS or is_model:
        return None
    whole, decimals = parts
    if not _is_scaled(whole, decimals, found, is_english=grammar.code == "en"):
        return None
    if grammar.code == "en":
        number = spell_decimal(whole, decimals, grammar) if decimals else spell_whole(whole, grammar)
        return f"{number} {ENGLISH_SCALES.get(found[2], 'thousand')}"
    value = Decimal(f"{whole}.{decimals}") * SHORT_SCALES[found[2]]
    is_usual = found[2] not in {"B", "bn"} and value == int(value) and len(str(int(value))) <= MAX_DIGITS
    return spell_whole(str(int(value)), grammar) if is_usual else None


_MODEL = re.compile(r"[^\W\d_]\d*-$")  # i7-12700K
_SMALL_WORD = re.compile(" [a-z]")


def _is_scaled(whole: str, decimals: str, found: re.Match[str], *, is_english: bool) -> bool:
    if is_english and whole in _MEMORIES and found[2] in {"k", "K"}:
        return False
    if decimals or found[2] in {"k", "bn"}:
        return True
    if found[2] == "K":
        return whole not in _NO_THOUSANDS
    return found[2] == "M" and is_english and _SMALL_WORD.match(found.string, found.end()) is not None


def read_ahead(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name a sign before a number that `AHEAD` found, in languages that have names for it; between two it compares."""
    # Looked at here and not in the pattern, which sees nothing of what has been read on both sides.
    sign, text = found[0].strip(), found.string
    starts = _DIGITS if sign == "+" else _DIGITS | {"$", "€", "£"}
    is_between = sign != "±" and text[: found.start()][-2:].strip().isdecimal()
    if is_between or text[found.end() : found.end() + 1] not in starts:
        return None
    named = grammar.signs.get(sign)
    return f"{named} " if named else None
