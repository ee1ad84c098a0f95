"""Names of files and users, addresses, phone numbers, Roman numerals."""

import re
import unicodedata

from voice_stack.utils.text.script import roman_value
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_BEFORE, Grammar, word_before, words
from voice_stack.utils.text.spoken.numbers import CARDINAL, spell, spell_digits, spell_whole

_ENDINGS = (
    "pdf|txt|md|csv|tsv|json|jsonl|ya?ml|toml|xml|html?|css|js|ts|py|sh|exe|zip|tar|gz|tgz|7z|rar|mp3|mp4|m4a|wav|flac|"
    "ogg|opus|mkv|avi|mov|webm|jpe?g|png|gif|svg|webp|docx?|xlsx?|pptx?|odt|log|ini|cfg|conf|sql|iso|apk|dll|srt|vtt|epub"
)
FILE = re.compile(rf"(?<![\w@./-])[\w-]{{1,100}}(?:\.[\w-]{{1,30}}){{0,3}}\.(?:{_ENDINGS})(?![\w@/-]|\.\w)")
# Hardware and network addresses: left to the engine, which spells them.
HEXADECIMAL = re.compile(
    r"(?<![\w:])(?=[\d:]{0,30}[A-Fa-f])(?:[0-9A-Fa-f]{1,4}:){4,7}:?[0-9A-Fa-f]{1,4}(?![\w:])|(?<!\w)0x[0-9A-Fa-f]+(?!\w)"
)
TAG = re.compile(r"(?<![\w@#&/.])([@#])([^\W\d_]\w{0,99})(?![\w@])")
_WORD_IN_TAG = re.compile(r"_+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


def read_tag(found: re.Match[str], grammar: Grammar) -> str:
    """Read a hashtag word by word (`#VoiceStack`), or a user's name (`@voice_stack`), that `TAG` found."""
    mark = grammar.signs["@"] if found[1] == "@" else grammar.signs.get("hashtag", "hashtag")
    name = _WORD_IN_TAG.sub(" ", found[2]).strip()
    return grammar.join(mark, re.sub(r"\d+", lambda digits: spell_whole(digits[0], grammar), name))


_DOMAINS = (
    "com|org|net|edu|gov|info|io|ai|dev|app|de|at|ch|fr|es|it|pt|br|pl|nl|be|cz|ru|uk|eu|us|hu|tr|cn|jp|kr|in|se|dk|"
    "no|fi|gr|ro|ua|sk|bg|hr|mx|ar|co|tv|me|local"
)
EMAIL = re.compile(r"(?<![\w.+%-])(?:mailto:)?[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# The last character is none of those that end the sentence around the address.
WEB = re.compile(
    rf"(?<![\w@./-])(?:https?://|www\.)[^\s<>\"]*[\w/]|(?<![\w@./-])(?:[a-z0-9-]{{2,63}}\.|[a-z]\.(?=com?(?!\w))){{1,4}}(?:{_DOMAINS})"
    rf"(?![\w@])(?:/[^\s<>\"]*[\w/])?",
    re.IGNORECASE,
)
_FORGOTTEN_BLANK = re.compile(r"[\w-]*[a-z]\.[A-Z][a-z]")
_SPOKEN_MARKS = "./-_@&="


def read_address(found: re.Match[str], grammar: Grammar) -> str:
    """Read an address that `EMAIL` or `WEB` found: the marks by name, without `https` and what follows a `?`."""
    if _FORGOTTEN_BLANK.fullmatch(found[0]):
        return found[0]  # "a big cut.At the same time"
    text = re.sub(r"(?i)^(?:https?://|mailto:)", "", found[0])
    text = re.split(r"[?#]", text, maxsplit=1)[0].rstrip("/") or text
    text = re.sub(r"(?i)^www\.", "w w w.", text)
    return " ".join(re.sub(r"\d+|[\W_]", lambda part: _read_part(part[0], grammar), text).split())


def _read_part(part: str, grammar: Grammar) -> str:
    if part.isdecimal():
        return f" {spell_whole(part, grammar)} "
    return f" {grammar.signs[part]} " if part in _SPOKEN_MARKS and part in grammar.signs else " "


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


def read_phone(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a phone number that `PHONE` found: digit by digit, with a breath between its groups."""
    groups = re.findall(r"\d+", found[0])
    count = sum(map(len, groups))
    is_chain = count < _LISTED_DIGITS and _IS_CHAIN.fullmatch(found[0]) and not _LOCAL_PHONE.fullmatch(found[0])
    if count < _PHONE_DIGITS or is_chain:
        return None
    if grammar.code == "fr" and all(len(group) == 2 for group in groups):
        return ", ".join(spell_whole(group, grammar) for group in groups)
    plus = grammar.signs["+"] if found[0].startswith("+") else ""
    return grammar.join(plus, ", ".join(spell_digits(group, grammar) for group in groups))


ROMAN = re.compile(r"(?<![\w.])([IVXLC]{1,7})\.?(er|e|ème)?(?!\w|'(?!s(?!\w))|\.\w)")
PAGE = re.compile(r"(?<=[\w.] )([ivxl]{1,6})(?![\w'-]|\.\w)")
ONE_SIGN = re.compile("[\u2150-\u2188\u2460-\u2473\u2776-\u2793]")
_ROMAN_SHAPE = re.compile(r"(?:C{1,3})?(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMANCE_ARTICLES = words("A As El Il La Le Les Lo Los O Os")
_ROMAN_RANGE = re.compile(r"(?<!\w)[IVXLC]{1,7}[-–]$"), re.compile(r"[-–][IVXLC]{1,7}(?!\w)")
_RULERS = words("""
    Louis Ludwig Luis Luigi Luís Lodewijk Henry Heinrich Henri Enrique Enrico Henrique Hendrik George Georg Jorge
    Giorgio Charles Karl Carlos Carlo Karel Edward Eduard Eduardo Richard Ricardo William Wilhelm Guillermo Guillaume
    Willem James Jakob Jaime Elizabeth Elisabeth Isabel Elisabetta Mary Philip Philipp Philippe Felipe Filippo Filips
    Francis Franz François Francisco Francesco Frederick Friedrich Frédéric Federico Frederik John Johannes Jean Juan
    Giovanni João Johan Paul Paulus Pablo Paolo Paulo Pius Pie Pío Pio Benedict Benedikt Benoît Benedicto Benedetto
    Bento Leo Léon León Leone Leão Gregory Gregor Grégoire Gregorio Clement Innocent Alexander Alexandre Alejandro
    Alessandro Nicholas Nikolaus Nicolas Nicolás Nicola Catherine Katharina Catalina Caterina Peter Pierre Pedro Pietro
    Otto Napoleon Napoléon Napoleón Napoleone Joseph Josef José Leopold Maximilian Gustav Christian Harald Haakon Olav
    Alfonso Fernando Ferdinand Umberto Vittorio Emanuele Manuel Victor Stephen Ramses Rama Abdullah Mehmed Murad Bush
    Beatrix Juliana Constantine Theodosius Justinian Xerxes Darius Ptolemy Alfonso Sancho Albert Baudouin Carol
    Людовик Генрих Георг Карл Эдуард Ричард Вильгельм Яков Филипп Франциск Фридрих Иоанн Павел Пий Бенедикт
    Лев Григорий Александр Николай Пётр Петр Наполеон Иван Фёдор
""")
_LIVED = re.compile(
    r" (?:sat|spoke|said|says|died|was born|married|told|asked|joined|served|lives|worked|ran|went|came|stood|walked|"
    r"became|wrote|ruled|reigned|succeeded|inherited)(?!\w)"
)
_WITH_ACCUSATIVE, _WITH_DATIVE = words("gegen für durch ohne um"), words("mit von bei nach seit aus unter zu vor")
# "I" is no pronoun behind these words and before these.
_FIRST_AHEAD = words("""
    War Act Scene Chapter Part Volume Vol Book Section Title Article Appendix Figure Canto Level Grade Stage Type Phase
    Class Division Group Category Schedule
""")
_PRONOUN_BEHIND = re.compile(r" (?:am|have|had|was|will|would|do|did|can|think|know)(?!\w)")
_FIRST_BEHIND = re.compile(r"\.?(?:$|[,;:.!?)]| (?:of|and|or|to|is|in|ended|began|broke|started|lasted)(?!\w)|[-–])")
_TYPED = words("Type Phase Class Division Category War")


def read_one_sign(found: re.Match[str], grammar: Grammar) -> str:
    """Read a numeral that is one character and `ONE_SIGN` found: `Ⅳ`, `①`."""
    behind = found.string[found.end() : found.end() + 1]
    blank = grammar.blank if behind.isalnum() or ONE_SIGN.match(behind) else ""
    return spell(int(unicodedata.numeric(found[0])), grammar.code) + blank


_PARTS = words("chapter part section volume book act scene article")
_PAGES = words("page pages p. pp. seite seiten s. página páginas pág. pagina pagine pag. pagina's blz. strana strany")


def read_page(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a small Roman numeral that `PAGE` found, behind a word for a page."""
    value = _roman_value(found[1].upper())
    before = word_before(found).lower()
    is_word = found[1] == "i" and grammar.code in ("it", "pl", "cs")
    is_part = grammar.code == "en" and before in _PARTS and len(found[1]) > 1
    return spell(value, grammar.code) if value and not is_word and (is_part or before in _PAGES) else None


def read_roman(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a Roman numeral, where the words around it leave no doubt that it is one."""
    numeral, ending = found.groups()
    value = _roman_value(numeral)
    behind = re.match(r"\.? (\w+)", found.string[found.end() : found.end() + 40])
    before = word_before(found)
    before = grammar.abbreviations.get(f"{before}#", before)
    if not value or numeral in ("C", "L") or _is_unsure(before, found, grammar):
        return None
    is_german = grammar.code == "de" and found[0].endswith(".") and behind and before in grammar.ordinal_contexts
    if is_german:  # "das II. Vatikanische Konzil"
        return spell(value, "de", grammar.ordinal_contexts[before])
    if numeral == "I":
        return _read_first(before, ending, found, grammar)
    if behind and behind[1] in grammar.roman_followers:
        return _read_century(value, behind[1], before.lower(), grammar)
    if ending in ("e", "ème"):
        return spell(value, "fr", "spellout-ordinal-masculine") if grammar.code == "fr" else None
    if before.lower() in grammar.roman_words:
        is_ordinal = grammar.code == "it" and before.lower() == "secolo"
        return spell(value, grammar.code, "spellout-ordinal-masculine" if is_ordinal else CARDINAL) + _kept_dot(found)
    if len(numeral) < 2 or not set(numeral) <= set("IVX") or not before[:1].isupper():
        return None
    if grammar.code in ("pl", "cs", "ru"):
        return _read_slavic_ruler(value, before, found, grammar)
    name = before.removesuffix("s") if grammar.code == "de" else before
    if before in _RULERS or name in _RULERS or _is_person(found, grammar):
        return _read_ruler(value, found, grammar)
    return spell(value, grammar.code) + _kept_dot(found) if not _may_be_person(found, numeral) else None


def _is_unsure(before: str, found: re.Match[str], grammar: Grammar) -> bool:
    """Whether a numeral is an end of a range, half of which would be read (`XVI-XVII`), or an ordinal (`La II`)."""
    first, second = _ROMAN_RANGE
    ahead = found.string[max(0, found.start() - 9) : found.start()]
    is_in_range = first.search(ahead) is not None or second.match(found.string, found.end()) is not None
    return is_in_range or (before in _ROMANCE_ARTICLES and grammar.code in ("es", "fr", "it", "pt"))


def _read_first(before: str, ending: str | None, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read an `I`: in English a numeral only where it can be no pronoun."""
    is_ruler = before in _RULERS
    if ending == "er":
        return "premier" if is_ruler else None
    if ending:
        return None
    rest = found.string[found.start() + 1 : found.start() + 24]
    if grammar.code in ("pl", "cs", "ru"):
        return _read_slavic_ruler(1, before, found, grammar)
    if grammar.code != "en":
        if is_ruler:
            return grammar.regnal_first + _kept_dot(found) if grammar.regnal_first else _read_ruler(1, found, grammar)
        return spell(1, grammar.code) + _kept_dot(found) if before.lower() in grammar.roman_words else None
    if is_ruler and re.match(r"(?:$|[,;:.!?)]| of(?!\w)| \()", rest):
        return _read_ruler(1, found, grammar)
    is_typed = before.rstrip(".") in _TYPED  # "in this category I list"
    is_followed = _FIRST_BEHIND.match(rest) or (is_typed and not re.match(r" [a-z]+ed ", rest))
    if before.rstrip(".").capitalize() not in _FIRST_AHEAD or not is_followed or _PRONOUN_BEHIND.match(rest):
        return None
    return spell(1, "en") + _kept_dot(found)


def _read_century(value: int, word: str, before: str, grammar: Grammar) -> str | None:
    """Read a century, in the case that its word or the preposition shows."""
    rules = grammar.roman_followers[word]
    if grammar.code == "pl" and before in ("w", "we") and word == "wieku":
        rules = "locative"
    elif grammar.code == "cs":
        rules = "locative" if before == "v" else rules if before in ("do", "od", "z", "ze") else ""
    return spell(value, grammar.code, rules) if rules else None


def _read_slavic_ruler(value: int, before: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read the numeral of a ruler whose name is known, in the case of the name."""
    rules = next((rules for rules, names in grammar.rulers.items() if before in names.split()), "")
    if grammar.code == "ru" and not rules and before in _RULERS:
        rules = "spellout-ordinal-masculine"
    if rules:
        dot = _kept_dot(found) if grammar.code != "cs" or not found.string[found.end() :].strip() else ""
        return spell(value, grammar.code, rules) + dot
    return spell(value, grammar.code) + _kept_dot(found) if before.lower() in grammar.roman_words else None


def _is_person(found: re.Match[str], grammar: Grammar) -> bool:
    """Whether an English name of two or more words stands before: of a person if the first is a given name."""
    names = _FULL_NAME.search(_ahead(found))
    if grammar.code != "en" or not names:
        return False
    return names[1] in grammar.given_names or _LIVED.match(found.string, found.end()) is not None


_FULL_NAME = re.compile(r"(?<!\w)([A-Z][\w'-]+) (?:[A-Z](?:[\w'-]+|\.) ){0,2}[A-Z][\w'-]+ $")
_TWO_WORDS = re.compile(r"[A-Z][\w'-]+ [A-Z][\w'-]+ $")
_TITLED = re.compile(
    r"(?:War|Act|Part|Type|Bowl|Class|Phase|Level|Mark|Division|Quest|Fantasy|Wars|Craft|Games?|Olympiad) $"
)


def _ahead(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - 50) : found.start()]


def _may_be_person(found: re.Match[str], numeral: str) -> bool:
    """Whether `II` or `III` may belong to a person's name as well as to a title, so that it is not for us to say."""
    before = _ahead(found)
    return numeral in ("II", "III") and bool(_TWO_WORDS.search(before)) and not _TITLED.search(before)


def _kept_dot(found: re.Match[str]) -> str:
    """The dot behind a numeral, which belongs to the sentence."""
    return "." if found[0].endswith(".") else ""


def _read_ruler(value: int, found: re.Match[str], grammar: Grammar) -> str | None:
    # German writes ordinals with a dot, in the middle of a sentence as well.
    dot = "" if grammar.code == "de" and found.string[found.end() :].strip() else _kept_dot(found)
    if not grammar.regnal or value >= grammar.regnal_limit:
        return spell(value, grammar.code) + dot
    if grammar.code == "de":
        return _read_german_ruler(value, found) + dot
    has_gender = grammar.code in ("es", "it", "pt")
    gender = "-feminine" if word_before(found).endswith(_QUEENLY) else "-masculine"
    ordinal = spell(value, grammar.code, "spellout-ordinal" + (gender if has_gender else ""))
    return grammar.regnal.format(ordinal[:1].upper() + ordinal[1:] if grammar.code == "en" else ordinal) + dot


_QUEENLY = ("Isabel", "Elisabetta", "Catalina", "Caterina", "Catarina", "Maria", "María", "Juana", "Beatriz")


_PREPOSITION = re.compile(r"(?<!\w)([A-ZÄÖÜa-zäöü][a-zäöüß]*) (?:[A-ZÄÖÜ][\w-]+ ){1,4}$")


def _read_german_ruler(value: int, found: re.Match[str]) -> str:
    """`der Zweite`, in the case that the preposition before the name asks for; `Ludwigs des Zweiten`."""
    name = word_before(found)
    names = _PREPOSITION.search(_ahead(found))
    before = names[1].lower() if names else ""
    ordinal = spell(value, "de", "spellout-ordinal").capitalize()
    if name.endswith("s") and name not in _RULERS:
        return f"des {ordinal}n"
    if name in ("Elisabeth", "Katharina", "Beatrix", "Juliana", "Mary"):
        return f"der {ordinal}n" if before in _WITH_DATIVE else f"die {ordinal}"
    if before in _WITH_ACCUSATIVE:
        return f"den {ordinal}n"
    return f"dem {ordinal}n" if before in _WITH_DATIVE else f"der {ordinal}"


def _roman_value(numeral: str) -> int:
    return roman_value(numeral) if _ROMAN_SHAPE.fullmatch(numeral) else 0
