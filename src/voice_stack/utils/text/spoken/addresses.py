"""Web and e-mail addresses."""

import re

from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.numbers import spell_whole

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
