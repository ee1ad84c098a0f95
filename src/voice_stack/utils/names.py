"""Names that people give, fit to be shown and to be kept."""

import re
import unicodedata

MAX_NAME_CHARS = 100
_JOINERS = "\u200c\u200d"
"""Invisible, yet part of how some scripts and emoji are written."""
_NO_NAME = re.compile(r"[/\\\[\]]")


def check_name(name: str) -> str:
    """A name fit to be shown, without blanks around it; it is never a path.

    Raises:
        ValueError: It is empty, too long, or has characters that change how text around it is read.
    """
    name = name.strip()
    if not name:
        raise ValueError("a name must not be empty")
    if len(name) > MAX_NAME_CHARS:
        raise ValueError(f"{len(name)} characters; a name has at most {MAX_NAME_CHARS}")
    if found := _NO_NAME.search(name):
        raise ValueError(f"a name must not hold {found[0]!r}")
    return refuse_controls(name, "a name")


def refuse_controls(text: str, what: str) -> str:
    """The text, if it holds nothing invisible.

    Raises:
        ValueError: It does; the message begins with `what` and names the character.
    """
    for character in text:
        # Cc control, Cf invisible format such as right-to-left override, Cs half a pair, Zl and Zp line ends
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _JOINERS:
            raise ValueError(f"{what} must not hold the character U+{ord(character):04X}")
    return text
