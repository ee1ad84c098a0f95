"""Formulas and emoji in words."""

import re
import unicodedata
from collections.abc import Callable, Sequence

from voice_stack.utils.text.formulas import NOTHING, Node, UnreadableFormulaError, parse_carried, show

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
_OF = frozenset("fghFGHPEφ")  # letters that brackets behind them make functions
_SPANISH_GREEK = {"alpha": "alfa", "theta": "zeta", "phi": "fi", "chi": "ji", "rho": "ro", "epsilon": "épsilon",
                  "omega": "omega", "sigma": "sigma", "omicron": "ómicron", "upsilon": "ípsilon"}  # fmt: skip


class _Speaker:
    """Says a formula in one language."""

    def __init__(self, language: str, read: Callable[[str], str]) -> None:
        self._language, self._read = language, read
        self._column = _LANGUAGES.index(language)

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
            return f"{said} to the {self._read(exponent.text + _english_ending(exponent.text))}"
        return self._word("^").format(said, self.say(exponent))

    def _big(self, name: str, below: Node, above: Node) -> str:
        if name == "lim":
            return self._word("lim").format(self.say(below)) if below is not NOTHING else self._none()
        said = self._word(name)
        for key, bound in (("from", below), ("to", above)):
            said += self._word(key).format(self.say(bound)) if bound is not NOTHING else ""
        return self._word("big").format(said)

    def _none(self) -> str:
        raise UnreadableFormulaError

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


def _english_ending(digits: str) -> str:
    return "th" if digits[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


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
    if language not in _LANGUAGES:
        return None
    try:
        return _Speaker(language, read).say(node)
    except UnreadableFormulaError:
        return None
