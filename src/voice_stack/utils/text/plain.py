"""Text made plain enough to be read aloud.

Every pattern takes linear time on any text: a run of marks always matches, and what must follow it is looked at in
code, since a failing lookahead would start the search again at each character of the run.
"""

import re
import unicodedata
from collections.abc import Callable


def is_speakable(text: str) -> bool:
    """Tell whether the text has a letter, a digit or an ideograph to pronounce."""
    return any(map(str.isalnum, text))


_Replacement = str | Callable[[re.Match[str]], str]


def _patterns(*steps: tuple[str, _Replacement]) -> tuple[tuple[re.Pattern[str], _Replacement], ...]:
    return tuple((re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in steps)


def _drop_emphasis(stars: re.Match[str]) -> str:
    """Stars between blanks (`2 * 3`) or inside an ASCII word (`2*3`) are text, all others are Markdown."""
    start, end = stars.span()
    sides = (stars.string[start - 1 : start] or " ") + (stars.string[end : end + 1] or " ")
    return stars[0] if sides.isspace() or (sides.isascii() and sides.isalnum()) else ""


_QUOTES = dict.fromkeys("‘’‚‛ʼ´", "'") | dict.fromkeys("“”„‟〝〞", '"')
_HYPHENS = dict.fromkeys("\u2010\u2011\u2012\u2212", "-")
_FILLERS = dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " ")  # blank, but letters or symbols to Unicode
PLAIN_CHARACTERS = str.maketrans(_QUOTES | _HYPHENS | _FILLERS | {"\u2029": "\n\n", "…": "...", "⁄": "/"})
"""Typographic quotes, hyphens and the like -> the plain ones (for `str.translate`)."""
_COMBINING = "".join(mark for mark in map(chr, range(0x300, 0x1E950)) if unicodedata.combining(mark))
_JOINED = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff"  # scripts where a joiner is part of the spelling
_INVISIBLE = (
    "\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\uf8ff\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U0010ffff"
)
_STYLED = "\ufb00-\ufb06０-９Ａ-Ｚａ-ｚ\uff61-\uff9f\U0001d400-\U0001d7ff"
# A blank that does not break, between groups of three digits, stays: `5 000` is one number then, and not two.
_THIN_GROUP = r"(?<=\d)\u202f(?=\d{3}(?!\d))"
_CHARACTERS = _patterns(
    ("(?<=\\d)[\xa0\u2007\u2009\u202f](?=\\d{3}(?!\\d))", "\u202f"),
    (f"[{_INVISIBLE}]", ""),
    (f"[\u200c\u200d](?![{_JOINED}])|(?<![{_JOINED}])[\u200c\u200d]", ""),
    (f"[{_STYLED}]+", lambda m: unicodedata.normalize("NFKC", m[0])),
    (r"\r\n|[\r\v\f\x85\u2028]", "\n"),
)
_FINISH = _patterns(
    (rf"(?:(?!{_THIN_GROUP})[^\S\n])+", " "),
    (r" ?\n ?", "\n"),
    (r"\n{3,}", "\n\n"),
    # NFC sorts stacked marks in quadratic time, so a pile of them is cut down before it.
    (f"([{_COMBINING}]{{8}})[{_COMBINING}]+", r"\1"),
)
_EMOJI = "\u20e3\u2190-\u21ff\u2300-\u23ff\u25a0-\u2775\u2794-\u27bf\u2b00-\u2bff\ufffc\ufffd\U0001f000-\U0001faff"
_MARKDOWN = _patterns(
    (r"^(?:```|~~~)[^\n`]*$", ""),  # fences of code
    (r"^(?=[^\n]*\|)[ :|-]++$", ""),  # the line under a table's head
    (r"^\|([^\n]+)\|$", lambda m: re.sub(r" ?\| ?", ", ", m[1]).strip()),
    (r"^([-*_=~])(?: ?\1){2,}+ ?$", ""),  # rules
    (r"^(?:> ?)++", ""),
    (r"^#{1,6} ", ""),
    (r"^[-*+•‣◦▪·] (?:\[[ xX]\] )?", ""),
    (r"!?\[([^\[\]\n]*+)\]\((?:[^()\s]|\([^()\s]*+\))*+(?: \"[^\"\n]*+\")?\)", r"\1"),
    (r"<((?:https?://|mailto:)[^\s<>]++)>", r"\1"),
    (r"\\([!-/:-@\[-`{-~])", r"\1"),
    (r"`+|~{2,}", ""),
    (r"\*+", _drop_emphasis),
    (r"(?<!\w)_++|(?<!_)_++(?!\w)", ""),
    (rf" ?(?:[{_EMOJI}]++ ?)++([.,!?;:]?)", lambda m: m[1] or " "),
    (r"(?<= )-{2,}+(?= )|(?<=\w)-{2,}+(?=\w)", "—"),
    (r"([^\w\s])\1{3,}", r"\1\1\1"),
)


def normalise(text: str) -> str:
    r"""Make a raw or Markdown text plain enough to be read aloud.

    Control and zero-width characters, lone surrogates, emoji and Markdown marks go; typographic quotes, hyphens,
    ligatures, full-width and styled letters become plain ones; runs of blanks become one blank.

    Returns:
        The text in NFC. `\n` ends a sentence, `\n\n` a paragraph.
    """
    text = text.translate(PLAIN_CHARACTERS)
    for steps in (_CHARACTERS, _MARKDOWN):
        for pattern, replacement in steps + _FINISH:
            text = pattern.sub(replacement, text)
        text = unicodedata.normalize("NFC", text.strip())
    return text
