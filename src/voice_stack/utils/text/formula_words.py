"""Formulas and emoji in words."""

import re
import unicodedata
from collections.abc import Callable, Sequence

from voice_stack.utils.text.formulas import NOTHING, Node, UnreadableFormulaError, parse_carried, show
from voice_stack.utils.text.spoken.grammar import GRAMMARS, Grammar
from voice_stack.utils.text.spoken.numbers import spell_whole

_OF = frozenset("fghFGHPEφ")  # letters that brackets behind them make functions


class _Speaker:
    """Says a formula in one language."""

    def __init__(self, grammar: Grammar, read: Callable[[str], str]) -> None:
        self._grammar, self._language, self._read = grammar, grammar.code, read

    def say(self, node: Node) -> str:
        """The words of a node."""
        match node.kind:
            case "number" | "cardinal":
                return self._number(node.text)
            case "ordinal":
                return self._ordinal(node.text)
            case "letter":
                return self._letter(node.text)
            case "text":
                return self._read(node.text)
            case "sign" | "function":
                return self._word(node.text) if node.text != "." else ""
            case "group":
                return self._group(node)
            case "accent":
                return self._word(node.text).format(self.say(node.parts[0]))
            case "row":
                return self._row(node.parts)
            case _:
                return self._composed(node)

    def _composed(self, node: Node) -> str:
        first, second = node.parts
        match node.kind:
            case "power":
                return self._power(first, second)
            case "index":
                return self._word("_").format(self.say(first), self.say(second))
            case "root" if first.text in {"2", "3"}:
                return self._word(f"root{first.text}").format(self.say(second))
            case "over":
                if first.kind == second.kind == "number" and (named := self._fraction(first.text, second.text)):
                    return named
                name = "all over" if first.kind == "row" and len(first.parts) > 2 else "over"
                return self._word(name).format(self.say(first), self.say(second))
            case "big":
                return self._big(node.text, first, second)
            case _:
                raise UnreadableFormulaError

    def _word(self, key: str) -> str:
        return self._grammar.formulas.get(key, key)

    def _number(self, digits: str) -> str:
        whole, point, decimals = digits.partition(".")
        if not point and "," in digits and not re.fullmatch(r"\d{1,3}(?:,\d{3})+", digits):
            whole, point, decimals = digits.partition(",")
        whole = whole.replace(",", "")
        if len(whole) > 3:  # so that it is no year
            whole = f"{int(whole):,}".replace(",", "\u202f")
        return self._read(whole + ("." if self._language == "en" else ",") * bool(point) + decimals)

    def _ordinal(self, digits: str) -> str:
        if self._language == "de":  # of a case that nothing tells
            raise UnreadableFormulaError
        rules = "spellout-ordinal" if self._language == "en" else "spellout-ordinal-masculine"
        return spell_whole(digits, self._grammar, rules)

    def _fraction(self, count: str, parts: str) -> str:
        """The name of a small fraction, as `one half`; empty if it has none."""
        named = self._read(f"{count}/{parts}")
        return "" if "/" in named or any(map(str.isdigit, named)) else named

    def _letter(self, letter: str) -> str:
        if letter == "π":
            return self._word(letter)
        if "\u0370" <= letter < "\u0400":
            name = unicodedata.name(letter).rpartition(" ")[2].lower().replace("lamda", "lambda")
            name = self._grammar.greek.get(name, name)
            return name.capitalize() if self._language == "de" or letter.isupper() else name
        return "A" if letter == "a" and self._language == "en" else letter  # no article

    def _group(self, node: Node) -> str:
        if node.text == "|":
            return self._word("abs").format(self.say(node.parts[0]))
        if node.text != "(":
            raise UnreadableFormulaError
        return f"{self._word('(')} {self.say(node.parts[0])} {self._word(')')}"

    def _power(self, base: Node, exponent: Node) -> str:
        said = self.say(base)
        if exponent.kind == "number" and exponent.text in {"2", "3"}:
            return self._word(f"^{exponent.text}").format(said)
        shown = show(exponent)
        if shown == "'":
            return f"{said} {self._word(shown)}"
        if shown in {"th", "st", "nd", "rd"} and self._language == "en":
            return self._read(base.text + shown) if base.kind == "number" else f"{said}th"
        if self._language == "en" and exponent.kind == "number" and exponent.text.isdecimal():
            return f"{said} to the {self._ordinal(exponent.text)}"
        return self._word("^").format(said, self.say(exponent))

    def _big(self, name: str, below: Node, above: Node) -> str:
        if name == "lim":
            if below is NOTHING:
                raise UnreadableFormulaError
            return self._word("lim").format(self.say(below))
        bounds = [(key, bound) for key, bound in (("from", below), ("to", above)) if bound is not NOTHING]
        said = (self._word(key).format(self.say(bound)) for key, bound in bounds)
        return self._word("big").format(" ".join([self._word(name), *said]))

    def _row(self, parts: Sequence[Node]) -> str:
        words: list[str] = []
        before = NOTHING
        for part in parts:
            if part.kind == "text" and before.kind == "number":
                words[-1] = self._read(f"{before.text} {part.text}")  # a measure
            elif part.kind == "group" and part.text == "(" and _is_function(before):
                words[-1] = self._word("of").format(words[-1], self.say(part.parts[0]))
            else:
                words.append(self.say(part))
            before = part
        return re.sub(r" (?=[,;])", "", " ".join(filter(None, words)))


def _is_function(node: Node) -> bool:
    base = node.parts[0] if node.kind in {"power", "index"} else node
    return base.kind == "function" or (base.kind == "letter" and base.text in _OF)


def _name_emoji(sequence: str, language: str) -> str:
    from emoji import LANGUAGES, demojize

    names = (
        demojize(sequence, delimiters=(" ", " "), language=code).replace("_", " ").strip()
        for code in (language.partition("-")[0], "en")
        if code in LANGUAGES
    )
    return next((name for name in names if any(map(str.isalnum, name))), "")


def say_formula(carried: str, language: str, read: Callable[[str], str]) -> str | None:
    """A formula in words.

    Args:
        carried: As it travels.
        language: Code of the language.
        read: Reads numbers and other words out in that language.

    Returns:
        None where there are no words for it in the language.
    """
    node = parse_carried(carried)
    if node.kind == "emoji":
        return _name_emoji(show(node), language)
    grammar = GRAMMARS.get(language)
    if grammar is None or not grammar.formulas:
        return None
    try:
        return _Speaker(grammar, read).say(node)
    except UnreadableFormulaError:
        return None
