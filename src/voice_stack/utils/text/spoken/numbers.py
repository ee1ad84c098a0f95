"""Numbers in words, by rules of the Unicode consortium (CLDR), run by unicode-rbnf; the signs between them."""

import functools
import re
from collections.abc import Mapping
from decimal import Decimal

from babel import Locale
from unicode_rbnf import RbnfEngine

from voice_stack.utils.text.spoken.grammar import GRAMMARS, Grammar, word_before, words

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
_YEARS = range(1100, 2101)
_OLD_CENTURIES = range(1100, 2000)  # English alone reads 2010 and later in pairs as well


_engine = functools.cache(RbnfEngine.for_language)
# The rules write `е` where `ё` is said: четырёх, трёхсот, четвёртый.
_STRESSED = re.compile(r"((?:четыр|тр)(?=ем(?!я)|ех)|четв(?=ерт))е(м|х|рт)")
_ONE_THOUSAND = re.compile(r"^одн(?:а|ой|у|ою) (?=тысяч)")


@functools.lru_cache(maxsize=4096)
def spell(number: int, code: str, ruleset: str = CARDINAL) -> str:
    """Write a whole number in words.

    Args:
        number: Of `MAX_DIGITS` digits at most.
        code: A language of CLDR's rules.
        ruleset: Name of the rule set; the plain cardinals are used where the language has none of that name.
            `genitive`, `nominative`, `locative`, `hour` and `hour-oblique` are Polish and Czech ordinals.
    """
    if (code, ruleset) in _ORDINAL_ENDINGS:
        return _spell_ordinal(number, code, ruleset)
    engine = _engine(code)
    names = [ruleset if ruleset in engine.rulesets else CARDINAL]
    spelled = engine.format_number(number, ruleset_names=names).text.replace("〇", "零")
    return _ONE_THOUSAND.sub("", _STRESSED.sub(r"\1ё\2", spelled)) if code == "ru" else spelled


_POLISH_HOUR = {r"(?<!c)iego\b": "a", "ciego": "cia", "ego": "a"}
_ORDINAL_ENDINGS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("pl", "genitive"): {},
    ("pl", "nominative"): {r"(?<=[gc]i)ego\b": "", "ego": "y"},
    ("pl", "locative"): {r"iego\b": "im", "ego": "ym"},
    ("pl", "hour"): _POLISH_HOUR,
    ("pl", "hour-oblique"): _POLISH_HOUR | {r"a\b": "ej", "gej": "giej"},
    ("cs", "genitive"): {},
    ("cs", "nominative"): {"ého": "ý", "ího": "í"},
    ("cs", "locative"): {"ého": "ém", "ího": "ím"},
}
"""What becomes of the endings of the genitive in other forms, one after the other (patterns)."""


def _spell_ordinal(number: int, code: str, form: str) -> str:
    """A masculine ordinal, or the feminine one of an hour: `piątego`, `tysiąc dziewięćset osiemdziesiątego czwartego`.

    Hundreds and thousands before the last two digits stay cardinals, as they do in speech; a number without such
    digits is read as a cardinal, but for the year 2000.
    """
    ordinals, ahead, behind = GRAMMARS[code].ordinal_words, number // 100 * 100, number % 100
    if number == 2000 and code == "pl":
        said = ["dwutysięcznego"]
    else:
        tens, units = (0, behind) if behind < 20 else divmod(behind, 10)
        said = [spell(ahead, code)] if ahead or not behind else []
        said += [ordinals[17 + tens]] if tens else []
        said += [ordinals[units - 1]] if units else []
    spoken = " ".join(said)
    for ending, other in _ORDINAL_ENDINGS[code, form].items():
        spoken = re.sub(ending, other, spoken)
    return spoken


def spell_digits(digits: str, grammar: Grammar) -> str:
    """Read digits one by one."""
    return grammar.join(*(spell(int(digit), grammar.code) for digit in digits))


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
    rules = FEMININE if grammar.code == "cs" else CARDINAL  # "jedna celá", "dvě celé"
    return grammar.join(spell_whole(whole, grammar, rules), choose_form(grammar.point, Decimal(whole), grammar), behind)


def _spell_fraction(whole: str, decimals: str, grammar: Grammar) -> str:
    """`три целых четырнадцать сотых`: both numbers count parts, which are feminine where there is a gender."""
    point = choose_form(grammar.point, Decimal(whole), grammar)
    denominator = choose_form(grammar.denominators[len(decimals) - 1], Decimal(decimals), grammar)
    counted = spell(int(decimals), grammar.code, FEMININE)
    return f"{spell_whole(whole, grammar, FEMININE)} {point} {counted} {denominator}"


def choose_form(forms: str, count: Decimal, grammar: Grammar) -> str:
    """Choose among `one|few|many|other`; where there are fewer, the last serves for the rest."""
    choices = forms.split("|")
    rule = Locale.parse(grammar.code).plural_form
    order = [name for name in _CATEGORIES if name == "other" or name in rule.tags]
    if grammar.code in _MANY_IS_OTHER:
        order.remove("many")
    category = rule(count)
    return choices[min(order.index(category if category in order else "other"), len(choices) - 1)]


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
    whole, *decimals = re.split("[.,]", written)
    return (whole, decimals[0]) if whole.isdigit() and len(decimals) == 1 and decimals[0].isdigit() else None


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
    blank = grammar.blank
    joints = {".": f"{blank}{grammar.signs['.']}{blank}", ",": "," + blank, " ": " ", "'": " ", THIN_BLANK: " "}
    return re.sub(r"\d+|\D", lambda m: joints.get(m[0]) or spell_whole(m[0], grammar), written)


_PREPOSITIONS = frozenset(["de", "di"])


def with_preposition(amount: str, unit: str, grammar: Grammar) -> tuple[str, str, str]:
    """An amount and its unit, with what stands between them behind round millions: `trois millions d'euros`."""
    preposition = grammar.scales.get(amount.rpartition(" ")[2], "")
    if grammar.code == "fr" and preposition and unit[:1] in "aeiouh":
        return amount, "", f"d'{unit}"
    return amount, preposition if preposition in _PREPOSITIONS else "", unit


_ACCUSATIVE_AFTER = words("für um durch ohne gegen kostet kosten kostete kosteten zahlt zahlte zahlen bezahlt")
_DATIVE_AFTER = words("mit von zu bei nach seit aus ab")
_NEUTER = ("Pfund", "Kilo", "Gramm", "Milligramm", "Prozent", "Watt", "Mega", "Giga", "Tera", "Volt", "Hertz")


def decline_german(spoken: str, found: re.Match[str]) -> str:
    """`einen Euro`, where the word before asks for another case than the nominative."""
    article, _, unit = spoken.partition(" ")
    before = word_before(found).lower()
    if article == "eine":
        return f"einer {unit}" if before in _DATIVE_AFTER else spoken
    if article != "ein" or unit.startswith("halb"):
        return spoken
    if before in _DATIVE_AFTER:
        return f"einem {unit}"
    is_neuter = unit.startswith(_NEUTER) and not unit.startswith("Kilometer")
    return f"einen {unit}" if before in _ACCUSATIVE_AFTER and not is_neuter else spoken


SIGN = re.compile(r" ?[-–+=×*:x] ?|&|[#§№] ?")
_AFTER_AMOUNTS, _BEFORE_AMOUNTS = "%°€$£", "$€£"
_SIGN_NAMES = {"-": "to", "–": "to", "=": "eq", "№": "#", "*": "×"}
_AFTER_SUM, _BEFORE_SUM = re.compile(r"= ?[-–+]?[\w.,^²³]{1,9} ?$"), re.compile(r"[\d.,]+ ?=")
_ONE_END = re.compile(r"[$€£¥₹]?(\d[\d.,':]*?)[.,:]?(%|°[CF]?|[€$£¥₹]|(?! )[^\W\d_]{1,5}[²³]?)?(?:-[a-zà-ÿа-я].*)?")
_TOKEN_AHEAD, _TOKEN_BEHIND = re.compile(r"[^\s(\[{\"'“„;]*$"), re.compile(r"[^\s)\]}\"'”;?!]*")
_NO_UNITS = frozenset("ABDEGHIJLNOPQRSTUXYZ")  # capitals behind the numbers of models and rooms
# Behind these a hyphen parts the numbers of one name.
_ONE_NAME = re.compile(
    r"(?<!\w)(?:fig(?:\.|ure|ura|uur)?|abb(?:\.|ildung)|art(?:\.|[ií]culo|icle|ikel|icolo|igo)|ap[eé]n\w+|ann?exo?|"
    r"n[ºo°r]\.?|№|model\w*|flight|n[uú]m(?:\.|ero|ber|mer)|tab(?:\.|le|elle|la|ela)|form|room|exercise|boeing|airbus|"
    r"рис\.|табл\.|статья|obr\.|rys\.) $",
    re.IGNORECASE,
)
_SCORED = re.compile(r"(?<!\w)(?:were|was|went|stood|record|finished|won|lost|beat|led|trailed|score|scored) $")
_MANY = re.compile(r"(?<!\w)(?:pages?|pp\.|lines?|from|between|years?|Seiten|von|zwischen|pages|de|páginas?|entre) $")
_RANGE_YEARS = range(1000, 2101)
_HEXADECIMAL = re.compile(r"(?<!\d)0$")
_HALVED = re.compile(r"\d{1,2}(?:[:.]\d\d)? ?[ap]\.?m(?!\w)", re.IGNORECASE)
_HALF_OF_THE_DAY = re.compile(r"\d ?[ap]\.?m\.?$", re.IGNORECASE)


def read_sign(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name a sign between two numbers or words, or before a number; hyphens of words are left."""
    # Looked at here and not in the pattern, which sees nothing of what has been read on both sides.
    text, sign = found.string, found[0].strip()
    before, behind = text[: found.start()][-2:].rstrip(" ")[-1:], text[found.end() : found.end() + 2].lstrip(" ")[:1]
    is_after_clock = _HALF_OF_THE_DAY.search(text[: found.start()][-7:]) is not None
    is_after_amount = is_after_clock or before.isdecimal() or before in _AFTER_AMOUNTS
    is_between = is_after_amount and (behind.isdecimal() or behind in _BEFORE_AMOUNTS)
    if sign == ":" and len(found[0]) > 1:
        return None
    if sign == "=":
        return _read_equals(found, grammar)
    if sign in "-–" and is_between:
        return _read_dash(found, grammar)
    if sign == "&":
        is_said = before.isalnum() and behind.isalnum()
    elif sign in "#§№":
        is_said = behind.isdecimal() and not text[: found.start()][-1:].isalnum()
    else:
        is_said = bool(before and behind) and is_between
    if not is_said:
        return None
    if sign == "x" and (sign not in grammar.signs or _HEXADECIMAL.search(text[: found.start()][-2:])):
        return None
    named = grammar.signs.get(_SIGN_NAMES.get(sign, sign), "")
    if named in ("", "-"):  # nothing is said of a colon; some languages put ranges side by side
        return named or " "
    return f"{named}{grammar.blank}" if sign in "#§№" else f"{grammar.blank}{named}{grammar.blank}"


_SIDE_OF_EQUALS = r"(?:[-–+]?\d[\d.,]*%?|[^\W\d_]|[^\W\d_]{1,3}\^\S{1,4}|[^\W\d_]{1,3}[²³]|[⁰-⁹²³]+)"
_BEFORE_EQUALS = re.compile(rf"(?<![^\s(]){_SIDE_OF_EQUALS}$|\d[⁰-⁹²³]*$|[\d)]$")
_BEHIND_EQUALS = re.compile(r"[-–+]?[\d(]|[^\W\d_](?![\w(.])|[^\W\d_]{1,3}(?:\^|[²³])")


def _read_equals(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name the sign between the sides of an equation: numbers, or letters that stand alone."""
    text = found.string
    is_equation = _BEFORE_EQUALS.search(
        text[max(0, found.start() - 12) : found.start()].rstrip(" ")
    ) and _BEHIND_EQUALS.match(text[found.end() : found.end() + 8])
    return f"{grammar.blank}{grammar.signs['eq']}{grammar.blank}" if is_equation else None


def _read_dash(found: re.Match[str], grammar: Grammar) -> str | None:
    """A dash between two numbers: a minus in a sum, else said where both are the ends of a range."""
    text, dash = found.string, found[0]
    before, behind = text[max(0, found.start() - 30) : found.start()], text[found.end() : found.end() + 30]
    is_spaced = dash.startswith(" ") and dash.endswith(" ")
    blank, named = grammar.blank, grammar.signs.get("to", "-")
    if _BEFORE_SUM.match(behind) or _AFTER_SUM.search(before):
        return f"{blank}{grammar.signs['minus']}{blank}"
    if _HALF_OF_THE_DAY.search(before[-7:]) or (":" in before[-5:] and _HALVED.match(behind)):
        return f"{blank}{grammar.signs['to']}{blank}"
    ahead, after = _TOKEN_AHEAD.search(before), _TOKEN_BEHIND.match(behind)
    if (
        ahead
        and after
        and _is_range(ahead[0], after[0], dash.strip(), before[: ahead.start()])
        and not (is_spaced and len(ahead[0]) > len(after[0].rstrip(".,:")))
    ):
        return named if named == "-" else f"{blank}{named}{blank}"
    return None if is_spaced else blank or dash


def _is_range(first: str, second: str, dash: str, before: str) -> bool:
    """Whether two tokens may be the ends of a range: the second is more, and neither is a part of a name."""
    one, other = _ONE_END.fullmatch(first), _ONE_END.fullmatch(second.rstrip(".,:"))
    if one is None or other is None or (one[2] or "") in _NO_UNITS or (other[2] or "") in _NO_UNITS:
        return False
    low, high = one[1], other[1]
    if ":" in low and ":" in high:
        return True
    if ":" in low and high.isdecimal() and low.rpartition(":")[2].isdecimal():
        return int(low.rpartition(":")[2]) < int(high)  # verses, 8:28-30
    if ":" in low + high or any(len(end) > 1 and end[0] == "0" and end[1].isdecimal() for end in (low, high)):
        return False
    if dash == "-" and (_ONE_NAME.search(before) or (_SCORED.search(before) and low.isdecimal() and not other[2])):
        return False
    is_plain = low.isdecimal() and high.isdecimal()
    if is_plain and len(low) == 4 and len(high) == 2:
        return int(low) in _RANGE_YEARS and int(high) > int(low) % 100
    if is_plain and len(low) > 2 and len(high) > 3 and not _are_counts(low, high, before):
        return False
    if dash == "–" and len(low) < 4:
        return True
    return _value(low) < _value(high) or (not is_plain and _value(low) == _value(high))


def _value(number: str) -> int:
    """A number without its decimals, as far as marks can tell: `1.500` and `1,5`."""
    groups = re.split("[.,']", number)
    return int("".join([groups[0], *(group for group in groups[1:] if len(group) == 3)]) or 0)


def _are_counts(low: str, high: str, before: str) -> bool:
    """Whether two long numbers are years, round, or pages, rather than parts of a phone number or the like."""
    are_years = int(low) in _RANGE_YEARS and int(high) in _RANGE_YEARS
    return are_years or (low[-1] == high[-1] == "0") or _MANY.search(before) is not None
