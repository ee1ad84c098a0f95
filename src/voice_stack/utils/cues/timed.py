"""What cues are made of: text that is said from one time to another. Transcripts have it, and so has speech."""

from collections.abc import Sequence
from typing import Protocol


class TimedWord(Protocol):
    """A spoken word; times are in seconds."""

    @property
    def text(self) -> str:
        """With the marks that cling to it."""

    @property
    def start_s(self) -> float:
        """When it begins to be said."""

    @property
    def end_s(self) -> float:
        """When it has been said."""


class TimedText(TimedWord, Protocol):
    """About a sentence: its text with the space between it and the text before, where its language writes one."""

    @property
    def words(self) -> Sequence[TimedWord]:
        """Those whose times are known, in order; texts without words go by their characters."""
