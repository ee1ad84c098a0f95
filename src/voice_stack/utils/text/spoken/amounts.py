"""Prices, percentages and measures: numbers with what they count."""

import functools
import re
from decimal import Decimal

from babel.numbers import format_decimal, get_currency_name
from babel.units import format_compound_unit, format_unit

from voice_stack.utils.text.spoken.grammar import (
    WORD_EDGE_AFTER,
    WORD_EDGE_BEFORE,
    Grammar,
    kept_stop,
    word_before,
    words,
)
from voice_stack.utils.text.spoken.numbers import (
    CARDINAL,
    FEMININE,
    MASCULINE,
    MAX_DIGITS,
    THIN_BLANK,
    choose_form,
    decline_german,
    spell_decimal,
    spell_whole,
    split_number,
    with_preposition,
)

UNITS = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter", "mm": "length-millimeter",
    "µm": "length-micrometer", "nm": "length-nanometer", "mi": "length-mile", "ft": "length-foot", "yd": "length-yard",
    "km²": "area-square-kilometer", "m²": "area-square-meter", "cm²": "area-square-centimeter", "ha": "area-hectare",
    "sq ft": "area-square-foot", "m³": "volume-cubic-meter", "l": "volume-liter", "L": "volume-liter",
    "ml": "volume-milliliter", "mL": "volume-milliliter", "cl": "volume-centiliter", "dl": "volume-deciliter",
    "gal": "volume-gallon", "tsp": "volume-teaspoon", "tbsp": "volume-tablespoon", "kg": "mass-kilogram",
    "g": "mass-gram", "mg": "mass-milligram", "µg": "mass-microgram", "t": "mass-tonne", "lb": "mass-pound",
    "lbs": "mass-pound", "oz": "mass-ounce", "km/h": "speed-kilometer-per-hour", "mph": "speed-mile-per-hour",
    "m/s": "speed-meter-per-second", "m/s²": "acceleration-meter-per-square-second",
    "mpg": "consumption-mile-per-gallon", "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit", "°": "angle-degree", "h": "duration-hour", "min": "duration-minute",
    "s": "duration-second", "ms": "duration-millisecond", "µs": "duration-microsecond", "W": "power-watt",
    "kW": "power-kilowatt", "MW": "power-megawatt", "GW": "power-gigawatt", "kWh": "energy-kilowatt-hour",
    "kJ": "energy-kilojoule", "kcal": "energy-kilocalorie", "V": "electric-volt", "mA": "electric-milliampere",
    "Ω": "electric-ohm", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz", "hPa": "pressure-hectopascal", "kPa": "pressure-kilopascal", "px": "graphics-pixel",
    "dpi": "graphics-dot-per-inch", "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte",
    "GB": "digital-gigabyte", "TB": "digital-terabyte", "kB/s": "digital-kilobyte/duration-second",
    "KB/s": "digital-kilobyte/duration-second", "MB/s": "digital-megabyte/duration-second",
    "GB/s": "digital-gigabyte/duration-second", "kbit/s": "digital-kilobit/duration-second",
    "Mbit/s": "digital-megabit/duration-second", "Gbit/s": "digital-gigabit/duration-second", "%": "",
}  # fmt: skip
"""Symbol -> CLDR's name; with a slash, what is counted and per what."""

OTHER_SPELLINGS = {
    "км": "km", "м": "m", "см": "cm", "мм": "mm", "км²": "km²", "м²": "m²", "м³": "m³", "га": "ha", "л": "l",
    "мл": "ml", "кг": "kg", "мг": "mg", "км/ч": "km/h", "км/час": "km/h",
    "м/с": "m/s", "кВт": "kW", "Вт": "W", "Гц": "Hz",
    "ГГц": "GHz", "МГц": "MHz", "кГц": "kHz", "В": "V", "ГБ": "GB",
    "МБ": "MB", "МБ/с": "MB/s", "Мбит/с": "Mbit/s", "kph": "km/h", "Km/h": "km/h", "Km": "km",
    "Kg": "kg", "m/s2": "m/s²", "km2": "km²", "m2": "m²", "m3": "m³", "ft²": "sq ft",
    "℃": "°C", "ºC": "°C", "º C": "°C", "° C": "°C", "٪": "%", "saat": "h",
    "hr": "h", "hrs": "h", "мин": "min", "sec": "s",
    "sq. ft": "sq ft", "sq. ft.": "sq ft", "sq.ft.": "sq ft", "mins": "min",
    "secs": "s", "μm": "µm", "μg": "µg", "mcg": "µg", "μs": "µs", "kbps": "kbit/s", "Kbps": "kbit/s", "kb/s": "kbit/s",
    "Mbps": "Mbit/s", "Mb/s": "Mbit/s", "Gbps": "Gbit/s", "Gb/s": "Gbit/s", "Mhz": "MHz", "Ghz": "GHz",
}  # fmt: skip
"""Other ways to write a symbol of `UNITS`."""

_WORDS = {"cs": {"s", "V"}, "ru": {"V"}, "es": {"mi"}, "fr": {"sec"}, "it": {"mi"}, "pt": {"mi"}}
"""Words of a language that look like units; they are none with a blank before them."""

_GROUP = r" (?=\d{3}(?!\d))"
_ROUND_GROUP = r"(?<=\d) (?=000(?!\d))"  # in languages that do not write so: `10 000`


def number_shape(grammar: Grammar) -> str:
    """A pattern of digits and the marks inside numbers; it always matches at a digit."""
    return rf"\d++(?:(?:[.,'{THIN_BLANK}]|{_GROUP if ' ' in grammar.groups else _ROUND_GROUP})\d++)*+"


def number_start(grammar: Grammar) -> str:
    """What goes before `number_shape` where more must follow: it does not begin inside a number.

    A search that fails behind a number would begin again at each of its digits else.
    """
    return rf"(?<!\d)(?<!\d[.,'{THIN_BLANK}])" + (
        r"(?!(?<=\d )\d{3}(?!\d))" if " " in grammar.groups else r"(?!(?<=\d )000(?!\d))"
    )


_SHOWN_DECIMALS = 3  # more are rounded off by Babel
MINUS = r"(?:(?<![\w)\]%°€$£.–-])-|(?<=[\s(])–)"


def alternatives(names: list[str]) -> str:
    """A pattern of names, the longest first."""
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def measure_pattern(grammar: Grammar) -> re.Pattern[str]:
    """A number with a unit or a percent sign."""
    units = alternatives([*UNITS, *OTHER_SPELLINGS])
    return re.compile(
        rf"({MINUS})?(?<![^\W\d_]-){number_start(grammar)}({number_shape(grammar)})"
        rf"( ?)({units}){WORD_EDGE_AFTER}(?!['/]\w|\.[^\W\d_]\.)"
        r"(?:(?<=[a-zа-я])\.(?= [a-zа-яà-ž]))?"  # the dot of an abbreviation, and no end of a sentence
    )


_SYMBOLS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD",
    "NT$": "TWD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "￥": "CNY", "₹": "INR", "₩": "KRW",
    "₽": "RUB", "₺": "TRY", "R$": "BRL", "zł": "PLN", "Kč": "CZK",
    "Ft": "HUF", "руб.": "RUB", "元": "CNY", "円": "JPY", "원": "KRW",
}  # fmt: skip
_CODES = ["USD", "EUR", "GBP", "JPY", "CNY", "CHF", "INR", "KRW", "RUB", "TRY", "PLN", "CZK", "HUF", "BRL", "MXN"]
CURRENCY_SIGNS = "".join(sign for sign in _SYMBOLS if len(sign) == 1 and not sign.isalpha())
"""Signs that stand before an amount, each one character."""
CURRENCIES = _SYMBOLS | {code: code for code in _CODES}
ENGLISH_SCALES = {"M": "million", "m": "million", "bn": "billion", "B": "billion"}
SHORT_SCALES = {"k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "bn": 10**9, "B": 10**9}


@functools.cache
def money_pattern(grammar: Grammar) -> re.Pattern[str]:
    """A currency before or behind a number, with a word like million between or behind."""
    number = f"{number_start(grammar)}({number_shape(grammar)})"
    signs = alternatives(list(CURRENCIES))
    codes = alternatives(_CODES)
    scales = alternatives([*grammar.scales, *SHORT_SCALES])
    scale = rf"(?:({'[ -]?' if grammar.code == 'en' else ' ?'})({scales}){WORD_EDGE_AFTER})?"
    ahead = rf"{WORD_EDGE_BEFORE}({signs}) ?{number}{scale}(?: ?(?:{codes}){WORD_EDGE_AFTER})?"
    behind = rf"{number}{scale} ?({signs}){WORD_EDGE_AFTER}"
    return re.compile(f"({MINUS})?(?:{ahead}|{behind})")


def read_money(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a price that `money_pattern` found."""
    minus, sign, number, gap, scale = found.group(1, 2, 3, 4, 5)
    if sign is None:
        number, gap, scale, sign = found.group(6, 7, 8, 9)
    parts = split_number(number, grammar)
    if parts is None or len(parts[0]) > MAX_DIGITS:
        return None
    code = "CNY" if sign == "¥" and grammar.code == "zh" else CURRENCIES[sign]
    spoken = _read_price(parts, (gap or "") + (scale or ""), code, grammar)
    if grammar.code == "en" and not parts[1] and _is_attribute(found):
        spoken = re.sub(r"(?<=dollar|.pound|..euro|.rupee)s$", "", spoken)  # "a five million dollar deal"
    spoken = decline_german(spoken, found) if grammar.code == "de" else spoken
    return _with_sign(minus, spoken, grammar) + kept_stop(found)


def _with_sign(minus: str | None, spoken: str, grammar: Grammar) -> str:
    return grammar.join(grammar.signs["minus"], spoken) if minus else spoken


_NO_NOUN = words("""
    a an and as at be but by each for from if in is of off on or per than that the to was were when will with he she it
    they we you i his her its their our my who which he's she's they're we're i'm would could should has had have do did
    does paid left out not more less also only still now then after before during until since this these those next last
    today tomorrow worth annually apiece here there over down against because so such though
""")
_ARTICLES = words("a an the another every each this that")


def _is_attribute(found: re.Match[str]) -> bool:
    """Whether an English price stands between an article and a noun."""
    behind = re.match(r" ((?:U\.S\.|[a-z]{3,}))", found.string[found.end() : found.end() + 20])
    if "-" in (found[4] or "") or re.match(r"-(?:an?|per)-[a-z]", found.string[found.end() : found.end() + 8]):
        return True  # "$10-million deal", "$25-a-plate dinner"
    is_noun = behind is not None and behind[1] not in _NO_NOUN and not behind[1].endswith("ly")
    return is_noun and word_before(found).lower() in _ARTICLES


def _read_price(parts: tuple[str, str], scale: str, code: str, grammar: Grammar) -> str:
    whole, decimals = parts
    word = scale.strip(" -")
    word = ENGLISH_SCALES.get(word, word) if grammar.code == "en" else word
    if word in grammar.scales:
        amount = spell_decimal(whole, decimals, grammar) if decimals else spell_whole(whole, grammar)
        behind = choose_form(grammar.scales[word], Decimal(f"{whole}.{decimals}"), grammar)
        # The value of an entry is the word itself in full, or the preposition behind it ("millions de").
        said = (behind if word.endswith(".") or len(behind) > 2 else f"{word} {behind}").strip()
        spoken = grammar.join(amount, said, _currency(code, Decimal(10**6), grammar))
        return re.sub(r"\bde (?=[aeiou])", "d'", spoken) if grammar.code == "fr" else spoken
    if word in SHORT_SCALES:
        value = Decimal(f"{whole}.{decimals}") * SHORT_SCALES[word]
        whole, decimals = (str(int(value)), "") if value == int(value) else (whole, decimals)
    if len(decimals) == 2 and grammar.money and code in grammar.cents:
        return _read_parts(int(whole), int(decimals), code, grammar)
    return _read_main(whole, decimals, code, grammar)


def _read_main(whole: str, decimals: str, code: str, grammar: Grammar) -> str:
    unit = _currency(code, Decimal(f"{whole}.{decimals}"), grammar)
    return grammar.join(*with_preposition(_spell(whole, decimals, unit, grammar), unit, grammar))


def _read_parts(whole: int, hundredths: int, code: str, grammar: Grammar) -> str:
    main = _read_main(str(whole), "", code, grammar)
    if not hundredths:
        return main
    unit = choose_form(grammar.cents[code], Decimal(hundredths), grammar)
    cents = _spell(str(hundredths), "", unit, grammar)
    if not whole:
        return f"{cents} {unit}"
    if "{unit}" not in grammar.money:
        cents = spell_whole(str(hundredths), grammar)
    return grammar.money.format(main=main, cents=cents, unit=unit)


def _currency(code: str, count: Decimal, grammar: Grammar) -> str:
    forms = grammar.currencies.get(code)
    return choose_form(forms, count, grammar) if forms else get_currency_name(code, count, locale=grammar.code)


PERCENT_AHEAD = re.compile(r"(?<![\w%])% ?(\d{1,15}(?:[.,]\d{1,9})?)(?![\w%]|[.,]\d)")


def read_percent_ahead(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a percentage with its sign before it, as in Turkish."""
    parts = split_number(found[1], grammar)
    return read_unit(*parts, "%", grammar) if parts else None


def read_measure(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a number with a unit or a percent sign that `measure_pattern` found."""
    minus, number, _, symbol = found.groups()
    unit = OTHER_SPELLINGS.get(symbol, symbol)
    parts = split_number(number, grammar)
    if parts is None or len(parts[0]) > MAX_DIGITS or _is_word(found, unit, grammar):
        return None
    spoken = read_unit(*parts, unit, grammar)
    spoken = decline_german(spoken, found) if spoken and grammar.code == "de" else spoken
    return spoken and _with_sign(minus, spoken, grammar)


def _is_word(found: re.Match[str], unit: str, grammar: Grammar) -> bool:
    """Whether what looks like a unit may be a word; in Czech and Russian it is a preposition, with a word behind it."""
    is_unit = grammar.code in ("cs", "ru") and _NO_WORD_BEHIND.match(found.string, found.end())
    return bool(found[3]) and unit in _WORDS.get(grammar.code, ()) and not is_unit


_NO_WORD_BEHIND = re.compile(r"$|[,;:!?)\"“”»]|[.](?:$|[)»\"])| (?:[-–—]|a|i|и|nebo|či|или)(?!\w)")


def read_unit(whole: str, decimals: str, unit: str, grammar: Grammar) -> str | None:
    """Read a number with a unit of `UNITS`; None where it has no name."""
    ours = grammar.percent if unit == "%" else grammar.units.get(unit)
    if ours:
        is_plain = unit == "%" and not decimals and grammar.code in ("es", "it")  # "uno por ciento"
        number = spell_whole(whole, grammar) if is_plain else _spell(whole, decimals, "", grammar)
        return choose_form(ours, Decimal(f"{whole}.{decimals}"), grammar).format(number)
    # CLDR's pattern is filled with the number in digits first, since the number chooses the form of the unit.
    shown = Decimal(f"{whole}.{decimals[:_SHOWN_DECIMALS]}")
    digits = format_decimal(shown, locale=grammar.code)
    said = _name_unit(shown, UNITS[unit], grammar)
    if any(name in said for name in UNITS[unit].split("/")) or digits not in said:
        return None  # what Babel gives where CLDR has no long name
    name = said.replace(digits, "").strip()
    amount, preposition, _ = with_preposition(_spell(whole, decimals, name, grammar), name, grammar)
    spoken = said.replace(digits, f"{amount} {preposition}".strip()).replace("\xa0", " ").replace(" ", grammar.blank)
    return re.sub(r"(?<!\w)una (?=or[ae]|oncia)", "un'", spoken) if grammar.code == "it" else spoken


def _name_unit(count: Decimal, unit: str, grammar: Grammar) -> str:
    """The count in digits with its unit, as CLDR has it."""
    counted, _, per = unit.partition("/")
    if not per:
        return format_unit(count, counted, length="long", locale=grammar.code)
    said = format_compound_unit(count, counted, denominator_unit=per, length="long", locale=grammar.code) or ""
    return said.replace("/", f" {grammar.signs['/']} ")


def _spell(whole: str, decimals: str, unit: str, grammar: Grammar) -> str:
    """The number before a unit, in the unit's gender."""
    if decimals:
        return spell_decimal(whole, decimals, grammar)
    ruleset = FEMININE if unit.startswith(grammar.feminine or ("\0",)) else MASCULINE
    spoken = spell_whole(whole, grammar, CARDINAL if grammar.code in ("ar", "hi") else ruleset)
    return spell_attributive(spoken) if grammar.code == "hu" else spoken


def spell_attributive(spoken: str) -> str:
    """The form of a Hungarian number before a noun."""
    return re.sub("kettő$", "két", spoken)
