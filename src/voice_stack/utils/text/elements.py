"""Elements of HTML and SSML: what they mean for the words in them and around them."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from html import unescape

from voice_stack.utils.text.formulas import MAX_CHARS, SUPERSCRIPTS, carry

_ATTRIBUTE = re.compile(r"""(?<![\w:-])([\w:-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>/]++))""")
_CLOSING = re.compile(r"</([A-Za-z][\w:-]{0,30})\s{0,9}>")
CODE = re.compile(
    r"[{};\\]$|[=!<>+:-]=|[=-]>|&&|\|\||</|\w\.\w+\(|\w\([^()\n]{0,80}\):?$|[├└│┌─═║]|"
    r"^[ \t]*(?:[\w.\[\]\"']++[ \t]*=[ \t]*\S|\$ |>>> |#!|//|/\*|<[\w!?]|@\w|from \w+ import|import \w+$|"
    r"(?:const|let|var) \w+ ?=|(?:SELECT|INSERT|CREATE) |(?:sudo|npm|npx|pip3?|git|cd|curl|docker|apt|python3?) \S)",
    re.MULTILINE,
)
"""What makes a block without a label one of code: else it is read."""
_VOID = frozenset(["br", "hr", "img", "wbr"])
"""Elements without an end that are always ones."""
_ENDS_BY_ITSELF = frozenset(["p", "li", "td", "th", "tr", "dt", "dd", "option"])
"""Elements whose end tag may be left out."""
_HIDDEN = frozenset(["script", "style", "template", "head", "rt", "rp", "metadata", "desc", "svg", "math"])
"""Elements whose text nobody sees or reads."""
_PARAGRAPH = frozenset(str.split(
    "p h1 h2 h3 h4 h5 h6 blockquote table ul ol dl pre hr section article header footer nav aside main figure speak"
))  # fmt: skip
"""Elements that stand apart from what is around them."""
_LINE = frozenset(str.split(
    "br div li tr dt dd thead tbody tfoot caption address figcaption form fieldset legend details summary title body "
    "html menu option center"
))  # fmt: skip
"""Elements that begin a line of their own."""
_INLINE = frozenset(str.split(
    "a abbr acronym b bdi bdo big button cite code col colgroup data del dfn em font i iframe img input ins kbd label "
    "link mark meta meter object output picture progress q ruby s samp select small source span strike strong sub sup "
    "td textarea th time track tt u var video audio canvas wbr noscript "
    "voice prosody emphasis break say-as phoneme lang w token lexicon lookup par seq media"
))  # fmt: skip
_CALLS = frozenset(["tool_call", "tool_calls", "tool_response", "function_call", "function_calls", "function_results"])
"""What language models write to call a program."""
_KNOWN = _CALLS | _PARAGRAPH | _LINE | _INLINE | _HIDDEN
"""All of HTML and SSML that may stand in a text."""
_VENDORS = ("amazon:", "mstts:", "google:")
"""Beginnings of the names of vendors' own elements."""
_BREAKS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.8, "x-strong": 1.2}


def _plain(inside: str) -> str:
    return unescape(re.sub(r"<[^<>]{0,300}>", "", inside))


def _read_attributes(written: str) -> dict[str, str]:
    """The attributes of a tag by their names in small letters."""
    found = _ATTRIBUTE.finditer(written) if "=" in written else ()
    return {one[1].lower(): unescape(one[2] or one[3] or one[4] or "") for one in found}


def _read_pause(attributes: Mapping[str, str]) -> str:
    """A pause that SSML asks for, as a mark of ours."""
    length = re.fullmatch(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)", attributes.get("time", "").strip())
    if length:
        return f"[pause:{'0' if length[1].startswith('.') else ''}{length[1]}{length[2]}] "
    pause_s = _BREAKS_S.get(attributes.get("strength", "medium"), 0.5)
    return f"[pause:{pause_s}s] " if pause_s else " "


def _say_as(kind: str, form: str, plain: str) -> str | None:
    """What SSML's `say-as` says: as plain text that is read so in every language; None: the content as it is.

    The kind is its `interpret-as`, the form its `format`.
    """
    if kind in {"characters", "spell-out", "verbatim", "letters"}:
        letters = filter(str.isalnum, plain)
        return " ".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in letters)
    digits = re.findall(r"\d+", plain)
    if kind in {"digits", "telephone"} and digits and not plain.startswith("+"):
        return ", ".join(" ".join(group) for group in digits)
    if kind == "date" and len(digits) == len(form) == 3 and set(form) == set("dmy"):
        day, month, year = (digits[form.index(part)] for part in "dmy")
        return f"{year}-{month:0>2}-{day:0>2}" if len(year) == 4 else None
    if kind in {"ordinal", "cardinal", "number"} and (number := re.fullmatch(r"(\d{1,15})(?:st|nd|rd|th|\.)?", plain)):
        return carry(rf"\{'ordinal' if kind == 'ordinal' else 'cardinal'}{{{number[1]}}}")
    return None


class ElementReader:
    """Reads the tags of a text, from left to right.

    Args:
        text: All of it.
        left_out: To which the names of what is left out are added.
        reads_code: Code is read like all else.
    """

    def __init__(self, text: str, left_out: set[str], *, reads_code: bool) -> None:
        self._text, self._left_out, self._reads_code = text, left_out, reads_code
        self._closing: dict[str, list[tuple[int, int]]] = {}
        for found in _CLOSING.finditer(text):
            self._closing.setdefault(found[1].lower(), []).append(found.span())
        self._is_ssml = "speak" in self._closing
        self._is_html = not _KNOWN.isdisjoint(self._closing)
        self._is_in_row = False
        self._opened: set[str] = set()

    def read(self, found: re.Match[str]) -> tuple[str | None, int]:
        """What is said for a tag, None for a gap between words, and where to go on.

        Args:
            found: Has the groups `element`, its name, `attributes`, `slash` of a closing tag and `empty`, its own.
        """
        name, end = found["element"].lower(), found.end()
        if found["slash"]:
            is_sure = name in self._opened or name in _KNOWN or name.startswith(_VENDORS)
            return self._between(name, is_closing=True) if is_sure else found[0], end
        attributes = _read_attributes(found["attributes"])
        if not self._is_sure(name, found, attributes):
            return found[0], end
        self._opened.add(name)
        closed = None if found["empty"] or name in _VOID else self._closed(name, end)
        if name in _CALLS and closed:
            self._left_out.add("code")
            return None, closed[1]
        if name in _HIDDEN or (name == "details" and attributes.get("type") == "reasoning"):
            self._left_out.update({"thoughts"} if name == "details" else {"formulas"} if name == "math" else ())
            return None, closed[1] if closed else end
        if name == "pre" and closed:
            return self._preformatted(end, closed)
        if name == "break":
            return _read_pause(attributes), end
        if name == "img":
            return f" {attributes.get('alt', '')} ", end
        if closed and (said := self._said_as(name, attributes, self._text[end : closed[0]])) is not None:
            return said, closed[1]
        return self._between(name, is_closing=False), end

    def _is_sure(self, name: str, found: re.Match[str], attributes: Mapping[str, str]) -> bool:
        """Whether an opening tag is one: `<name>` and `<time>` are also what people write for words to be put in."""
        if attributes or found["empty"] or name in _VOID or self._closed(name, found.end()):
            return True
        is_first = not self._text[max(0, found.start() - 1) : found.start()].strip()
        return name in _ENDS_BY_ITSELF and (self._is_html or (is_first and name == "p"))

    def _between(self, name: str, *, is_closing: bool) -> str:
        """What a tag means for the words on both sides of it."""
        if name in _PARAGRAPH:
            return "\n\n"
        if name == "tr":
            self._is_in_row = False
        if name in {"td", "th"}:
            is_next, self._is_in_row = self._is_in_row and not is_closing, True
            return ", " if is_next else ""
        return "\n" if name in _LINE or (name == "s" and self._is_ssml) else ""

    def _preformatted(self, start: int, closed: tuple[int, int]) -> tuple[str, int]:
        inside = _plain(self._text[start : closed[0]])
        if self._reads_code or not CODE.search(inside):
            return f"\n\n{inside}\n\n", closed[1]
        self._left_out.add("code")
        return "\n\n", closed[1]

    def _said_as(self, name: str, attributes: Mapping[str, str], inside: str) -> str | None:
        """What is said in place of the content of a tag; None: the content."""
        if len(inside) > MAX_CHARS:
            return None
        plain = _plain(inside).strip()
        if name == "sub" and "alias" in attributes:
            return attributes["alias"]
        if name == "sup" and plain.strip("[]").isdecimal() and plain.startswith("["):
            return ""
        if name == "sup" and plain and plain.translate(SUPERSCRIPTS) != plain and plain.isascii():
            return plain.translate(SUPERSCRIPTS) if re.fullmatch(r"[+-]?[\dn]+", plain) else None
        if name == "say-as" and plain:
            return _say_as(attributes.get("interpret-as", ""), attributes.get("format", ""), plain)
        return None

    def _closed(self, name: str, start: int) -> tuple[int, int] | None:
        """Where the next closing tag of a name begins and ends."""
        places = self._closing.get(name, [])
        index = bisect_left(places, (start, 0))
        return places[index] if index < len(places) else None
