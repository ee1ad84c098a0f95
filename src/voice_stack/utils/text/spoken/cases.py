"""Slavic numbers in the case that a preposition or a noun asks for."""

import re
from decimal import Decimal

from voice_stack.utils.text.spoken.amounts import (
    CURRENCIES,
    CURRENCY_SIGNS,
    MINUS,
    OTHER_SPELLINGS,
    UNITS,
    alternatives,
    number_shape,
    number_start,
    read_unit,
)
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_AFTER, Grammar, kept_stop, word_before, words
from voice_stack.utils.text.spoken.numbers import (
    FEMININE,
    MASCULINE,
    MAX_DIGITS,
    choose_form,
    spell,
    spell_decimal,
    spell_whole,
    split_number,
)

_MOST_IN_CASE = 99  # of what is known here of Czech
_CZECH_CASES = {
    "genitive": ("jednoho", "dvou", "tří", "čtyř"), "dative": ("jednomu", "dvěma", "třem", "čtyřem"),
    "instrumental": ("jedním", "dvěma", "třemi", "čtyřmi"), "locative": ("jednom", "dvou", "třech", "čtyřech"),
}  # fmt: skip
_POLISH_WOMEN = words("osobami kobietami minutami godzinami stronami książkami córkami siostrami rękami nogami")
_RUSSIAN_CASES = {"instrumental": "ablative", "locative": "genitive"}


def _spell_case(number: int, case: str, noun: str, grammar: Grammar) -> str | None:
    """A Slavic cardinal in a case: `пяти`, `dwiema`, `padesáti`; None where it is not sure."""
    if grammar.code == "cs":
        if number > _MOST_IN_CASE:
            return None
        tens, units = (0, number) if number < 21 else (number // 10 * 10, number % 10)
        return " ".join(_spell_czech(part, case) for part in (tens, units) if part)
    gender = "feminine" if noun in _POLISH_WOMEN else "masculine"
    name = _RUSSIAN_CASES.get(case, case) if grammar.code == "ru" else case
    return spell_whole(str(number), grammar, f"spellout-cardinal-{gender}-{name}")


def _spell_czech(number: int, case: str) -> str:
    few = _CZECH_CASES[case]
    if number <= len(few):
        return few[number - 1]
    plain = spell(number, "cs")
    return {"devět": "devíti", "deset": "deseti"}.get(plain, plain.removesuffix("e") + "i")


_YEAR = re.compile(r"1(?!000)\d{3}|20[0-4]\d")
_NOUN = re.compile(r" ([^\W\d_]+(?:-[^\W\d_]+)*)")
_ABOUT = {"ok.": "około", "Ok.": "Około", "ок.": "около", "Ок.": "Около"}
_NEVER_ACCUSATIVE = words("przy ku z ze s se k ke při со ко к при")
_YEARLY = ("год", "лет", "rok", "lat", "let", "roc")
_NO_NOUNS = words("do до a i и az až po по nebo или czy")


def cased_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number, or two with "and" between, whose preposition or noun asks for another case than the nominative."""
    if not grammar.genitive_after:
        return None
    sign = alternatives([*UNITS, *OTHER_SPELLINGS, *CURRENCIES])
    heads = f"(?i:{'|'.join(filter(None, (grammar.genitive_after, grammar.genitive_nouns)))})"
    after = (
        rf"(?<!\w)(?P<ahead>{heads}) (?P<minus>[-–](?=\d))?(?P<one>\d{{1,6}}(?:,\d{{1,2}}|(?:[ .]\d{{3}})+(?!\d))?)"
        r"(?:(?P<dash> ?[-–] ?)(?P<other>\d{1,3}))?"
    )
    counted = (
        rf"(?P<sign> ?(?:{sign}){WORD_EDGE_AFTER}(?![./]\w)|(?=,(?: \D|$)|[;:!?)]+(?:\s|$))|(?=\.(?:$|[»\")]))"
        r"|[-–/][\w-]*+|(?<=,\d)|(?<=,\d\d))"
    )
    ends = "" if grammar.code == "cs" else r"|\s[A-ZŁŚŻА-ЯЁ]"  # Czech writes ordinals with a dot
    plain = (
        rf"(?<![\w.,:/-])(?:(?P<before>{heads}) )?(?<!\d )(?<!\d[.,] )"
        r"(?P<first>\d{1,3}(?:[ .]\d{3})+(?!\d)|\d{1,6}(?!\d))"
        rf"(?:(?P<joint> (?:a|až|i|и|или|czy|nebo) | ?[-–] ?)(?P<second>\d{{1,3}}))?"
        rf"(?![\w/%–-]|[,:] ?\d|\.(?!\s*${ends}))"
    )
    return re.compile(rf"{after}{counted}|{plain}")


def read_cased(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `cased_pattern` found, or leave it as it is written where the form is not sure."""
    ahead, one, joint, other = found.group("ahead", "one", "dash", "other")
    if one is None:
        ahead, one, joint, other = found.group("before", "first", "joint", "second")
    numbers = [number for number in (one, other) if number]
    noun = _NOUN.match(found.string[found.end() : found.end() + 30])
    symbol = (found["sign"] or "").strip()
    word = noun[1] if noun and not symbol else ""
    is_range = (joint or "").strip() in ("-", "–") or symbol[:1] in tuple("-–/")
    as_written = _spell_about(ahead) + found[0].removeprefix(ahead or "")
    if (
        ahead
        and not (symbol or _is_plural(word, grammar))
        and re.fullmatch(grammar.genitive_nouns, ahead, re.IGNORECASE)
    ):
        return None
    preceding = word_before(found).lower()
    case = _find_case(numbers[-1], preceding, word, grammar) or ("genitive" if ahead else "")
    is_last = not symbol and (not word or word in _NO_NOUNS)
    if case and _YEAR.fullmatch(numbers[0]) and (is_last or word.startswith(_YEARLY)):
        return as_written
    if not case:
        if is_range:
            return _read_polish_range(one, other, word, grammar)
        return as_written if _is_in_doubt(numbers, preceding, word, grammar) else None
    numbers = [re.sub("[ .]", "", number) for number in numbers]
    is_plain = not any("," in number or (len(number) > 1 and number[0] == "0") for number in numbers) and not is_range
    if not is_plain or not _agrees(int(numbers[-1]), word, case, grammar):
        return as_written
    said = [_spell_case(int(number), case, word, grammar) for number in numbers]
    unit = _genitive_plural(symbol, grammar) if symbol and int(numbers[-1]) > 1 else None
    if None in said or (symbol and unit is None):
        return as_written
    counted = (joint or "").join(filter(None, said))
    minus = grammar.signs["minus"] if found["minus"] else ""
    return grammar.join(_spell_about(ahead), minus, counted, unit) + kept_stop(found)


def _find_case(number: str, preceding: str, word: str, grammar: Grammar) -> str:
    """The case that a noun behind a number shows, with the word before it; empty where it is none but the first."""
    endings = grammar.cases.items()
    case = next((name for name, ending in endings if name != "genitive" and re.search(ending, word)), "")
    if case or not word:
        return case
    is_few = re.fullmatch(r"(?:\d*[02-9])?[234]", number) is not None
    if grammar.code == "pl" and (
        (preceding in ("z", "ze") and _is_plural(word, grammar) and not number.endswith("000"))
        or (is_few and word.endswith("ów"))
    ):
        return "genitive"  # `3 panów` are men, or a genitive
    return "genitive" if preceding in ("с", "со") and word == "до" else ""


def _is_plural(word: str, grammar: Grammar) -> bool:
    """Whether a word may be a genitive plural."""
    return bool(word) and re.search(grammar.cases["genitive"], word) is not None


def _spell_about(preposition: str | None) -> str:
    """A preposition in full: `ok.` is an abbreviation."""
    return _ABOUT.get(preposition or "", preposition or "")


def _is_in_doubt(numbers: list[str], preceding: str, word: str, grammar: Grammar) -> bool:
    """Whether a preposition or an adjective behind a number asks for a case that nothing else shows."""
    if grammar.code in ("pl", "cs") and numbers[-1] in ("2", "3", "4") and word.endswith(("ých", "ích", "ych", "ich")):
        return True
    if preceding not in grammar.prepositions:
        return False
    is_accusative = preceding not in _NEVER_ACCUSATIVE and bool(word)
    is_thousand = grammar.code == "ru" and numbers[-1] == "1000"
    return is_thousand or not (is_accusative and _is_plural(word, grammar))


def _read_polish_range(one: str, other: str, word: str, grammar: Grammar) -> str | None:
    """`trzy do pięciu dni`, where the noun shows that it is a genitive."""
    low, high = int(one), int(other)
    is_known = grammar.code == "pl" and 2 < low < high and high > 4 and other[0] != "0"
    if not is_known or not _is_plural(word, grammar):
        return None
    return f"{spell_whole(one, grammar)} do {_spell_case(high, 'genitive', word, grammar)}"


def _agrees(number: int, noun: str, case: str, grammar: Grammar) -> bool:
    """Whether a noun may stand behind a cardinal in a case; `до 5 класса` is an ordinal."""
    if case != "genitive" or not noun or noun in _NO_NOUNS:
        return number % 10 != 1 or number == 11 or (number == 1 and (not noun or noun in _NO_NOUNS))
    return (number % 10 != 1 or number == 11) and _is_plural(noun, grammar)


def _genitive_plural(symbol: str, grammar: Grammar) -> str | None:
    """The name of a unit or a currency behind five and more; None where it has none."""
    code = CURRENCIES.get(symbol)
    if code:
        return choose_form(grammar.currencies[code], Decimal(5), grammar) if code in grammar.currencies else None
    said = read_unit("5", "", OTHER_SPELLINGS.get(symbol, symbol), grammar)
    five = spell_whole("5", grammar)
    return said.removeprefix(five).strip() if said and said.startswith(five) else None


def many_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number with a short thousand, million or billion (`5 tys.`), in Slavic languages, perhaps with a currency."""
    scales = [name for name, forms in grammar.scales.items() if "|" in forms]
    if not scales:
        return None
    signs = [*CURRENCIES, *(unit for unit in (*UNITS, *OTHER_SPELLINGS) if len(unit) > 1)]
    return re.compile(
        rf"(?:(?<!\w)(?P<ahead>(?i:{grammar.genitive_after})) )?(?P<minus>{MINUS})?"
        rf"(?<![{CURRENCY_SIGNS}]){number_start(grammar)}(?P<number>{number_shape(grammar)}) ?"
        rf"(?P<scale>{alternatives(scales)})(?!\w)"
        rf"(?: ?(?P<sign>{alternatives(signs)})(?![\w/]))?"
    )


def read_many(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `many_pattern` found; the number stays as it is written where its case is not sure."""
    parts = split_number(found["number"], grammar)
    if parts is None or len(parts[0]) > MAX_DIGITS:
        return None
    forms = grammar.scales[found["scale"]]
    is_oblique = bool(found["ahead"])
    in_doubt = not is_oblique and word_before(found).lower() in grammar.prepositions - _WITH_ACCUSATIVE
    number = None if in_doubt else _spell_many(parts, forms, grammar, is_oblique=is_oblique)
    is_plural = bool(number and parts[1] == "5" and is_oblique and grammar.code == "ru")
    if not is_plural and (parts[1] or (is_oblique and _is_one(parts[0]))):
        count = Decimal("1.5")
    else:
        count = Decimal(5 if is_plural or is_oblique or in_doubt else parts[0])
    form = choose_form(forms, count, grammar)
    currency = _genitive_plural(found["sign"], grammar) if found["sign"] else ""
    minus = grammar.signs["minus"] if found["minus"] else ""
    said = grammar.join(_spell_about(found["ahead"]), minus, number or found["number"], form, currency or found["sign"])
    return said + kept_stop(found)


def _is_one(whole: str) -> bool:
    return whole[-1] == "1" and whole[-2:] != "11"


_WITH_ACCUSATIVE = frozenset(["o", "po", "по"])
_HALVES = {"pl": ("pół", "półtora", "półtora"), "ru": ("", "полтора", "полутора"), "cs": ("půl", "", "")}
"""Of 0.5 and 1.5, and of 1.5 in the genitive."""


def _spell_many(parts: tuple[str, str], forms: str, grammar: Grammar, *, is_oblique: bool) -> str | None:
    """The number before a thousand or more, in the genitive behind its prepositions; None where that is not sure."""
    whole, decimals = parts
    one = forms.partition("|")[0]
    if decimals == "5" and whole in ("0", "1") and (short := _HALVES[grammar.code][int(whole) * (1 + is_oblique)]):
        return short.replace("полтора", "полторы") if one == "тысяча" else short
    rules = FEMININE if one[-1] in "aа" else MASCULINE
    if decimals not in ("", "5") or (decimals and whole == "0"):
        return None if is_oblique else spell_decimal(whole, decimals, grammar)
    if is_oblique:
        number = None if _is_one(whole) else _spell_case(int(whole), "genitive", "", grammar)
    else:
        number = spell_whole(whole, grammar, rules)
    return grammar.half.format(number) if number and decimals else number
