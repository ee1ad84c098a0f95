"""Thoughts that a language model writes into its text: told apart from what it says, while it is still writing."""

import re
from collections.abc import Iterable
from functools import cache

from voice_stack.utils.text.markup import THOUGHT_NAMES

_TAGS = {
    **{f"<{name}>": f"</{name}>" for name in THOUGHT_NAMES},
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|channel>thought": "<channel|>",  # Gemma 4
    "<|channel|>analysis<|message|>": "<|end|>",  # gpt-oss
    "<|begin_of_thought|>": "<|end_of_thought|>",  # OpenThinker
    "<|START_THINKING|>": "<|END_THINKING|>",  # Command
}
_FRAMES = (
    *(f"<|channel|>{name}<|message|>" for name in ("final", "commentary")),
    *("<|start|>assistant", "<|end|>", "<|return|>"),
    *("<|begin_of_solution|>", "<|end_of_solution|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
)
"""What the same models write around what they say; no tag and no frame stands within another, or begins one."""
_FLAGS = re.IGNORECASE | re.ASCII  # beyond ASCII some letters that differ are the same in another case


class _Marks:
    """Finds the first of some marks in a text, or what may become one at its end."""

    def __init__(self, marks: Iterable[str]) -> None:
        known = tuple(marks)
        self._whole = re.compile("|".join(map(re.escape, known)), _FLAGS)
        self._begun = re.compile(rf"(?:{'|'.join(map(_begin, known))})\Z", _FLAGS)

    def find(self, text: str) -> tuple[int, str]:
        """Where the text ends that is surely none of a mark, and the mark behind it; empty: there is none yet."""
        if found := self._whole.search(text):
            return found.start(), found[0]
        begun = self._begun.search(text)
        return (begun.start() if begun else len(text)), ""


def _begin(mark: str) -> str:
    """A pattern for each beginning of a mark, but not the whole of it."""
    pattern = ""
    for letter in reversed(mark[:-1]):
        pattern = re.escape(letter) + (f"(?:{pattern})?" if pattern else "")
    return pattern


_CLOSING = {opening.lower(): closing for opening, closing in _TAGS.items()}
_OUTSIDE = _Marks([*_TAGS, *_FRAMES])
_UNOPENED = _Marks([*_TAGS, *_TAGS.values()])


@cache
def _inside(closing: str) -> _Marks:
    return _Marks([closing])


class ReasoningFilter:
    """Takes a text in pieces, cut anywhere, and gives what is said and what is thought apart.

    Only what may be the beginning of a tag is held back. Tags may be of any letter case and stand anywhere but between
    backticks, where one is written about. A thought that is not closed goes to the end; blanks behind one go, unless
    words stand directly before it.

    Args:
        opens: The text begins within a thought whose opening tag is not written, as with DeepSeek-R1, whose template
            has it. Otherwise a closing tag without an opening one is text.
    """

    def __init__(self, *, opens: bool = False) -> None:
        self._held = ""
        self._inside: _Marks | None = _UNOPENED if opens else None
        self._is_quoted = self._is_behind_word = False
        self._blanks: str | None = None
        """Those behind a thought; None: no thought has just ended."""

    def feed(self, piece: str) -> tuple[str, str]:
        """Take further text.

        Returns:
            What of it is said, and what is thought; what may be either comes with a later piece.
        """
        self._held += piece
        said, thought = "", ""
        while True:
            end, mark = (self._inside or _OUTSIDE).find(self._held)
            part, self._held = self._held[:end], self._held[end + len(mark) :]
            if self._inside is None:
                said += self._say(part)
            else:
                thought += part
            if not mark:
                return said, thought
            said += self._pass(mark)

    def end(self) -> tuple[str, str]:
        """What was held back: said and thought."""
        held, self._held = self._held, ""
        return (self._say(held), "") if self._inside is None else ("", held)

    def _pass(self, mark: str) -> str:
        """Go on behind a mark; what is said of it."""
        if self._inside is None and self._is_quoted:
            return self._say(mark)
        closing = _CLOSING.get(mark.lower())
        if closing is not None:
            self._inside = _inside(closing)
        elif self._inside is not None:
            self._inside, self._blanks = None, self._blanks or ""
        return ""

    def _say(self, part: str) -> str:
        if self._blanks is not None:
            text = part.lstrip()
            self._blanks += part[: len(part) - len(text)]
            if not text:
                return ""
            part = self._blanks + text if self._is_behind_word else text
            self._blanks = None
        if part:
            line = part.rpartition("\n")[2]
            self._is_quoted = (self._is_quoted and line == part) ^ (line.count("`") % 2 == 1)
            self._is_behind_word = not part[-1].isspace()
        return part
