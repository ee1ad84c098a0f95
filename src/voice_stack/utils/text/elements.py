"""Elements of HTML and SSML: what they mean for the words in them and around them."""

import re
from collections.abc import Mapping
from html import unescape

from voice_stack.utils.text.formulas import carry

_ATTRIBUTE = re.compile(r"""(?<![\w:-])([\w:-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>/]++))""")
VOID = frozenset(["br", "hr", "img", "wbr"])
"""Elements without an end that are always ones."""
ENDS_BY_ITSELF = frozenset(["p", "li", "td", "th", "tr", "dt", "dd", "option"])
"""Elements whose end tag may be left out."""
HIDDEN = frozenset(["script", "style", "template", "head", "rt", "rp", "metadata", "desc", "svg", "math"])
"""Elements whose text nobody sees or reads."""
PARAGRAPH = frozenset(str.split(
    "p h1 h2 h3 h4 h5 h6 blockquote table ul ol dl pre hr section article header footer nav aside main figure speak"
))  # fmt: skip
"""Elements that stand apart from what is around them."""
LINE = frozenset(str.split(
    "br div li tr dt dd thead tbody tfoot caption address figcaption form fieldset legend details summary title body "
    "html menu option center"
))  # fmt: skip
"""Elements that begin a line of their own."""
INLINE = frozenset(str.split(
    "a abbr acronym b bdi bdo big button cite code col colgroup data del dfn em font i iframe img input ins kbd label "
    "link mark meta meter object output picture progress q ruby s samp select small source span strike strong sub sup "
    "td textarea th time track tt u var video audio canvas wbr noscript "
    "voice prosody emphasis break say-as phoneme lang w token lexicon lookup par seq media"
))  # fmt: skip
CALLS = frozenset(["tool_call", "tool_calls", "tool_response", "function_call", "function_calls", "function_results"])
"""What language models write to call a program."""
KNOWN = CALLS | PARAGRAPH | LINE | INLINE | HIDDEN
"""All of HTML and SSML that may stand in a text."""
VENDORS = ("amazon:", "mstts:", "google:")
"""Beginnings of the names of vendors' own elements."""
_BREAKS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.8, "x-strong": 1.2}
SUPERSCRIPTS = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")


def read_attributes(written: str) -> dict[str, str]:
    """The attributes of a tag by their names in small letters."""
    found = _ATTRIBUTE.finditer(written) if "=" in written else ()
    return {one[1].lower(): unescape(one[2] or one[3] or one[4] or "") for one in found}


def read_pause(attributes: Mapping[str, str]) -> str:
    """A pause that SSML asks for, as a mark of ours."""
    length = re.fullmatch(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)", attributes.get("time", "").strip())
    if length:
        return f"[pause:{length[1].removeprefix('.') if length[1][0] != '.' else '0' + length[1]}{length[2]}] "
    pause_s = _BREAKS_S.get(attributes.get("strength", "medium"), 0.5)
    return f"[pause:{pause_s}s] " if pause_s else " "


def say_as(kind: str, form: str, plain: str) -> str | None:
    """What SSML's `say-as` says: as plain text that is read so in every language; None: the content as it is.

    Args:
        kind: Its `interpret-as`.
        form: Its `format`.
        plain: Its content, without tags.
    """
    if kind in {"characters", "spell-out", "verbatim", "letters"}:
        return " ".join(character.upper() if len(character.upper()) == 1 else character for character in plain
                        if character.isalnum())  # fmt: skip
    digits = re.findall(r"\d+", plain)
    if kind in {"digits", "telephone"} and digits and not plain.startswith("+"):
        return ", ".join(" ".join(group) for group in digits)
    if kind == "date" and len(digits) == len(form) == 3 and set(form) == set("dmy"):
        day, month, year = (digits[form.index(part)] for part in "dmy")
        return f"{year}-{month:0>2}-{day:0>2}" if len(year) == 4 else None
    if kind in {"ordinal", "cardinal", "number"} and (number := re.fullmatch(r"(\d{1,15})(?:st|nd|rd|th|\.)?", plain)):
        return carry(rf"\{'ordinal' if kind == 'ordinal' else 'cardinal'}{{{number[1]}}}")
    return None
