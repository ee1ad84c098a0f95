"""Abbreviations, ordinals, Roman numerals, phone numbers and signs between numbers."""

import functools
import re

from voice_stack.utils.text.spoken.amounts import number_shape, spell_attributive
from voice_stack.utils.text.spoken.dates import read_year_ordinal, word_before
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_AFTER, WORD_EDGE_BEFORE, Grammar
from voice_stack.utils.text.spoken.numbers import (
    CARDINAL,
    MAX_DIGITS,
    spell,
    spell_digits,
    spell_number,
    spell_plain,
    spell_whole,
)

PHONE = re.compile(
    r"(?<![\w.,/+-])(?:\+\d{1,3}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,7}|\(\d{2,5}\) ?\d{2,5}(?:[ -]\d{2,5}){0,4}"
    r"|\d{3}[-.]\d{3}[-.]\d{4}|0\d{1,4}(?:[ /-]\d{2,8}){1,5})(?![\w/]|[.,-]\d)"
)
SIGN = re.compile(r" ?[-–] ?|[+=×]|&|[#§№] ?")
_SIGN_NAMES = {"-": "to", "–": "to", "=": "eq", "№": "#"}
ROMAN = re.compile(r"(?<![\w.])([IVXLC]{1,7})\.?(er|e|ème)?(?![\w']|\.\w)")
_ROMAN_SHAPE = re.compile(r"(?:C{1,3})?(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_RULERS = frozenset(str.split("""
    Louis Ludwig Luis Luigi Luís Lodewijk Henry Heinrich Henri Enrique Enrico Henrique Hendrik George Georg Jorge
    Giorgio Charles Karl Carlos Carlo Karel Edward Eduard Eduardo Richard Ricardo William Wilhelm Guillermo Guillaume
    Willem James Jakob Jaime Elizabeth Elisabeth Isabel Elisabetta Mary Philip Philipp Philippe Felipe Filippo Filips
    Francis Franz François Francisco Francesco Frederick Friedrich Frédéric Federico Frederik John Johannes Jean Juan
    Giovanni João Johan Paul Paulus Pablo Paolo Paulo Pius Pie Pío Pio Benedict Benedikt Benoît Benedicto Benedetto
    Bento Leo Léon León Leone Leão Gregory Gregor Grégoire Gregorio Clement Innocent Alexander Alexandre Alejandro
    Alessandro Nicholas Nikolaus Nicolas Nicolás Nicola Catherine Katharina Catalina Caterina Peter Pierre Pedro Pietro
    Otto Napoleon Napoléon Napoleón Napoleone Joseph Josef José Leopold Maximilian Gustav Christian Harald Haakon Olav
    Alfonso Fernando Ferdinand Umberto Vittorio Emanuele Manuel Victor Stephen Ramses Rama Abdullah Mehmed Murad
    Людовик Генрих Георг Карл Эдуард Ричард Вильгельм Яков Елизавета Филипп Франциск Фридрих Иоанн Павел Пий Бенедикт
    Лев Григорий Александр Николай Екатерина Пётр Петр Наполеон Иван Фёдор Людовика Карла Николая Петра Екатерины
"""))  # fmt: skip


@functools.cache
def abbreviation_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Any of the language's abbreviations; blanks inside them (`z. B.`) do not matter."""
    names = sorted({key.rstrip("#^") for key in grammar.abbreviations}, key=len, reverse=True)
    if not names:
        return None
    spelled = "|".join(re.escape(name).replace(r"\.", r"\. ?").removesuffix(" ?") for name in names)
    return re.compile(rf"(?<![\w.])(?:{spelled})(?!\w)(?! ?\.\w)", re.IGNORECASE)


def read_abbreviation(found: re.Match[str], grammar: Grammar) -> str | None:
    """Say what an abbreviation stands for, where it may stand."""
    behind = found.string[found.end() : found.end() + 3].lstrip(" ")[:1]
    key = found[0].replace(". ", ".")
    choices = (f"{key}#" if behind.isdecimal() else "", f"{key}^" if behind.isupper() else "", key)
    said = next((grammar.abbreviations[name] for name in choices if name in grammar.abbreviations), None)
    if said is None and key[:1].isupper():
        lower = key[:1].lower() + key[1:]
        said = next(
            (grammar.abbreviations[name] for name in (lower, f"{lower}#") if name in grammar.abbreviations), None
        )
        said = said and said[:1].upper() + said[1:]
    ends = found[0].endswith(".") and found.end() == len(found.string.rstrip())
    return f"{said}." if said and ends else said


@functools.cache
def ordinal_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number with an ending that makes it an ordinal, or with a dot that may."""
    endings = [rf"(?P<o{n}>{shape}){WORD_EDGE_AFTER}" for n, shape in enumerate(grammar.ordinals)]
    dotted = [r"(?P<dot>\.)(?= \w)"] if grammar.ordinal_followers else []
    return _numbers_before([*endings, *dotted])


def _numbers_before(shapes: list[str]) -> re.Pattern[str] | None:
    start = rf"{WORD_EDGE_BEFORE}(?<![.,/:-])(?<!\d )(\d{{1,{MAX_DIGITS}}}+)(?!\d)"
    return re.compile(rf"{start}(?:{'|'.join(shapes)})") if shapes else None


def read_ordinal(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `ordinal_pattern` found."""
    kind = found.lastgroup or ""
    if kind == "dot":
        return _read_dotted(found, grammar)
    return spell_whole(found[1], grammar, list(grammar.ordinals.values())[int(kind[1:])])


@functools.cache
def counter_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number before a word that asks for another form of it."""
    edge = WORD_EDGE_AFTER if grammar.is_spaced and grammar.code != "ko" else ""
    return _numbers_before([rf"(?P<c{n}> ?)(?=(?:{shape}){edge})" for n, shape in enumerate(grammar.counters)])


def read_counter(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `counter_pattern` found."""
    digits, rules = found[1], list(grammar.counters.values())[int((found.lastgroup or "")[1:])]
    if len(digits) == 4 and grammar.has_long_years:
        return None
    if rules == "two":
        return "两" if digits == "2" else None
    if rules == "attributive":
        return spell_attributive(spell_whole(digits, grammar)) + found[0][len(digits) :]
    if grammar.code == "ko":
        return spell_whole(digits, grammar, rules if int(digits) < 100 else CARDINAL) + " "
    return spell_whole(digits, grammar, rules) + found[0][len(digits) :]


def _read_dotted(found: re.Match[str], grammar: Grammar) -> str | None:
    follower = re.match(r" (\w+)", found.string[found.end() : found.end() + 40])
    before = word_before(found)
    is_ordinal = follower and (
        follower[1] in grammar.ordinal_followers or (follower[1][0].islower() and len(found[1]) < 3)
    )
    if not is_ordinal and before not in grammar.ordinal_contexts:
        return None
    default = "spellout-ordinal-s" if follower and follower[1].startswith(("Jahr", "Kap", "Stockw", "Mal")) else ""
    default = default or grammar.day if grammar.code == "de" else "spellout-ordinal"
    return spell(int(found[1]), grammar.code, grammar.ordinal_contexts.get(before, default))


@functools.cache
def year_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A year with a word that makes it an ordinal."""
    names = "|".join(re.escape(name) for name in sorted(grammar.years, key=len, reverse=True))
    edge = WORD_EDGE_AFTER if grammar.is_spaced else ""
    return re.compile(rf"{WORD_EDGE_BEFORE}(?<![.,/:-])(\d{{4}}) ?({names}){edge}") if names else None


def read_year(found: re.Match[str], grammar: Grammar) -> str:
    """Read what `year_pattern` found."""
    rules, _, word = grammar.years[found[2]].partition("|")
    if rules == "year":
        return spell_digits(found[1], grammar) + found[2]
    in_year = grammar.code == "pl" and word_before(found).lower() in ("w", "we", "po")
    year = read_year_ordinal(int(found[1]), "locative" if in_year else rules, grammar)
    stop = "." if found[2] == "г." and found.end() == len(found.string.rstrip()) else ""
    return f"{year} {word or found[2]}{stop}"


def read_decade(found: re.Match[str], grammar: Grammar) -> str:
    """Read an English decade that `DECADE` found: `1980s`, `'90s`."""
    *ahead, last = spell_plain(found[1], grammar).split(" ")
    return " ".join([*ahead, last[:-1] + "ies" if last.endswith("y") else last + "s"])


DECADE = re.compile(r"(?<![\w.,])'?((?:1\d|20)?\d0)'?s(?!\w)")
FRACTION = re.compile(r"(?<![\w.,/])([123])/([234])(?![\w/]|[.,]\d)|([½⅓⅔¼¾])")
_FRACTIONS = ("12", "13", "23", "14", "34")


def read_fraction(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a common fraction that `FRACTION` found."""
    name = f"{found[1]}{found[2]}" if found[1] else _FRACTIONS["½⅓⅔¼¾".index(found[3])]
    return grammar.fractions[_FRACTIONS.index(name)] if name in _FRACTIONS else None


def read_phone(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a phone number that `PHONE` found: digit by digit, with a breath between its groups."""
    groups = re.findall(r"\d+", found[0])
    if sum(map(len, groups)) < 6:
        return None
    plus = grammar.signs["+"] + (" " if grammar.is_spaced else "") if found[0].startswith("+") else ""
    return plus + ", ".join(spell_digits(group, grammar) for group in groups)


@functools.cache
def numeral_pattern(grammar: Grammar) -> re.Pattern[str]:
    """Any number, with a sign where it is no hyphen."""
    return re.compile(rf"((?<!\S)[+-]|(?<=[(\[{{\"'«„])[+-])?({number_shape(grammar)})")


def read_numeral(found: re.Match[str], grammar: Grammar) -> str:
    """Read any number, with its sign."""
    sign, number = found.groups()
    spoken = spell_number(number, grammar)
    blank = " " if grammar.is_spaced else ""
    return f"{grammar.signs['minus' if sign == '-' else '+']}{blank}{spoken}" if sign else spoken


def read_sign(found: re.Match[str], grammar: Grammar) -> str | None:
    """Name a sign between two numbers or words, or before a number; hyphens of words are left."""
    # Looked at here and not in the pattern, which sees nothing of what has been read on both sides.
    text, sign = found.string, found[0].strip()
    before, behind = text[: found.start()][-2:].rstrip(" ")[-1:], text[found.end() : found.end() + 2].lstrip(" ")[:1]
    numeric = behind.isdecimal() and (sign in "#§№" or before.isdecimal())
    if not (numeric or (sign == "&" and before.isalnum() and behind.isalnum())):
        return None
    named = grammar.signs[_SIGN_NAMES.get(sign, sign)]
    if not grammar.is_spaced:
        return named
    return f"{named} " if sign in "#§№" else f" {named} "


def read_roman(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a Roman numeral, where the words around it leave no doubt that it is one; `I` never is."""
    numeral, ending = found.groups()
    value = _roman_value(numeral)
    behind = re.match(r"\.? (\w+)", found.string[found.end() : found.end() + 40])
    before = word_before(found)
    if not value or numeral in ("I", "C", "L"):
        return "premier" if numeral == "I" and before in _RULERS and ending == "er" else None
    if behind and behind[1] in grammar.roman_followers:
        return spell(value, grammar.code, grammar.roman_followers[behind[1]])
    if ending in ("e", "ème"):
        return spell(value, "fr", "spellout-ordinal-masculine") if grammar.code == "fr" else None
    if before.lower() in grammar.roman_words:
        return spell(value, grammar.code) + _kept_dot(found)
    if len(numeral) < 2 or not set(numeral) <= set("IVX") or not before[:1].isupper():
        return None
    return _read_ruler(value, found, grammar) if before in _RULERS else spell(value, grammar.code) + _kept_dot(found)


def _kept_dot(found: re.Match[str]) -> str:
    """The dot behind a numeral, which belongs to the sentence."""
    return "." if found[0].endswith(".") else ""


def _read_ruler(value: int, found: re.Match[str], grammar: Grammar) -> str:
    # German writes ordinals with a dot, in the middle of a sentence as well.
    dot = "" if grammar.code == "de" and found.string[found.end() :].strip() else _kept_dot(found)
    if not grammar.regnal or value >= grammar.regnal_limit:
        return spell(value, grammar.code) + dot
    has_gender = grammar.code in ("es", "it", "pt", "ru")
    gender = "-feminine" if word_before(found)[-1] in "aа" else "-masculine"
    ordinal = spell(value, grammar.code, "spellout-ordinal" + (gender if has_gender else ""))
    return grammar.regnal.format(ordinal[:1].upper() + ordinal[1:] if grammar.code in ("en", "de") else ordinal) + dot


def _roman_value(numeral: str) -> int:
    if not _ROMAN_SHAPE.fullmatch(numeral):
        return 0
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )
