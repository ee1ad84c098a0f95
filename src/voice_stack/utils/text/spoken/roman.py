"""Roman numerals, where the words around them leave no doubt."""

import re

from voice_stack.utils.text.spoken.dates import word_before
from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.numbers import spell

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
