"""Abbreviations, phrases, ordinals, numbers before what they count, all other numbers."""

import re

from voice_stack.utils.text.spoken.amounts import MINUS, number_shape, spell_attributive
from voice_stack.utils.text.spoken.dates import read_month_year
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
    MAX_DIGITS,
    decline_german,
    spell,
    spell_digits,
    spell_number,
    spell_whole,
)


def abbreviation_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Any of the language's abbreviations; blanks inside them (`z. B.`) do not matter."""
    names = sorted({key.rstrip(_CONDITIONS) for key in grammar.abbreviations}, key=len, reverse=True)
    if not names:
        return None
    spelled = "|".join(re.escape(name).replace(r"\.", r"\. ?").removesuffix(" ?") for name in names)
    return re.compile(rf"(?<![\w.])(?:{spelled})(?!\w)(?! ?\.\w)", re.IGNORECASE)


_CONDITIONS = "#^~<"
_BEHIND_NUMBER = re.compile(r"\d ?$")
_NUMBER = re.compile(r":? ?(?:[+(]?\d|[IVXLC]+(?!\w))")
_SMALL_ROMAN = re.compile(r" [ivxl]{1,6}(?![\w'])")
_NAME = re.compile(r" ?([^\W\d_])(?:[\w'-]|\.)")
# A letter behind a name is that of another name: "Thomas M. Dupont".
_IS_INITIAL = re.compile(
    r"(?<![\w.])(?!(?:Et|Mais|Avec|Chez|Pour|Selon|Quand|Y|El|A|Con|Para|Pero)(?!\w))[^\W\d_a-z][\w'-]+ $"
)


def read_abbreviation(found: re.Match[str], grammar: Grammar) -> str | None:
    """Say what an abbreviation stands for, where it may stand."""
    text, end = found.string, found.end()
    before = text[max(0, found.start() - 60) : found.start()]
    key = found[0].replace(". ", ".")
    name = _NAME.match(text, end)
    is_before_name = name is not None and name[1].isupper()
    if key == "St." and is_before_name and _STREET.search(before) and not _NUMBERED_STREET.search(before):
        return None  # a street or a saint
    is_number = _NUMBER.match(text, end) is not None or (key.lower() in ("p.", "pp.") and _SMALL_ROMAN.match(text, end))
    if key.lower() in ("no.", "nos."):
        is_number = text[end : end + 2].strip()[:1].isdecimal() and (key[0] == "N" or _is_number_sign(found))
    if len(key) == 2 and key[0].isupper() and key[1] == "." and _IS_INITIAL.search(before[-24:]):
        return None
    conditions = {
        "~": _is_street(before, name[1] if name else ""),
        "<": _BEHIND_NUMBER.search(before[-2:]),
        "#": is_number,
        "^": is_before_name,
    }
    choices = [*(key + condition for condition, holds in conditions.items() if holds), key]
    said = next(filter(None, map(grammar.abbreviations.get, choices)), None)
    if said is None and key[:1].isupper():
        small = (choice[:1].lower() + choice[1:] for choice in choices)
        said = next(filter(None, map(grammar.abbreviations.get, small)), None)
        said = said and said[:1].upper() + said[1:]
    return said and said + kept_stop(found)


_BEFORE_NUMBERS = words(
    "is was are the a his her its our my their at in to from ranked seed seeded as and or of on world house room "
    "flight bus route item article track line platform gate lot issue player symphony concerto sonata opus model "
    "serial case order see form exhibit amendment bill reactor unit"
)
_AHEAD_OF_NO_NOUN = re.compile(
    r" ?\d+[A-Za-z]?(?:[.,;:)!?]|$| \(| (?:in|on|of|for|to|at|and|or|is|was|by|with|from)(?!\w))"
)


def _is_number_sign(found: re.Match[str]) -> bool:
    """Whether a small `no.` before a number is none of "He said no. 10 people left"."""
    before = word_before(found).strip("(\"'").lower()
    is_behind_label = not before or before[-1] == "," or before in _BEFORE_NUMBERS
    return is_behind_label or _AHEAD_OF_NO_NOUN.match(found.string, found.end()) is not None


_NUMBERED_STREET = re.compile(r"(?<!\w)\d{1,5}[a-z]? (?:(?:[A-Z][\w'-]*|\d+(?:st|nd|rd|th)) ){1,3}$")
_STREET = re.compile(
    r"(?<![\w'-])(?!(?:A|And|Ask|But|Call|Dear|Good|Hello|Hey|Hi|If|My|No|Oh|Our|See|So|Sorry|Thanks?|The|Well|When|Yes)"
    r"(?!\w))[A-Z][\w'-]+ $"
)


def _is_street(before: str, behind: str) -> bool:
    """Whether the name of an English street stands before a word: with its number, or with no name behind."""
    return bool(_NUMBERED_STREET.search(before) or (not behind.isupper() and _STREET.search(before)))


def phrase_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Any of the language's phrases."""
    shapes = [f"(?P<phrase{n}>{shape})" for n, (shape, _) in enumerate(grammar.phrases)]
    return re.compile("|".join(shapes)) if shapes else None


def read_phrase(found: re.Match[str], grammar: Grammar) -> str | None:
    """Say what the grammar has for a phrase that `phrase_pattern` found."""
    first = found.re.groupindex[found.lastgroup or ""]
    said = grammar.phrases[int((found.lastgroup or "").removeprefix("phrase"))][1]

    def fill(place: re.Match[str]) -> str:
        written, rules = found[first + int(place[1])] or "", place[2]
        return _read_place(written, rules, grammar) if written and rules else written

    return _PLACE.sub(fill, said).rstrip(" ") + (" " if found[0].endswith(" ") else "")


def _read_place(written: str, rules: str, grammar: Grammar) -> str:
    if rules == "n":
        return spell_number(written, grammar)
    if rules == "letters":
        return " ".join(written.upper())
    if rules == "hour-oblique" and not 0 < int(written) <= _LAST_HOUR:
        return written
    if rules in ("plain", "genitive", "nominative", "hour-oblique"):
        return spell(int(written), grammar.code, rules)
    digits = re.sub(r"\D", "", written)
    return spell_digits(digits, grammar) if rules == "d" else spell_whole(digits, grammar, rules)


_LAST_HOUR = 24
_PLACE = re.compile(r"\{(\d)(?::([a-z-]+))?\}")


def ordinal_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number with an ending that makes it an ordinal, or with a dot that may."""
    any_case = "i" if grammar.code == "ru" else "u"
    endings = [rf"(?P<o{n}>(?{any_case}:{shape})){WORD_EDGE_AFTER}" for n, shape in enumerate(grammar.ordinals)]
    dotted = [r"(?P<dot>\.)(?= \w)"] if grammar.ordinal_followers else []
    return _numbers_before([*endings, *dotted])


def _numbers_before(shapes: list[str]) -> re.Pattern[str] | None:
    start = rf"{WORD_EDGE_BEFORE}(?<![.,/:-])(?<!\d[ '])(\d{{1,{MAX_DIGITS}}}+)(?!\d)"
    return re.compile(rf"{start}(?:{'|'.join(shapes)})") if shapes else None


def read_ordinal(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `ordinal_pattern` found."""
    kind = found.lastgroup or ""
    if kind == "dot":
        return _read_dotted(found, grammar)
    return spell_whole(found[1], grammar, list(grammar.ordinals.values())[int(kind[1:])])


def counter_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number before a word that asks for another form of it."""
    edge = WORD_EDGE_AFTER if grammar.is_spaced and grammar.code != "ko" else ""
    return _numbers_before([rf"(?P<c{n}> ?)(?=(?:{shape}){edge})" for n, shape in enumerate(grammar.counters)])


def read_counter(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `counter_pattern` found."""
    digits, rules = found[1], list(grammar.counters.values())[int((found.lastgroup or "")[1:])]
    before, is_romance = word_before(found).lower(), grammar.code in _ROMANCE
    if (is_romance and before in grammar.labels) or read_month_year(digits, found, grammar) is not None:
        return None
    if len(digits) == _YEAR_DIGITS and (grammar.has_long_years or (is_romance and digits[-1] == "1")):
        return None
    is_worded = len(before) > _SHORT_WORD and before[-1].isalpha() and before not in _BEFORE_ONE
    if is_romance and digits == "1" and is_worded:
        return found[0]  # "figura 1 muestra": a label as well as a count
    if grammar.code == "de" and digits == "1":
        return _read_german_one(rules, before, found, grammar)
    if rules == "leave":  # a gender or a case that we do not know
        return found[0] if digits[-1] in "12" and digits[-2:-1] != "1" else None
    if rules == "two":
        return "两" if digits == "2" else None
    if rules == "attributive":
        return spell_attributive(spell_whole(digits, grammar)) + found[0][len(digits) :]
    if grammar.code == "ko":
        return spell_whole(digits, grammar, rules if int(digits) < 100 else CARDINAL) + " "
    return spell_whole(digits, grammar, rules) + found[0][len(digits) :]


def _read_german_one(rules: str, before: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """`ein`, `eine`, `einen`: left as it is written where the gender or the case is not known."""
    behind = _NOUN.match(found.string, found.end())
    noun = behind[0] if behind else ""
    if noun in _GERMAN_MEN:
        return decline_german(f"ein {noun}", found).removesuffix(noun)
    if before in grammar.labels:
        return None
    is_in_doubt = before in _GERMAN_PREPOSITIONS and noun not in ("Uhr", "Mal", "Prozent")
    return found[0] if rules == "leave" or is_in_doubt else spell_whole("1", grammar, rules) + found[0][1:]


_ROMANCE = frozenset(["es", "it", "pt", "fr"])
_SHORT_WORD = 3
_BEFORE_ONE = words(
    "tiene tengo solo sólo cada durante otro apenas para desde hasta ogni dopo avec pour dans tinha fica dura"
)
_NOUN = re.compile(r"[^\W\d_]+")
_GERMAN_MEN = words(
    "Euro Dollar Cent Meter Kilometer Liter Tag Monat Punkt Schritt Mann Platz Franken Teelöffel Esslöffel"
)
_YEAR_DIGITS = 4
_GERMAN_STARTERS = words(
    "Er Sie Es Ich Du Wir Ihr Der Die Das Den Dem Ein Eine Dann Danach Und Aber Auch Doch So Wer Wie Was Wo Hier Da "
    "Dort Nun Heute"
)
_GERMAN_PREPOSITIONS = words(
    "für um durch ohne gegen mit von zu bei nach seit aus ab in an auf vor über unter hinter neben"
)


def _read_dotted(found: re.Match[str], grammar: Grammar) -> str | None:
    follower = re.match(r" (\w+)", found.string[found.end() : found.end() + 40])
    before = word_before(found)
    if grammar.code == "de" and (before not in grammar.ordinal_contexts or found.start() == 0):
        # An ordinal whose case we do not know, the number of a point in a list, or the end of a sentence.
        ends = follower is None or follower[1] in _GERMAN_STARTERS
        return found[0] if not ends and len(found[1]) < _YEAR_DIGITS - 1 else None
    noun = follower[1] if follower else ""
    is_ordinal = noun in grammar.ordinal_followers or (noun[:1].islower() and len(found[1]) < 3)
    if not is_ordinal and before not in grammar.ordinal_contexts:
        return None
    rules = grammar.ordinal_contexts.get(before, "spellout-ordinal")
    rules = _agree_in_german(rules, before, noun, grammar) if grammar.code == "de" else rules
    return spell(int(found[1]), grammar.code, rules) if rules else found[0]


def _agree_in_german(rules: str, before: str, noun: str, grammar: Grammar) -> str:
    """The rule set of an ordinal that goes with its noun as well as with the word before it; empty if not known.

    `sein 13. Monatsgehalt`, `der 10. Klasse`.
    """
    if before in ("der", "Der"):  # with a feminine noun a genitive or a dative
        is_open = noun in ("und", "bis", "oder")
        return "" if is_open else "spellout-ordinal-n" if re.fullmatch(grammar.feminine_nouns, noun) else rules
    is_neuter = rules == "spellout-ordinal-r" and re.fullmatch(grammar.neuter_nouns, noun)
    return "spellout-ordinal-s" if is_neuter else rules


def year_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A year with a word that makes it an ordinal."""
    names = "|".join(re.escape(name) for name in sorted(grammar.years, key=len, reverse=True))
    edge = WORD_EDGE_AFTER if grammar.is_spaced else ""
    return re.compile(rf"{WORD_EDGE_BEFORE}(?<![.,/:-])(\d{{4}}) ?({names}){edge}") if names else None


_IN = frozenset(["w", "we", "po", "o", "przy", "в", "во", "о", "об", "при"])
_AHEAD_OF = frozenset(["przed", "między", "nad", "перед", "между", "над"])
_RUSSIAN = "spellout-ordinal-masculine"


def read_year(found: re.Match[str], grammar: Grammar) -> str:
    """Read what `year_pattern` found."""
    rules, _, word = grammar.years[found[2]].partition("|")
    if rules == "year":
        return spell_digits(found[1], grammar) + found[2]
    before, is_short = word_before(found).lower(), found[2] in ("r.", "г.")
    if before in _IN and grammar.code == "pl":
        rules = "locative"
    elif before in _IN and is_short:
        rules, word = f"{_RUSSIAN}-locative", "году"
    elif before in _AHEAD_OF and is_short:
        rules, word = ("locative", "rokiem") if grammar.code == "pl" else (f"{_RUSSIAN}-ablative", "годом")
    elif before in ("к", "ко") and found[2] == "г.":
        rules, word = f"{_RUSSIAN}-dative", "году"
    return f"{spell(int(found[1]), grammar.code, rules)} {word or found[2]}{kept_stop(found)}"


def numeral_pattern(grammar: Grammar) -> re.Pattern[str]:
    """Any number, with a sign where it is no hyphen."""
    return re.compile(rf"({MINUS}|(?<![\w)\]%°€$£+])\+)?({number_shape(grammar)})")


def read_numeral(found: re.Match[str], grammar: Grammar) -> str:
    """Read any number, with its sign."""
    sign, number = found.groups()
    before = found.string[max(0, found.start() - 2) : found.start()]
    is_slashed = re.fullmatch(r"\d/", before) or re.match(r"/\d", found.string[found.end() : found.end() + 2])
    if is_slashed and grammar.code in _DECLINING:
        return found[0]
    if not sign and (year := read_month_year(number, found, grammar)):
        return year
    if _is_year_in_case(number, found, grammar):
        return found[0]
    spoken = _spell_old_year(number, found, grammar) or _spell_version(number, found, grammar)
    if spoken is None and grammar.code == "cs" and _is_czech_label(number, found, grammar):
        spoken = spell_whole(number, grammar, FEMININE)  # "číslo jedna"
    spoken = spoken or spell_number(number, grammar)
    if sign and sign in "-–" and _BEHIND_NUMBER.search(before):
        return f"{sign}{spoken}"  # `10 -12` may be a range
    return grammar.join(grammar.signs["+" if sign == "+" else "minus"], spoken) if sign else spoken


def _is_czech_label(number: str, found: re.Match[str], grammar: Grammar) -> bool:
    """Whether a number that ends in one counts nothing."""
    is_one = number.isdecimal() and number[-1] == "1" and number[-2:] != "11" and number[0] != "0"
    is_named = word_before(found).lower() in grammar.labels
    counts = not is_named and re.match(r" [^\W\d_]", found.string[found.end() : found.end() + 3])
    return is_one and len(number) < MAX_DIGITS and not counts


_BEFORE_YEARS = words("in since until till by from year around about before after ad circa")
_BEHIND_OLD_YEAR = re.compile(
    r"(?:$|[,.;:!?)]| (?:a|an|the|he|she|it|they|we|his|her|their|and|to|by|when|at|in|as|AD|CE|[A-Z]\w*)(?!\w))"
)


_DECLINING = frozenset(["cs", "de", "es", "fr", "it", "pl", "pt", "ru"])
_COUNTED = re.compile(r" [^\W\d_]{3,}(?<![łаеиоуыюяaeiouyáéíóúý])(?!\w)")
_BEFORE_SLAVIC_YEARS = words("w we od do po z rok roku roce v ve на в с со по до к от из года году lat latem zimą")


def _is_year_in_case(number: str, found: re.Match[str], grammar: Grammar) -> bool:
    """Whether a number may be a Slavic year, an ordinal whose case we do not know; in Czech, whose gender."""
    if not re.fullmatch(r"1\d{3}|20\d\d", number) or number.endswith("00"):
        return False
    if grammar.code == "cs":
        return number[-1] in "12" and number[-2] != "1"
    if grammar.code not in ("pl", "ru"):
        return False
    return word_before(found).lower() in _BEFORE_SLAVIC_YEARS or not _COUNTED.match(found.string, found.end())


def _spell_old_year(number: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read an English year before 1100 in pairs, where nothing is counted: `in 1066 they landed`."""
    if grammar.code != "en" or not re.fullmatch(r"10(?!0)\d\d", number):
        return None
    behind = found.string[found.end() : found.end() + 12]
    is_year = word_before(found).lower() in _BEFORE_YEARS and _BEHIND_OLD_YEAR.match(behind)
    return f"ten {spell_whole(number[2:], grammar)}" if is_year else None


_VERSIONS = re.compile(
    r"v(?:$|\.|ers|erz)|wers|верс|выпуск|release|kap|chap|cap[ií]|sect|secc|seç|sezion|раздел|глав|пункт|abschn|punkt|tab|abb|fig|"
    r"jádr|ядр|kernel|§|rozdz|fejezet|bölüm|sürüm",
    re.IGNORECASE,
)


def _spell_version(number: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a point by its name where decimals have a comma: it is what is written, and mostly in a version."""
    if grammar.decimal != "," or not re.fullmatch(r"\d{1,4}\.\d{1,2}", number):
        return None
    behind = found.string[found.end() : found.end() + 16]
    word = behind.split()[0] if behind.strip() else ""
    if behind.startswith(" ") and word.rstrip(".,;") in grammar.scales:
        return None
    before = word_before(found)
    is_version = before[:1].isupper() or _VERSIONS.match(before)
    if re.fullmatch(r"0\d\.\d\d", number) or (word[:1].islower() and not is_version):
        return number  # a time, or a decimal number of something
    return f" {grammar.signs['.']} ".join(spell_whole(part, grammar) for part in number.split("."))
