r"""Formulas in LaTeX: told from other text, in words, and as plain text for captions.

A formula travels through a text as characters of the private plane 15, one for each of its own, so that nothing on the
way takes it for words, marks or the end of a sentence; clients' own characters of that plane are dropped before.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5
from itertools import pairwise

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
_LANGUAGES = ("en", "de", "fr", "es")
_WORDS = {
    "+": ("plus", "plus", "plus", "más"),
    "-": ("minus", "minus", "moins", "menos"),
    "±": ("plus or minus", "plus oder minus", "plus ou moins", "más o menos"),
    "*": ("times", "mal", "fois", "por"),
    "×": ("times", "mal", "fois", "por"),
    "·": ("times", "mal", "fois", "por"),
    "÷": ("divided by", "geteilt durch", "divisé par", "dividido entre"),
    "/": ("over", "durch", "sur", "entre"),
    ":": ("to", "zu", "sur", "a"),
    "=": ("equals", "gleich", "égale", "es igual a"),
    "≠": ("is not equal to", "ungleich", "n'est pas égal à", "no es igual a"),
    "≡": ("is equivalent to", "äquivalent zu", "est équivalent à", "es equivalente a"),
    "<": ("is less than", "kleiner als", "est inférieur à", "es menor que"),
    ">": ("is greater than", "größer als", "est supérieur à", "es mayor que"),
    "≤": ("is less than or equal to", "kleiner gleich", "est inférieur ou égal à", "es menor o igual que"),
    "≥": ("is greater than or equal to", "größer gleich", "est supérieur ou égal à", "es mayor o igual que"),
    "≈": ("is approximately", "ungefähr gleich", "est à peu près égal à", "es aproximadamente"),
    "→": ("approaches", "gegen", "tend vers", "tiende a"),
    "∩": ("intersection", "geschnitten mit", "inter", "intersección"),
    "∪": ("union", "vereinigt mit", "union", "unión"),
    "⊂": ("is a subset of", "Teilmenge von", "est inclus dans", "es subconjunto de"),
    "∀": ("for all", "für alle", "pour tout", "para todo"),
    "∃": ("there exists", "es existiert", "il existe", "existe"),
    "∂": ("partial", "partiell", "d rond", "parcial"),
    "∇": ("nabla", "Nabla", "nabla", "nabla"),
    "∅": ("the empty set", "die leere Menge", "l'ensemble vide", "el conjunto vacío"),
    "∝": ("is proportional to", "proportional zu", "est proportionnel à", "es proporcional a"),
    "|": ("given", "gegeben", "sachant", "dado"),
    "∞": ("infinity", "unendlich", "l'infini", "infinito"),
    "∈": ("in", "Element von", "appartient à", "pertenece a"),
    "⇒": ("implies", "daraus folgt", "implique", "implica"),
    "⇔": ("if and only if", "genau dann wenn", "si et seulement si", "si y solo si"),
    "…": ("and so on", "und so weiter", "et ainsi de suite", "etcétera"),
    "!": ("factorial", "Fakultät", "factorielle", "factorial"),
    "'": ("prime", "Strich", "prime", "prima"),
    "°": ("degrees", "Grad", "degrés", "grados"),
    "%": ("percent", "Prozent", "pour cent", "por ciento"),
    "(": ("open parenthesis", "Klammer auf", "parenthèse ouvrante", "abre paréntesis"),
    ")": ("close parenthesis", "Klammer zu", "parenthèse fermante", "cierra paréntesis"),
    "of": ("{} of {}", "{} von {}", "{} de {}", "{} de {}"),
    "abs": ("the absolute value of {}", "Betrag von {}", "la valeur absolue de {}", "el valor absoluto de {}"),
    "over": ("{} over {}", "{} durch {}", "{} sur {}", "{} sobre {}"),
    "all over": ("{}, all over {}", "{}, das Ganze durch {}", "{}, le tout sur {}", "{}, todo sobre {}"),
    "root2": ("the square root of {}", "Wurzel aus {}", "racine carrée de {}", "raíz cuadrada de {}"),
    "root3": ("the cube root of {}", "dritte Wurzel aus {}", "racine cubique de {}", "raíz cúbica de {}"),
    "^2": ("{} squared", "{} Quadrat", "{} au carré", "{} al cuadrado"),
    "^3": ("{} cubed", "{} hoch drei", "{} au cube", "{} al cubo"),
    "^": ("{} to the power of {}", "{} hoch {}", "{} puissance {}", "{} elevado a {}"),
    "_": ("{} sub {}", "{} {}", "{} indice {}", "{} sub {}"),
    "sum": ("the sum", "die Summe", "la somme", "la suma"),
    "prod": ("the product", "das Produkt", "le produit", "el producto"),
    "int": ("the integral", "das Integral", "l'intégrale", "la integral"),
    "from": (" from {}", " von {}", " de {}", " desde {}"),
    "to": (" to {}", " bis {}", " à {}", " hasta {}"),
    "big": ("{} of", "{} von", "{} de", "{} de"),
    "lim": ("the limit as {} of", "der Grenzwert für {} von", "la limite quand {} de", "el límite cuando {} de"),
    "sin": ("sine", "Sinus", "sinus", "seno"), "cos": ("cosine", "Kosinus", "cosinus", "coseno"),
    "tan": ("tangent", "Tangens", "tangente", "tangente"), "log": ("log", "Logarithmus", "log", "logaritmo"),
    "ln": ("natural log", "natürlicher Logarithmus", "logarithme népérien", "logaritmo natural"),
    "exp": ("exponential", "Exponentialfunktion", "exponentielle", "exponencial"),
    "max": ("maximum", "Maximum", "maximum", "máximo"), "min": ("minimum", "Minimum", "minimum", "mínimo"),
    "vec": ("vector {}", "Vektor {}", "vecteur {}", "vector {}"), "bar": ("{} bar", "{} quer", "{} barre", "{} barra"),
    "hat": ("{} hat", "{} Dach", "{} chapeau", "{} sombrero"), ",": (",", ",", ",", ","), ";": (";", ";", ";", ";"),
    "π": ("pi", "Pi", "pi", "pi"),
}  # fmt: skip
_FUNCTIONS = frozenset(str.split("sin cos tan log ln exp max min"))
_BIG = frozenset(str.split("sum prod int lim"))
_ACCENTS = {"vec": "vec", "bar": "bar", "overline": "bar", "hat": "hat"}
_OF = frozenset("fghFGHPEφ")  # letters that brackets behind them make functions
_SPANISH_GREEK = {"alpha": "alfa", "theta": "zeta", "phi": "fi", "chi": "ji", "rho": "ro", "epsilon": "épsilon",
                  "omega": "omega", "sigma": "sigma", "omicron": "ómicron", "upsilon": "ípsilon"}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
_WIDE_SIGNS = frozenset("+-±*×·÷=≠≡<>≤≥≈→∈⇒⇔")
_CLOSERS = {"(": ")", "[": "]", r"\{": r"\}", "|": "|"}


class UnreadableFormulaError(ValueError):
    """There is something in a formula that nothing here can say."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a formula: its kind, what is written there, and its own parts."""

    kind: str
    text: str = ""
    parts: tuple["_Node", ...] = ()


_NOTHING = _Node("row")


class _Parser:
    """Reads a formula token by token; every token once."""

    def __init__(self, latex: str) -> None:
        found = _TOKEN.findall(latex.replace("{,}", ",").replace("−", "-"))
        self._tokens: list[str] = [token for token in found if token not in _DROPPED]
        self._at = self._depth = 0

    def read(self) -> _Node:
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

    def _row(self, closer: str) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnreadableFormulaError
        parts: list[_Node] = []
        while (mark := self._peek()) != closer:
            if not mark:
                raise UnreadableFormulaError
            parts.append(self._scripts(self._atom()))
        self._at += bool(closer)
        self._depth -= 1
        return parts[0] if len(parts) == 1 else _Node("row", parts=tuple(parts))

    def _argument(self) -> _Node:
        """What a macro or a script stands before: a group, or one sign."""
        token = self._peek()
        if len(token) > 1 and token[0].isdigit():  # `x^10` is x¹0
            self._tokens[self._at] = token[1:]
            return _Node("number", token[0])
        return self._atom()

    def _scripts(self, base: _Node) -> _Node:
        above = below = _NOTHING
        while (mark := self._peek()) in {"^", "_", "'"}:
            self._take()
            if mark == "'":
                base = _Node("power", parts=(base, _Node("sign", mark)))
            elif mark == "^":
                above = self._argument() if above is _NOTHING else self._fail()
            else:
                below = self._argument() if below is _NOTHING else self._fail()
        if base.kind == "big":
            return _Node("big", base.text, (below, above))
        base = _Node("index", parts=(base, below)) if below is not _NOTHING else base
        if above == _Node("sign", "°"):
            return _Node("row", parts=(base, above))
        return _Node("power", parts=(base, above)) if above is not _NOTHING else base

    def _fail(self) -> _Node:
        raise UnreadableFormulaError

    def _atom(self) -> _Node:
        self._peek()
        sign = token = self._take()
        if sign == "{":
            return self._row("}")
        if sign == "|" and "|" not in self._tokens[self._at : self._end_of_group()]:
            return _Node("sign", "|")
        if token in _CLOSERS:
            return _Node("group", token, (self._row(_CLOSERS[token]),))
        if token[0].isdigit():
            return _Node("number", token)
        if token[0] == "\\":
            return self._macro(token)
        if token.isalpha():
            return _Node("letter", token)
        return self._sign(token)

    def _end_of_group(self) -> int:
        return next((at for at in range(self._at, len(self._tokens)) if self._tokens[at] == ")"), len(self._tokens))

    def _sign(self, sign: str) -> _Node:
        return _Node("sign", sign) if sign in _WORDS or sign == "." else self._fail()

    def _macro(self, token: str) -> _Node:
        name = token[1:]
        greek = html5.get(f"{name.removeprefix('var')};", "")
        if name in {"frac", "dfrac", "tfrac", "cfrac"}:
            return _Node("over", parts=(self._argument(), self._argument()))
        if name == "sqrt":
            index = self._row("]") if self._peek() == "[" and self._take() else _Node("number", "2")
            return _Node("root", parts=(index, self._argument()))
        if token in _TEXTS:
            return self._text()
        if token in _FONTS:
            return self._argument()
        if name in {"ordinal", "cardinal", "emoji"}:
            return _Node(name, self._text().text)
        if name in _FUNCTIONS:
            return _Node("function", name)
        if name in _BIG:
            return _Node("big", name)
        if name in _ACCENTS:
            return _Node("accent", _ACCENTS[name], (self._argument(),))
        if len(greek) == 1 and "\u0370" <= greek < "\u0400":
            return _Node("letter", greek)
        return self._sign({"\\": ",", "%": "%"}.get(name, _SYMBOLS.get(name, "")))

    def _text(self) -> _Node:
        if self._peek() != "{":
            raise UnreadableFormulaError
        self._take()
        words: list[str] = []
        while (token := self._take()) != "}":
            if token in {"{", "$"} or (token[0] == "\\" and token[1:] not in "%&_#"):
                raise UnreadableFormulaError
            words.append(token.removeprefix("\\"))
        return _Node("text", " ".join("".join(words).split()))


class _Speaker:
    """Says a formula in one language."""

    def __init__(self, language: str, read: Callable[[str], str]) -> None:
        self._language, self._read = language, read
        self._column = _LANGUAGES.index(language)

    def say(self, node: _Node) -> str:
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
            case "sign":
                return self._word(node.text) if node.text != "." else ""
            case "function":
                return self._word(node.text)
            case "group":
                return self._group(node)
            case "accent":
                return self._word(node.text).format(self.say(node.parts[0]))
            case "row":
                return self._row(node.parts)
            case _:
                return self._composed(node)

    def _composed(self, node: _Node) -> str:
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
        return _WORDS[key][self._column]

    def _number(self, digits: str) -> str:
        whole, point, decimals = digits.partition(".")
        if not point and "," in digits and not re.fullmatch(r"\d{1,3}(?:,\d{3})+", digits):
            whole, point, decimals = digits.partition(",")
        whole = whole.replace(",", "")
        if len(whole) > 3:  # so that it is no year
            whole = f"{int(whole):,}".replace(",", "\u202f")
        return self._read(whole + ("." if self._language == "en" else ",") * bool(point) + decimals)

    def _ordinal(self, digits: str) -> str:
        endings = {"en": _english_ending(digits), "fr": "er" if digits == "1" else "e", "es": "º"}
        if self._language not in endings:
            raise UnreadableFormulaError
        return self._read(digits + endings[self._language])

    def _fraction(self, count: str, parts: str) -> str:
        """The name of a small fraction, as `one half`; empty if it has none."""
        named = self._read(f"{count}/{parts}")
        return "" if "/" in named or any(map(str.isdigit, named)) else named

    def _letter(self, letter: str) -> str:
        if letter == "π":
            return self._word(letter)
        if "\u0370" <= letter < "\u0400":
            name = unicodedata.name(letter).rpartition(" LETTER ")[2].rpartition(" ")[2].lower()
            name = _SPANISH_GREEK.get(name, name) if self._language == "es" else name.replace("lamda", "lambda")
            return name.capitalize() if self._language == "de" or letter.isupper() else name
        return "A" if letter == "a" and self._language == "en" else letter  # no article

    def _group(self, node: _Node) -> str:
        if node.text == "|":
            return self._word("abs").format(self.say(node.parts[0]))
        if node.text != "(":
            raise UnreadableFormulaError
        return f"{self._word('(')} {self.say(node.parts[0])} {self._word(')')}"

    def _power(self, base: _Node, exponent: _Node) -> str:
        said = self.say(base)
        if exponent.kind == "number" and exponent.text in {"2", "3"}:
            return self._word(f"^{exponent.text}").format(said)
        shown = _show(exponent)
        if shown == "'":
            return f"{said} {self._word(shown)}"
        if shown in {"th", "st", "nd", "rd"} and self._language == "en":
            return self._read(base.text + shown) if base.kind == "number" else f"{said}th"
        if self._language == "en" and exponent.kind == "number" and exponent.text.isdecimal():
            return f"{said} to the {self._read(exponent.text + _english_ending(exponent.text))}"
        return self._word("^").format(said, self.say(exponent))

    def _big(self, name: str, below: _Node, above: _Node) -> str:
        if name == "lim":
            return self._word("lim").format(self.say(below)) if below is not _NOTHING else self._none()
        said = self._word(name)
        for key, bound in (("from", below), ("to", above)):
            said += self._word(key).format(self.say(bound)) if bound is not _NOTHING else ""
        return self._word("big").format(said)

    def _none(self) -> str:
        raise UnreadableFormulaError

    def _row(self, parts: Sequence[_Node]) -> str:
        words: list[str] = []
        before = _NOTHING
        for part in parts:
            if part.kind == "text" and before.kind == "number":
                words[-1] = self._read(f"{before.text} {part.text}")  # a measure
            elif part.kind == "group" and part.text == "(" and _is_function(before):
                words[-1] = self._word("of").format(words[-1], self.say(part.parts[0]))
            else:
                words.append(self.say(part))
            before = part
        return re.sub(r" (?=[,;])", "", " ".join(filter(None, words)))


def _is_function(node: _Node) -> bool:
    base = node.parts[0] if node.kind in {"power", "index"} else node
    return base.kind == "function" or (base.kind == "letter" and base.text in _OF)


def _english_ending(digits: str) -> str:
    return "th" if digits[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def _show(node: _Node) -> str:
    """A node as plain text."""
    first, second = (*node.parts, _NOTHING, _NOTHING)[:2]
    match node.kind:
        case "group":
            return f"{node.text}{_show(first)}{_CLOSERS[node.text]}".replace("\\", "")
        case "over":
            return f"{_in_brackets(first)}/{_in_brackets(second)}"
        case "root":
            return {"2": "√", "3": "∛"}.get(first.text, f"{_show(first)}√") + _in_brackets(second)
        case "index":
            return f"{_show(first)}_{_in_brackets(second)}"
        case "power" | "big":
            return _show_raised(node, first, second)
        case "accent":
            return _show(first)
        case "row":
            return "".join(_spaced(node.parts))
        case _:
            return _show_leaf(node)


def _show_leaf(node: _Node) -> str:
    if node.kind == "emoji":
        return "".join(chr(int(code, 16)) for code in node.text.split())
    return node.text + {"function": " ", "ordinal": "."}.get(node.kind, "")


def _show_raised(node: _Node, first: _Node, second: _Node) -> str:
    if node.kind == "power":
        shown = _show(second)
        if shown == "'":
            return _show(first) + shown
        is_small = shown.isascii() and all(c.isdigit() or c in "+-n" for c in shown)
        return _show(first) + (shown.translate(_SUPERSCRIPTS) if is_small else f"^{_in_brackets(second)}")
    bounds = [f"{sign}{_in_brackets(part)}" for sign, part in (("_", first), ("^", second)) if part != _NOTHING]
    return {"sum": "∑", "prod": "∏", "int": "∫"}.get(node.text, node.text) + "".join(bounds) + " "


def _in_brackets(node: _Node) -> str:
    shown = _show(node)
    return f"({shown})" if node.kind in {"row", "over"} and len(node.parts) > 1 else shown


def _spaced(parts: Sequence[_Node]) -> Iterator[str]:
    for before, part in pairwise((_NOTHING, *parts)):
        is_operator = part.kind == "sign" and part.text in _WIDE_SIGNS
        is_unary = before is _NOTHING or (before.kind == "sign" and before.text in _WIDE_SIGNS)
        shown = _show(part)
        if is_operator and not is_unary:
            yield f" {shown} "
        elif part.kind == "sign" and part.text == ",":
            yield ", "
        else:
            yield f" {shown}" if before.kind == "number" and part.kind == "text" else shown


def carry(latex: str) -> str:
    """A formula as it travels in a text.

    Raises:
        UnreadableFormulaError: It cannot be read.
    """
    shown = _show(_Parser(latex).read()) if len(latex) <= MAX_CHARS and max(map(ord, latex), default=0) < 0xFFFF else ""
    if not any(map(str.isalnum, shown)):
        raise UnreadableFormulaError
    return _carry(latex)


def carry_emoji(text: str) -> str:
    """A text whose emoji travel like formulas, to be named in the language of their sentence."""
    from emoji import replace_emoji

    def carried(sequence: str, _data: object) -> str:
        return _carry(rf"\emoji{{{' '.join(f'{ord(character):X}' for character in sequence)}}}")

    return replace_emoji(text, carried)


def _name_emoji(sequence: str, language: str) -> str:
    from emoji import LANGUAGES, demojize

    names = (
        demojize(sequence, delimiters=(" ", " "), language=code).replace("_", " ").strip()
        for code in (language.partition("-")[0], "en")
        if code in LANGUAGES
    )
    return next((name for name in names if any(map(str.isalnum, name))), "")


def _carry(latex: str) -> str:
    return chr(_START) + "".join(chr(_START + ord(character)) for character in latex)


def _latex_of(carried: str) -> str:
    return "".join(chr(ord(character) - _START) for character in carried[1:])


def show_formulas(text: str) -> str:
    """A text with its formulas as plain text."""
    return FORMULA.sub(lambda found: " ".join(_show(_Parser(_latex_of(found[0])).read()).split()), text)


def say_formula(carried: str, language: str, read: Callable[[str], str]) -> str | None:
    """A formula in words.

    Args:
        carried: As it travels.
        language: Code of the language.
        read: Reads numbers and other words out in that language.

    Returns:
        None where there are no words for it in the language.
    """
    node = _Parser(_latex_of(carried)).read()
    if node.kind == "emoji":
        return _name_emoji(_show(node), language)
    if language not in _LANGUAGES:
        return None
    try:
        return _Speaker(language, read).say(node)
    except UnreadableFormulaError:
        return None
