"""Numbers in words, by rules of the Unicode consortium (CLDR), run by unicode-rbnf; the signs between them."""

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
_YEARS = range(1100, 2101)
_OLD_CENTURIES = range(1100, 2000)  # English alone reads 2010 and later in pairs as well


@functools.cache
def _engine(code: str) -> RbnfEngine:
    return RbnfEngine.for_language(code)


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
    """
    engine = _engine(code)
    names = [ruleset if ruleset in engine.rulesets else CARDINAL]
    spelled = engine.format_number(number, ruleset_names=names).text.replace("〇", "零")
    if code == "ru":
        spelled = _STRESSED.sub(r"\1ё\2", spelled)
    return _ONE_THOUSAND.sub("", spelled) if code == "ru" else spelled


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
    rules = FEMININE if grammar.code == "cs" else CARDINAL  # "jedna celá", "dvě celé"
    parts = [spell_whole(whole, grammar, rules), choose_form(grammar.point, Decimal(whole), grammar), behind]
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


_PREPOSITIONS = frozenset(["de", "di"])


def with_preposition(amount: str, unit: str, grammar: Grammar) -> tuple[str, str, str]:
    """An amount and its unit, with what stands between them behind round millions: `trois millions d'euros`."""
    preposition = grammar.scales.get(amount.rpartition(" ")[2], "")
    if grammar.code == "fr" and preposition and unit[:1] in "aeiouh":
        return amount, "", f"d'{unit}"
    return amount, preposition if preposition in _PREPOSITIONS else "", unit


_MOST_IN_CASE = 99  # of what is known here of Czech
_CZECH_CASES = {
    "genitive": ("jednoho", "dvou", "tří", "čtyř"), "dative": ("jednomu", "dvěma", "třem", "čtyřem"),
    "instrumental": ("jedním", "dvěma", "třemi", "čtyřmi"), "locative": ("jednom", "dvou", "třech", "čtyřech"),
}  # fmt: skip
_POLISH_WOMEN = frozenset(
    str.split("osobami kobietami minutami godzinami stronami książkami córkami siostrami rękami nogami")
)
_RUSSIAN_CASES = {"instrumental": "ablative", "locative": "genitive"}


def spell_case(number: int, case: str, noun: str, grammar: Grammar) -> str | None:
    """A Slavic cardinal in a case: `пяти`, `dwiema`, `padesáti`; None where it is not sure."""
    if grammar.code == "cs":
        if number > _MOST_IN_CASE:
            return None
        tens, units = (0, number) if number < 21 else (number // 10 * 10, number % 10)
        said = [_spell_czech(part, case) for part in (tens, units) if part]
        return " ".join(said)
    gender = "feminine" if noun in _POLISH_WOMEN else "masculine"
    name = _RUSSIAN_CASES.get(case, case) if grammar.code == "ru" else case
    return spell_whole(str(number), grammar, f"spellout-cardinal-{gender}-{name}")


def _spell_czech(number: int, case: str) -> str:
    few = _CZECH_CASES[case]
    if number <= len(few):
        return few[number - 1]
    plain = spell(number, "cs")
    return {"devět": "devíti", "deset": "deseti"}.get(
        plain, plain.removesuffix("e") + "i" if not plain.endswith("t") else plain + "i"
    )


_GERMAN_NEUTER = re.compile(
    r"\w*(?:jahr|gehalt|kind|tor|spiel|buch|album|haus|semester|jubiläum|bier|leben|treffen|auto|bild|stück|konzert|opfer|"
    r"ziel|mitglied|quartal|mal|kapitel|stockwerk|gebot|foto|video|lied|rennen|wort|tier|bein|glas|land|gesetz)",
    re.IGNORECASE,
)
_GERMAN_FEMININE = re.compile(
    r"\w*(?:ung|heit|keit|schaft|ion|tät|enz|anz|ie|ik|ur|staffel|nacht|frau|stadt|liga|halbzeit|kammer|armee|hälfte|"
    r"minute|klasse|runde|woche|etage|auflage|ausgabe|stunde|sekunde|seite|stelle|reihe|folge|stufe|strophe|periode|"
    r"phase|etappe|ehe|welle|linie|zeile|spalte|ebene|person|straße|zeile|nummer|legislatur)",
    re.IGNORECASE,
)
_ACCUSATIVE_AFTER = frozenset(
    str.split("für um durch ohne gegen kostet kosten kostete kosteten zahlt zahlte zahlen bezahlt")
)
_DATIVE_AFTER = frozenset(str.split("mit von zu bei nach seit aus ab"))
_NEUTER = (
    "Pfund",
    "Kilo",
    "Gramm",
    "Milligramm",
    "Prozent",
    "Watt",
    "Megawatt",
    "Mega",
    "Giga",
    "Tera",
    "Volt",
    "Hertz",
)


def decline_german(spoken: str, found: re.Match[str]) -> str:
    """`einen Euro`, where the word before asks for another case than the nominative."""
    article, _, unit = spoken.partition(" ")
    before = found.string[max(0, found.start() - 12) : found.start()].rstrip(" ").rpartition(" ")[2].lower()
    if article == "eine":
        return f"einer {unit}" if before in _DATIVE_AFTER else spoken
    if article != "ein" or unit.startswith("halb"):
        return spoken
    if before in _DATIVE_AFTER:
        return f"einem {unit}"
    is_neuter = unit.startswith(_NEUTER) and not unit.startswith("Kilometer")
    return f"einen {unit}" if before in _ACCUSATIVE_AFTER and not is_neuter else spoken


def agree_in_german(rules: str, before: str, noun: str) -> str:
    """The rule set of an ordinal that goes with its noun: `sein 13. Monatsgehalt`, `der 10. Klasse`.

    Args:
        rules: What the word before it asks for.
        before: That word.
        noun: The word behind the ordinal.

    Returns:
        Empty where the case is not known.
    """
    if before in ("der", "Der"):  # with a feminine noun a genitive or a dative
        is_open = noun in ("und", "bis", "oder")
        return "" if is_open else "spellout-ordinal-n" if _GERMAN_FEMININE.fullmatch(noun) else rules
    return "spellout-ordinal-s" if rules == "spellout-ordinal-r" and _GERMAN_NEUTER.fullmatch(noun) else rules


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
    if not grammar.is_spaced:
        return named
    return f"{named} " if sign in "#§№" else f" {named} "


_SIDE_OF_EQUALS = r"(?:[-–+]?\d[\d.,]*%?|[^\W\d_]|[^\W\d_]{1,3}\^\S{1,4}|[^\W\d_]{1,3}[²³]|[⁰-⁹²³]+)"
_BEFORE_EQUALS = re.compile(rf"(?<![^\s(]){_SIDE_OF_EQUALS}$|\d[⁰-⁹²³]*$|[\d)]$")
_BEHIND_EQUALS = re.compile(r"[-–+]?[\d(]|[^\W\d_](?![\w(.])|[^\W\d_]{1,3}(?:\^|[²³])")


def _read_equals(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name the sign between the sides of an equation: numbers, or letters that stand alone."""
    text = found.string
    is_equation = _BEFORE_EQUALS.search(
        text[max(0, found.start() - 12) : found.start()].rstrip(" ")
    ) and _BEHIND_EQUALS.match(text[found.end() : found.end() + 8])
    blank = " " if grammar.is_spaced else ""
    return f"{blank}{grammar.signs['eq']}{blank}" if is_equation else None


def _read_dash(found: re.Match[str], grammar: Grammar) -> str | None:
    """A dash between two numbers: a minus in a sum, else said where both are the ends of a range."""
    text, dash = found.string, found[0]
    before, behind = text[max(0, found.start() - 30) : found.start()], text[found.end() : found.end() + 30]
    is_spaced = dash.startswith(" ") and dash.endswith(" ")
    blank = " " if grammar.is_spaced else ""
    if _BEFORE_SUM.match(behind) or _AFTER_SUM.search(before):
        return f"{blank}{grammar.signs['minus']}{blank}"
    if _HALF_OF_THE_DAY.search(before[-7:]) or (":" in before[-5:] and _HALVED.match(behind)):
        return f"{blank}{grammar.signs['to']}{blank}"
    ahead, after = _TOKEN_AHEAD.search(before), _TOKEN_BEHIND.match(behind)
    named = grammar.signs.get("to", "-")
    if (
        ahead
        and after
        and _is_range(ahead[0], after[0], dash.strip(), before[: ahead.start()])
        and not (is_spaced and len(ahead[0]) > len(after[0].rstrip(".,:")))
    ):
        return named if named == "-" or not grammar.is_spaced else f" {named} "
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
