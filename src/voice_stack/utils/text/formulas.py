r"""Formulas in LaTeX: told from other text, carried through it, and shown as plain text.

A formula travels through a text as characters of the private plane 15, one for each of its own, so that nothing on the
way takes it for words, marks or the end of a sentence; clients' own characters of that plane are dropped before.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5
from itertools import pairwise, takewhile

_START = 0xF0000
FORMULA = re.compile("\U000f0000[\U000f0001-\U000fffff]+")
"""A formula, or another reading that needs the language, as it travels in a text."""
CARRIERS = re.compile("[\U000f0000-\U000fffff]+")

MAX_CHARS = 600
_MAX_DEPTH = 12
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:[.,]\d+)*|[^\W\d_]|\S|\s+", re.DOTALL)
_DROPPED = frozenset(str.split(
    r"\left \right \bigl \bigr \Bigl \Bigr \big \Big \bigg \Bigg \displaystyle \textstyle \limits \nolimits \quad"
    r" \qquad \nonumber \notag \, \; \: \! ~ &"
)) | {"\\ "}  # fmt: skip
_TEXTS = frozenset(str.split(r"\text \textrm \textbf \textit \mathrm \operatorname \mbox"))
_FONTS = frozenset(str.split(r"\mathbf \mathit \mathsf \mathbb \mathcal \boldsymbol \boxed"))
_SYMBOLS = {
    "times": "×", "cdot": "·", "ast": "·", "div": "÷", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "ne": "≠", "neq": "≠", "approx": "≈", "to": "→", "rightarrow": "→", "longrightarrow": "→", "infty": "∞", "in": "∈",
    "circ": "°", "degree": "°", "dots": "…", "ldots": "…", "cdots": "…", "Rightarrow": "⇒", "implies": "⇒", "iff": "⇔",
    "Leftrightarrow": "⇔", "equiv": "≡", "lt": "<", "gt": ">", "colon": ":", "mid": "|", "cap": "∩",
    "cup": "∪", "subset": "⊂", "subseteq": "⊂", "forall": "∀", "exists": "∃", "partial": "∂", "nabla": "∇",
    "emptyset": "∅", "varnothing": "∅", "propto": "∝",
}  # fmt: skip
_FUNCTIONS = frozenset(str.split("sin cos tan log ln exp max min"))
_BIG = frozenset(str.split("sum prod int lim"))
_ACCENTS = {"vec": "vec", "bar": "bar", "overline": "bar", "hat": "hat"}
SUPERSCRIPTS = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
_SIGNS = frozenset("+-±*×·÷/:=≠≡<>≤≥≈→∈⇒⇔…!'°%(),;∩∪⊂∀∃∂∇∅∝|∞.")
_WIDE_SIGNS = frozenset("+-±*×·÷=≠≡<>≤≥≈→∈⇒⇔")
_CLOSERS = {"(": ")", "[": "]", r"\{": r"\}", "|": "|"}


class UnreadableFormulaError(ValueError):
    """There is something in a formula that nothing here can say."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a formula.

    Attributes:
        kind: What it is, as `power`; a `row` is parts side by side.
        text: What is written there.
        parts: Its own parts.
    """

    kind: str
    text: str = ""
    parts: tuple["Node", ...] = ()


NOTHING = Node("row")


class _Parser:
    """Reads a formula token by token; every token once."""

    def __init__(self, latex: str) -> None:
        found = _TOKEN.findall(latex.replace("{,}", ",").replace("−", "-"))
        self._tokens: list[str] = [token for token in found if token not in _DROPPED]
        self._at = self._depth = 0

    def read(self) -> Node:
        return self._row("")

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise UnreadableFormulaError
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _row(self, closer: str) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnreadableFormulaError
        parts: list[Node] = []
        while (mark := self._peek()) != closer:
            if not mark:
                raise UnreadableFormulaError
            parts.append(self._scripts(self._atom()))
        self._at += bool(closer)
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Node("row", parts=tuple(parts))

    def _argument(self) -> Node:
        """What a macro or a script stands before: a group, or one sign."""
        token = self._peek()
        if len(token) > 1 and token[0].isdigit():  # `x^10` is x¹0
            self._tokens[self._at] = token[1:]
            return Node("number", token[0])
        return self._atom()

    def _scripts(self, base: Node) -> Node:
        above = below = NOTHING
        while (mark := self._peek()) in {"^", "_", "'"}:
            self._take()
            if mark == "'":
                base = Node("power", parts=(base, Node("sign", mark)))
            elif mark == "^":
                above = self._argument() if above is NOTHING else self._fail()
            else:
                below = self._argument() if below is NOTHING else self._fail()
        if base.kind == "big":
            return Node("big", base.text, (below, above))
        base = Node("index", parts=(base, below)) if below is not NOTHING else base
        if above == Node("sign", "°"):
            return Node("row", parts=(base, above))
        return Node("power", parts=(base, above)) if above is not NOTHING else base

    def _fail(self) -> Node:
        raise UnreadableFormulaError

    def _atom(self) -> Node:
        self._peek()
        sign = token = self._take()
        if sign == "{":
            return self._row("}")
        if sign == "|" and "|" not in takewhile(")".__ne__, self._tokens[self._at :]):
            return Node("sign", "|")
        if token in _CLOSERS:
            return Node("group", token, (self._row(_CLOSERS[token]),))
        if token[0].isdigit():
            return Node("number", token)
        if token[0] == "\\":
            return self._macro(token)
        if token.isalpha():
            return Node("letter", token)
        return self._sign(token)

    def _sign(self, sign: str) -> Node:
        return Node("sign", sign) if sign in _SIGNS else self._fail()

    def _macro(self, token: str) -> Node:
        name = token[1:]
        greek = html5.get(f"{name.removeprefix('var')};", "")
        if name in {"frac", "dfrac", "tfrac", "cfrac"}:
            return Node("over", parts=(self._argument(), self._argument()))
        if name == "sqrt":
            index = self._row("]") if self._peek() == "[" and self._take() else Node("number", "2")
            return Node("root", parts=(index, self._argument()))
        if token in _TEXTS:
            return self._text()
        if token in _FONTS:
            return self._argument()
        if name in {"ordinal", "cardinal", "emoji"}:
            return Node(name, self._text().text)
        if name in _FUNCTIONS:
            return Node("function", name)
        if name in _BIG:
            return Node("big", name)
        if name in _ACCENTS:
            return Node("accent", _ACCENTS[name], (self._argument(),))
        if len(greek) == 1 and "\u0370" <= greek < "\u0400":
            return Node("letter", greek)
        return self._sign({"\\": ",", "%": "%"}.get(name, _SYMBOLS.get(name, "")))

    def _text(self) -> Node:
        if self._peek() != "{":
            raise UnreadableFormulaError
        self._take()
        words: list[str] = []
        while (token := self._take()) != "}":
            if token in {"{", "$"} or (token[0] == "\\" and token[1:] not in "%&_#"):
                raise UnreadableFormulaError
            words.append(token.removeprefix("\\"))
        return Node("text", " ".join("".join(words).split()))


def show(node: Node) -> str:
    """A node as plain text."""
    first, second = (*node.parts, NOTHING, NOTHING)[:2]
    match node.kind:
        case "group":
            return f"{node.text}{show(first)}{_CLOSERS[node.text]}".replace("\\", "")
        case "over":
            return f"{_in_brackets(first)}/{_in_brackets(second)}"
        case "root":
            return {"2": "√", "3": "∛"}.get(first.text, f"{show(first)}√") + _in_brackets(second)
        case "index":
            return f"{show(first)}_{_in_brackets(second)}"
        case "power" | "big":
            return _show_raised(node, first, second)
        case "accent":
            return show(first)
        case "row":
            return "".join(_spaced(node.parts))
        case "emoji":
            return "".join(chr(int(code, 16)) for code in node.text.split())
        case _:
            return node.text + {"function": " ", "ordinal": "."}.get(node.kind, "")


def _show_raised(node: Node, first: Node, second: Node) -> str:
    if node.kind == "power":
        shown = show(second)
        if shown == "'":
            return show(first) + shown
        is_small = shown.isascii() and all(c.isdigit() or c in "+-n" for c in shown)
        return show(first) + (shown.translate(SUPERSCRIPTS) if is_small else f"^{_in_brackets(second)}")
    bounds = [f"{sign}{_in_brackets(part)}" for sign, part in (("_", first), ("^", second)) if part != NOTHING]
    return {"sum": "∑", "prod": "∏", "int": "∫"}.get(node.text, node.text) + "".join(bounds) + " "


def _in_brackets(node: Node) -> str:
    shown = show(node)
    return f"({shown})" if node.kind in {"row", "over"} and len(node.parts) > 1 else shown


def _spaced(parts: Sequence[Node]) -> Iterator[str]:
    for before, part in pairwise((NOTHING, *parts)):
        is_operator = part.kind == "sign" and part.text in _WIDE_SIGNS
        is_unary = before is NOTHING or (before.kind == "sign" and before.text in _WIDE_SIGNS)
        shown = show(part)
        if is_operator and not is_unary:
            yield f" {shown} "
        elif part.kind == "sign" and part.text == ",":
            yield ", "
        else:
            yield f" {shown}" if before.kind == "number" and part.kind == "text" else shown


_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}|[^\W\d_A-Za-z]{3,}")
_NAMES_IN_FORMULAS = re.compile(r"\\[A-Za-z]+(?:\{[^{}]{0,200}\})?|_\{[^{}]{0,200}\}")


def is_formula(latex: str) -> bool:
    """Whether what stands between two dollars is one, and no price, no variable of a shell and no slang."""
    if not latex or len(latex) > 2000:
        return False
    rest = _NAMES_IN_FORMULAS.sub("", latex)
    if _PROSE.search(rest):
        return False
    if re.search(r"\\[A-Za-z]|[\^_=<>]", latex):
        return True
    if " " in latex:
        return re.search(r"[\w)] ?[+\-*/|,] ?[\w(]", latex) is not None and not re.match(r"\d[\d.,]* ", latex)
    return re.fullmatch(r"[\w()+\-*/|!',.:\\%{}]+", latex) is not None


def carry(latex: str) -> str:
    """A formula as it travels in a text.

    Raises:
        UnreadableFormulaError: It cannot be read.
    """
    shown = show(_Parser(latex).read()) if len(latex) <= MAX_CHARS and max(map(ord, latex), default=0) < 0xFFFF else ""
    if not any(map(str.isalnum, shown)):
        raise UnreadableFormulaError
    return _carry(latex)


def carry_emoji(text: str) -> str:
    """A text whose emoji travel like formulas, to be named in the language of their sentence."""
    from emoji import replace_emoji

    def carried(sequence: str, _data: object) -> str:
        return _carry(rf"\emoji{{{' '.join(f'{ord(character):X}' for character in sequence)}}}")

    return replace_emoji(text, carried)


def _carry(latex: str) -> str:
    return chr(_START) + "".join(chr(_START + ord(character)) for character in latex)


def parse_carried(carried: str) -> Node:
    """A formula that travelled in a text."""
    return _Parser("".join(chr(ord(character) - _START) for character in carried[1:])).read()


def show_formulas(text: str) -> str:
    """A text with its formulas as plain text."""
    return FORMULA.sub(lambda found: " ".join(show(parse_carried(found[0])).split()), text)
