"""Marks inside a text: `[voice:NAME]` switches the speaker, `[pause:500ms]` is silence.

Letter case and blanks inside the brackets do not matter. What is no such mark is ordinary text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from voice_stack.utils.text.plain import is_speakable

MAX_PAUSE_S = 10.0
"""Longest pause between two clauses; longer ones, also several in a row, are cut down to it."""

# Every length is bounded, so that a text of a million brackets takes linear time. A link, `[..](..)`, is no mark.
_VOICE = re.compile(r"\[[ \t]{0,9}voice[ \t]{0,9}(?::([^\[\]\n]{1,200}))?\](?!\()", re.IGNORECASE)
_PAUSE = re.compile(
    r"\[[ \t]{0,9}pause[ \t]{0,9}:[ \t]{0,9}(\d{1,9}(?:[.,]\d{1,9})?)[ \t]{0,9}(ms|s)[ \t]{0,9}\](?!\()", re.IGNORECASE
)
_SECONDS = {"ms": 0.001, "s": 1.0}


@dataclass(frozen=True, slots=True)
class ScriptPart:
    """What one voice says in a go.

    Attributes:
        text: As the client wrote it, without voice marks; pause marks are left for `split_pauses`.
        voice: Name in the mark before it; None for the voice of the request.
    """

    text: str
    voice: str | None = None

    @property
    def is_speakable(self) -> bool:
        """Whether there is anything to pronounce in it, pauses apart."""
        return is_speakable(_PAUSE.sub(" ", self.text))


def parse_script(text: str) -> tuple[ScriptPart, ...]:
    """Cut a text at its voice marks; `[voice]` goes back to the voice of the request.

    Returns:
        The parts in order. Parts that are blank are left out, and neighbours with the same voice are one part.
    """
    said = [(voice, part) for voice, part in _voiced_parts(text) if part.strip()]
    neighbours = groupby(said, key=itemgetter(0))
    return tuple(ScriptPart("".join(part for _, part in parts), voice) for voice, parts in neighbours)


def _voiced_parts(text: str) -> Iterator[tuple[str | None, str]]:
    voice, start = None, 0
    for mark in _VOICE.finditer(text):
        name = mark[1] and mark[1].strip()
        if name == "":  # `[voice:]` names nobody
            continue
        yield voice, text[start : mark.start()]
        voice, start = name, mark.end()
    yield voice, text[start:]


def split_pauses(text: str) -> Iterator[tuple[str, float]]:
    """Cut a text at its pause marks, lazily.

    Yields:
        Texts that may be blank, each with the pause after it in seconds, at most `MAX_PAUSE_S`; the last one's is 0.
    """
    start = 0
    for mark in _PAUSE.finditer(text):
        pause_s = float(mark[1].replace(",", ".")) * _SECONDS[mark[2].lower()]
        yield text[start : mark.start()], min(pause_s, MAX_PAUSE_S)
        start = mark.end()
    yield text[start:], 0.0
