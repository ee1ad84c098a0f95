"""Names of files and users, addresses, Roman numerals."""

import re

from voice_stack.utils.text.spoken.dates import word_before
from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.numbers import spell, spell_whole

_ENDINGS = (
    "pdf|txt|md|csv|tsv|json|jsonl|ya?ml|toml|xml|html?|css|js|ts|py|sh|exe|zip|tar|gz|tgz|7z|rar|mp3|mp4|m4a|wav|flac|"
    "ogg|opus|mkv|avi|mov|webm|jpe?g|png|gif|svg|webp|docx?|xlsx?|pptx?|odt|log|ini|cfg|conf|sql|iso|apk|dll|srt|vtt|epub"
)
FILE = re.compile(rf"(?<![\w@./-])[\w-]{{1,100}}(?:\.[\w-]{{1,30}}){{0,3}}\.(?:{_ENDINGS})(?![\w@/-]|\.\w)")
TAG = re.compile(r"(?<![\w@#&/.])([@#])([^\W\d_]\w{0,99})(?![\w@])")
_WORD_IN_TAG = re.compile(r"_+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


def read_tag(found: re.Match[str], grammar: Grammar) -> str:
    """Read a hashtag word by word (`#VoiceStack`), or a user's name (`@voice_stack`), that `TAG` found."""
    blank = " " if grammar.is_spaced else ""
    mark = grammar.signs["@"] if found[1] == "@" else grammar.signs.get("hashtag", "hashtag")
    name = _WORD_IN_TAG.sub(" ", found[2]).strip()
    return mark + blank + re.sub(r"\d+", lambda digits: spell_whole(digits[0], grammar), name)


_DOMAINS = (
    "com|org|net|edu|gov|info|io|ai|dev|app|de|at|ch|fr|es|it|pt|br|pl|nl|be|cz|ru|uk|eu|us|hu|tr|cn|jp|kr|in|se|dk|"
    "no|fi|gr|ro|ua|sk|bg|hr|mx|ar|co|tv|me|local"
)
EMAIL = re.compile(r"(?<![\w.+%-])(?:mailto:)?[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# The last character is none of those that end the sentence around the address.
WEB = re.compile(
    rf"(?<![\w@./-])(?:https?://|www\.)[^\s<>\"]*[\w/]|(?<![\w@./-])(?:[a-z0-9-]{{1,63}}\.){{1,4}}(?:{_DOMAINS})"
    rf"(?![\w@])(?:/[^\s<>\"]*[\w/])?",
    re.IGNORECASE,
)
_SPOKEN_MARKS = "./-_@&="


def read_address(found: re.Match[str], grammar: Grammar) -> str:
    """Read an address that `EMAIL` or `WEB` found: the marks by name, without `https` and what follows a `?`."""
    text = re.sub(r"(?i)^(?:https?://|mailto:)", "", found[0])
    text = re.split(r"[?#]", text, maxsplit=1)[0].rstrip("/") or text
    text = re.sub(r"(?i)^www\.", "w w w.", text)
    return " ".join(re.sub(r"\d+|[\W_]", lambda part: _read_part(part[0], grammar), text).split())


def _read_part(part: str, grammar: Grammar) -> str:
    if part.isdecimal():
        return f" {spell_whole(part, grammar)} "
    return f" {grammar.signs[part]} " if part in _SPOKEN_MARKS and part in grammar.signs else " "


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


def read_roman(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a Roman numeral, where the words around it leave no doubt that it is one; `I` never is."""
    numeral, ending = found.groups()
    value = _roman_value(numeral)
    behind = re.match(r"\.? (\w+)", found.string[found.end() : found.end() + 40])
    before = word_before(found)
    before = grammar.abbreviations.get(f"{before}#", before)
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
