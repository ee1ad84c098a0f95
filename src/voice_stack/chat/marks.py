"""Marks for the voice that a language model writes into its text: `<expr type="expression" label="happy"/>`.

The dialect is LiveKit's. A mark is never read aloud and never shown, whatever it says and wherever it stands.
"""

import re

MAX_MARK_CHARS = 1000
MAX_EMOTION_CHARS = 60
"""As the TTS server takes them."""
_MARK = re.compile(r"<\s?/?\s?expr(?:/|\s[^<>]*)?>", re.IGNORECASE)
_OPTIONAL = "e(?:x(?:p(?:r(?:/|\\s[^<>]*)?)?)?)?"
_BEGUN = re.compile(rf"<\s?/?\s?(?:{_OPTIONAL})?\Z", re.IGNORECASE)
_CUT_OFF = re.compile(r"<\s?/?\s?expr(?:/|\s)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|[“”]([^“”]*)[“”]|([^\s"'“”<>/]+))""")


class MarkFilter:
    """Takes marks out of a text that comes in pieces, cut anywhere, and keeps what they say.

    Attributes:
        length: Characters of visible text so far.
    """

    def __init__(self) -> None:
        self.length = 0
        self._held = ""
        self._emotions: list[tuple[int, str]] = []
        self._is_behind_mark = False
        self._ends_blank = True

    def feed(self, piece: str) -> str:
        """Take further text; what may be the beginning of a mark comes with a later piece.

        Returns:
            What of it is visible.
        """
        self._held += piece
        visible, start = "", 0
        for mark in _MARK.finditer(self._held):
            visible += self._show(self._held[start : mark.start()])
            self._note(mark[0])
            start = mark.end()
        begun = _BEGUN.search(self._held, max(start, len(self._held) - MAX_MARK_CHARS))
        end = begun.start() if begun else len(self._held)
        visible += self._show(self._held[start:end])
        self._held = self._held[end:]
        return visible

    def end(self) -> str:
        """What was held back; a mark that is cut off is none."""
        held, self._held = self._held, ""
        return "" if _CUT_OFF.match(held) else self._show(held)

    def find_emotion(self, start: int, end: int) -> str | None:
        """What is marked between two places of the visible text; the last of several."""
        return next((emotion for at, emotion in reversed(self._emotions) if start <= at <= end), None)

    def _show(self, text: str) -> str:
        if self._is_behind_mark and self._ends_blank:  # one blank is enough for what stood on both sides of it
            text = text.lstrip(" ")
        if text:
            self._is_behind_mark, self._ends_blank = False, text[-1].isspace()
            self.length += len(text)
        return text

    def _note(self, mark: str) -> None:
        self._is_behind_mark = True
        found = _ATTRIBUTE.findall(mark)
        attributes = {name.lower(): "".join(values).strip() for name, *values in found}
        emotion = attributes.get("label", "")
        if attributes.get("type", "expression").lower() == "expression" and 0 < len(emotion) <= MAX_EMOTION_CHARS:
            self._emotions.append((self.length, emotion))
