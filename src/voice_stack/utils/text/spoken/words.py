"""Abbreviations, ordinals, phone numbers and signs between numbers."""

import functools
import re

from voice_stack.utils.text.spoken.amounts import MINUS, number_shape, spell_attributive
from voice_stack.utils.text.spoken.dates import (
    read_month_year,
    read_year_ordinal,
    spell_genitive,
    spell_nominative,
    spell_polish_hour,
    word_before,
)
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_AFTER, WORD_EDGE_BEFORE, Grammar, words
from voice_stack.utils.text.spoken.numbers import (
    CARDINAL,
    FEMININE,
    MAX_DIGITS,
    agree_in_german,
    decline_german,
    spell,
    spell_digits,
    spell_number,
    spell_whole,
)

# Seven digits are a number of a phone and no range where the last four begin with a zero, or one is asked to call.
PHONE = re.compile(
    WORD_EDGE_BEFORE + r"(?<![.,:/+-])(?:\+1[ .-]?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}"
    r"|\+\d{1,3}(?:[ ./-]{0,2}\(\d{1,5}\))?(?:[ ./-]{0,2}\d{1,5}){2,7}|\(\d{2,5}\) ?\d{2,5}(?:[ -]\d{2,5}){0,4}"
    r"|(?:1[-.])?\d{3}[-. ]\d{3}[-. ]\d{4}|\d{3}-0\d{3}|(?:\d{4}[ -]){3}\d{4}|\d{4}[ -]\d{6}[ -]\d{5}"
    r"|(?:(?<=[Tt]el\. )|(?<=[Tt]el\.: )|(?<=[Ff]ax: )|(?<=[Ff]ax )|(?<=kom\. )|(?<=el\. č\. )"
    r"|(?<=čísle: )|(?<=elefon )|(?<=elefonu )|"
    r"(?<=elefonu: )|(?<=elefon: )|(?<=obil: )|(?<=obil ))\d(?:\d{3,8}|[\d ]{5,14}\d)"
    r"|(?<=[Tt]el: )\d{4,9}(?![ -]?\d)|\d\d(?: \d{4}){6}"
    r"|(?:(?<=[Cc]all )|(?<=[Dd]ial )|(?<=[Pp]hone )"
    r"|(?<=# is )|(?<=umber is )|(?<=umber: )|(?<=[Tt]el )|(?<=[Tt]el\. )|(?<=[Ff]ax ))\d{3}-\d{4}"
    r"|555-\d{4}|\d{1,7}(?:-\d{1,7}){2,6}|\d{3}-\d\d-\d\d"
    r"|(?<!\d )0(?!00)\d{1,4}(?:(?:[ -]\d{2,8}){1,5}|/\d{4,8}(?:[ -]\d{2,8}){0,4}))(?![^\W\u2e80-\ufaff]|/|[.,-]\d)"
)
_PHONE_DIGITS, _LISTED_DIGITS = 6, 9
_IS_CHAIN = re.compile(r"[1-9]\d*(?:-\d+){2,}")  # `4-4-2`
_LOCAL_PHONE = re.compile(r"\d{3}-\d\d-\d\d")


@functools.cache
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
    key = found[0].replace(". ", ".")
    name = _NAME.match(text, end)
    is_before_name = name is not None and name[1].isupper()
    before = text[max(0, found.start() - 60) : found.start()]
    if key == "St." and is_before_name and _STREET.search(before) and not _NUMBERED_STREET.search(before):
        return None  # a street or a saint
    is_number = _NUMBER.match(text, end) is not None or (key.lower() in ("p.", "pp.") and _SMALL_ROMAN.match(text, end))
    if key.lower() in ("no.", "nos."):
        is_number = text[end : end + 2].strip()[:1].isdecimal() and (key[0] == "N" or _is_number_sign(found))
    if (
        len(key) == 2
        and key[0].isupper()
        and key[1] == "."
        and _IS_INITIAL.search(text[max(0, found.start() - 24) : found.start()])
    ):
        return None
    conditions = [
        "~" if _is_street(found, name[1] if name else "") else "",
        "<" if _BEHIND_NUMBER.search(text[max(0, found.start() - 2) : found.start()]) else "",
        "#" if is_number else "",
        "^" if is_before_name else "",
    ]
    choices = [key + condition for condition in conditions if condition] + [key]
    said = next((grammar.abbreviations[name] for name in choices if name in grammar.abbreviations), None)
    if said is None and key[:1].isupper():
        lower = (choice[:1].lower() + choice[1:] for choice in choices)
        said = next((grammar.abbreviations[name] for name in lower if name in grammar.abbreviations), None)
        said = said and said[:1].upper() + said[1:]
    ends = found[0].endswith(".") and end == len(text.rstrip())
    return f"{said}." if said and ends else said


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
    return (
        not before
        or before[-1] == ","
        or before in _BEFORE_NUMBERS
        or _AHEAD_OF_NO_NOUN.match(found.string, found.end()) is not None
    )


_NUMBERED_STREET = re.compile(r"(?<!\w)\d{1,5}[a-z]? (?:(?:[A-Z][\w'-]*|\d+(?:st|nd|rd|th)) ){1,3}$")
_STREET = re.compile(
    r"(?<![\w'-])(?!(?:A|And|Ask|But|Call|Dear|Good|Hello|Hey|Hi|If|My|No|Oh|Our|See|So|Sorry|Thanks?|The|Well|When|Yes)"
    r"(?!\w))[A-Z][\w'-]+ $"
)


def _is_street(found: re.Match[str], behind: str) -> bool:
    """Whether the name of an English street stands before a match: with its number, or with no name behind."""
    before = found.string[max(0, found.start() - 60) : found.start()]
    return bool(_NUMBERED_STREET.search(before) or (not behind.isupper() and _STREET.search(before)))


GERMAN_STREET = re.compile(r"(?<!\w)([^\W\d_]{2,40})str\.(?= |$)")


def read_street(found: re.Match[str], _grammar: Grammar) -> str:
    """Read the name of a German street that `GERMAN_STREET` found (`Hauptstr.`)."""
    return f"{found[1]}straße" + ("" if found.string[found.end() :].strip() else ".")


@functools.cache
def phrase_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """Any of the language's phrases."""
    shapes = [f"(?P<phrase{n}>{shape})" for n, (shape, _) in enumerate(grammar.phrases)]
    return re.compile("|".join(shapes)) if shapes else None


@functools.cache
def _phrases(grammar: Grammar) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(shape) for shape, _ in grammar.phrases)


def read_phrase(found: re.Match[str], grammar: Grammar) -> str | None:
    """Say what the grammar has for a phrase that `phrase_pattern` found."""
    number = int((found.lastgroup or "").removeprefix("phrase"))
    # Matched again by itself, since its groups have numbers of their own.
    phrase = _phrases(grammar)[number].match(found.string, found.start(), found.endpos)
    if phrase is None:
        return None

    def fill(place: re.Match[str]) -> str:
        written, rules = phrase[int(place[1])] or "", place[2]
        if rules is None or not written:
            return written
        if rules == "n":
            return spell_number(written, grammar)
        if rules == "letters":
            return " ".join(written.upper())
        if rules == "hour":
            return spell_polish_hour(int(written), "o") if 0 < int(written) <= 24 else written
        if rules == "day":
            return spell_genitive(int(written), grammar.code)
        if rules == "day-nominative":
            return spell_nominative(int(written), grammar.code)
        if rules == "plain":
            return spell(int(written), grammar.code)
        digits = re.sub(r"\D", "", written)
        return spell_digits(digits, grammar) if rules == "d" else spell_whole(digits, grammar, rules)

    return _PLACE.sub(fill, grammar.phrases[number][1]).rstrip(" ") + (" " if found[0].endswith(" ") else "")


_PLACE = re.compile(r"\{(\d)(?::([a-z-]+))?\}")


@functools.cache
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


@functools.cache
def counter_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A number before a word that asks for another form of it."""
    edge = WORD_EDGE_AFTER if grammar.is_spaced and grammar.code != "ko" else ""
    return _numbers_before([rf"(?P<c{n}> ?)(?=(?:{shape}){edge})" for n, shape in enumerate(grammar.counters)])


def read_counter(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `counter_pattern` found."""
    digits, rules = found[1], list(grammar.counters.values())[int((found.lastgroup or "")[1:])]
    is_label = grammar.code in _ROMANCE and word_before(found).lower() in _ROMANCE_LABELS
    if is_label or read_month_year(digits, found, grammar) is not None:
        return None
    if len(digits) == _YEAR_DIGITS and (grammar.has_long_years or (grammar.code in _ROMANCE and digits[-1] == "1")):
        return None
    before = word_before(found).lower()
    if (
        grammar.code in _ROMANCE
        and digits == "1"
        and len(before) > _SHORT_WORD
        and before[-1].isalpha()
        and before not in _BEFORE_ONE
    ):
        return found[0]  # "figura 1 muestra": a label as well as a count
    noun = _NOUN.match(found.string, found.end())
    if grammar.code == "de" and digits == "1" and noun and noun[0] in _GERMAN_MEN:
        return decline_german(f"ein {noun[0]}", found).removesuffix(noun[0])
    if grammar.code == "de" and digits == "1" and before in _GERMAN_LABELS:
        return None
    is_german = grammar.code == "de" and digits == "1" and not (noun and noun[0] in ("Uhr", "Mal", "Prozent"))
    if rules == "leave" or (is_german and before in _GERMAN_PREPOSITIONS):  # a gender or a case that we do not know
        return found[0] if digits[-1] in "12" and digits[-2:-1] != "1" else None
    if rules == "two":
        return "两" if digits == "2" else None
    if rules == "attributive":
        return spell_attributive(spell_whole(digits, grammar)) + found[0][len(digits) :]
    if grammar.code == "ko":
        return spell_whole(digits, grammar, rules if int(digits) < 100 else CARDINAL) + " "
    return spell_whole(digits, grammar, rules) + found[0][len(digits) :]


_ROMANCE = frozenset(["es", "it", "pt", "fr"])
_SHORT_WORD = 3
_ROMANCE_LABELS = words(
    "artículo página figura número capítulo tabla carretera ruta línea versión canal sala aula puerta ley anexo punto "
    "articolo pagina numero capitolo tabella statale strada linea versione canale legge allegato "
    "artigo tabela rodovia linha versão lei article page numéro chapitre figure ligne nº n° n.º núm. no."
)
_BEFORE_ONE = words(
    "tiene tengo solo sólo cada durante otro apenas para desde hasta ogni dopo avec pour dans tinha fica dura"
)
_NOUN = re.compile(r"[^\W\d_]+")
_GERMAN_MEN = words(
    "Euro Dollar Cent Meter Kilometer Liter Tag Monat Punkt Schritt Mann Platz Franken Teelöffel Esslöffel"
)
_YEAR_DIGITS = 4
_GERMAN_LABELS = words(
    "abb. abbildung abs. absatz abschnitt akt anhang anlage art. artikel aufgabe ausgang band bd. beispiel bild block "
    "buchstabe ebene fall fig. figur folge formel frage gleis gruppe halbsatz halle haus kanal kap. kapitel klasse "
    "lektion level liga linie modell nr nr. nummer option phase platz punkt quartal rang raum runde s. saal satz "
    "schritt seite spalte spur staffel station stufe szene tab. tabelle teil terminal tor typ variante version "
    "windows zeile ziff. ziffer zimmer übung"
)
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
    is_ordinal = follower and (
        follower[1] in grammar.ordinal_followers or (follower[1][0].islower() and len(found[1]) < 3)
    )
    if not is_ordinal and before not in grammar.ordinal_contexts:
        return None
    default = "spellout-ordinal-s" if follower and follower[1].startswith(("Jahr", "Kap", "Stockw", "Mal")) else ""
    default = default or grammar.day if grammar.code == "de" else "spellout-ordinal"
    rules = grammar.ordinal_contexts.get(before, default)
    rules = agree_in_german(rules, before, follower[1]) if grammar.code == "de" and follower else rules
    return spell(int(found[1]), grammar.code, rules) if rules else found[0]


@functools.cache
def year_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A year with a word that makes it an ordinal."""
    names = "|".join(re.escape(name) for name in sorted(grammar.years, key=len, reverse=True))
    edge = WORD_EDGE_AFTER if grammar.is_spaced else ""
    return re.compile(rf"{WORD_EDGE_BEFORE}(?<![.,/:-])(\d{{4}}) ?({names}){edge}") if names else None


_IN = frozenset(["w", "we", "po", "o", "przy", "в", "во", "о", "об", "при"])
_AHEAD_OF = frozenset(["przed", "między", "nad", "перед", "между", "над"])
_LOCATIVE = "spellout-ordinal-masculine-locative"


def read_year(found: re.Match[str], grammar: Grammar) -> str:
    """Read what `year_pattern` found."""
    rules, _, word = grammar.years[found[2]].partition("|")
    if rules == "year":
        return spell_digits(found[1], grammar) + found[2]
    if word_before(found).lower() in _IN:
        rules, word = {"genitive": ("locative", word), "г.": (_LOCATIVE, "году")}.get(
            rules if grammar.code == "pl" else found[2], (rules, word)
        )
    elif word_before(found).lower() in _AHEAD_OF and found[2] in ("r.", "г."):
        rules, word = ("locative", "rokiem") if grammar.code == "pl" else (f"{_LOCATIVE[:-8]}ablative", "годом")
    elif word_before(found).lower() in ("к", "ко") and found[2] == "г.":
        rules, word = f"{_LOCATIVE[:-8]}dative", "году"
    year = read_year_ordinal(int(found[1]), rules, grammar)
    stop = "." if found[2] in ("r.", "г.") and found.end() == len(found.string.rstrip()) else ""
    return f"{year} {word or found[2]}{stop}"


def read_phone(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a phone number that `PHONE` found: digit by digit, with a breath between its groups."""
    groups = re.findall(r"\d+", found[0])
    count = sum(map(len, groups))
    if count < _PHONE_DIGITS or (
        count < _LISTED_DIGITS and _IS_CHAIN.fullmatch(found[0]) and not _LOCAL_PHONE.fullmatch(found[0])
    ):
        return None
    if grammar.code == "fr" and all(len(group) == 2 for group in groups):
        return ", ".join(spell_whole(group, grammar) for group in groups)
    plus = grammar.signs["+"] + (" " if grammar.is_spaced else "") if found[0].startswith("+") else ""
    return plus + ", ".join(spell_digits(group, grammar) for group in groups)


@functools.cache
def numeral_pattern(grammar: Grammar) -> re.Pattern[str]:
    """Any number, with a sign where it is no hyphen."""
    return re.compile(rf"({MINUS}|(?<![\w)\]%°€$£+])\+)?({number_shape(grammar)})")


def read_numeral(found: re.Match[str], grammar: Grammar) -> str:
    """Read any number, with its sign."""
    sign, number = found.groups()
    text, end = found.string, found.end()
    is_slashed = (text[end : end + 1] == "/" and text[end + 1 : end + 2].isdecimal()) or (
        text[max(0, found.start() - 2) : found.start()][-1:] == "/"
        and text[max(0, found.start() - 2) : found.start()][:1].isdecimal()
    )
    if is_slashed and grammar.code in _DECLINING:
        return found[0]
    if not sign and (year := read_month_year(number, found, grammar)):
        return year
    if _is_year_in_case(number, found, grammar):
        return found[0]
    spoken = _spell_old_year(number, found, grammar) or _spell_version(number, found, grammar)
    if spoken is None and grammar.code == "cs" and _is_czech_label(number, found):
        spoken = spell_whole(number, grammar, FEMININE)  # "číslo jedna"
    spoken = spoken or spell_number(number, grammar)
    blank = " " if grammar.is_spaced else ""
    if sign and sign in "-–" and _BEHIND_NUMBER.search(found.string[max(0, found.start() - 2) : found.start()]):
        return f"{sign}{spoken}"  # `10 -12` may be a range
    return f"{grammar.signs['+' if sign == '+' else 'minus']}{blank}{spoken}" if sign else spoken


_CZECH_LABELS = words(
    "číslo čísla č. odst. kapitola kapitole strana straně verze úloha obrázek tabulka část dálnice linka"
)


def _is_czech_label(number: str, found: re.Match[str]) -> bool:
    """Whether a number that ends in one counts nothing."""
    is_one = number.isdecimal() and number[-1] == "1" and number[-2:] != "11" and number[0] != "0"
    is_named = word_before(found).lower() in _CZECH_LABELS
    return (
        is_one
        and len(number) < MAX_DIGITS
        and (is_named or not re.match(r" [^\W\d_]", found.string[found.end() :][:3]))
    )


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
    is_year = (
        grammar.code == "en" and re.fullmatch(r"10(?!0)\d\d", number) and word_before(found).lower() in _BEFORE_YEARS
    )
    if not is_year or not _BEHIND_OLD_YEAR.match(found.string[found.end() : found.end() + 12]):
        return None
    return f"ten {spell_whole(number[2:], grammar)}"


_VERSIONS = re.compile(
    r"v(?:$|\.|ers|erz)|wers|верс|выпуск|release|kap|chap|cap[ií]|sect|secc|seç|sezion|раздел|глав|пункт|abschn|punkt|tab|abb|fig|"
    r"jádr|ядр|kernel|§|rozdz|fejezet|bölüm|sürüm",
    re.IGNORECASE,
)


def _spell_version(number: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a point by its name where decimals have a comma: it is what is written, and mostly in a version."""
    behind = found.string[found.end() : found.end() + 16].split()
    is_scaled = (
        found.string[found.end() : found.end() + 1] == " " and behind and behind[0].rstrip(".,;") in grammar.scales
    )
    if grammar.decimal != "," or is_scaled or not re.fullmatch(r"\d{1,4}\.\d{1,2}", number):
        return None
    before = word_before(found)
    is_version = before[:1].isupper() or _VERSIONS.match(before)
    if re.fullmatch(r"0\d\.\d\d", number) or (behind and behind[0][0].islower() and not is_version):
        return number  # a time, or a decimal number of something
    return f" {grammar.signs['.']} ".join(spell_whole(part, grammar) for part in number.split("."))
