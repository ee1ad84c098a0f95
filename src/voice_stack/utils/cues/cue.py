"""What a subtitle is, what may be chosen about subtitles, and how subtitle files show them."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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


MAX_CHARS_PER_S = 20
"""Reading speed to stay under where speech allows it, in columns a second."""
MIN_SHOWN_MS = 1000
MAX_SHOWN_MS = 7000
LINGER_MS = 500
"""How long a cue stays after its last word."""
MAX_LINGER_MS = 1000
"""The same where it needs the time to be read, or to be seen at all."""
MIN_GAP_MS = 83
"""Two frames of a film: without them the eye does not notice that the text has changed."""
SMALL_GAP_MS = 300
"""A shorter gap flickers, so it is closed down to `MIN_GAP_MS`."""
MAX_PAUSE_MS = 1500
"""No cue goes on over a longer pause: its end would be read before it is said."""

DEFAULT_LINE_WIDTH = 42
_LINE_WIDTHS = {"zh": 32, "yue": 32, "ja": 26, "ko": 32}


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at one time.

    Attributes:
        start_s: When it appears, in seconds and whole milliseconds; `end_s`, always later, is when it goes.
        lines: At least one, none of them empty.
        voice: Whose words these are; empty where that is not told.
        text: The lines as one.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    voice: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class CueOptions:
    """How subtitles shall look.

    Attributes:
        max_line_width: Columns in a line, 2 or more; a wide character such as 語 takes two. None: by language, 42 for
            most, 16 wide characters for Chinese and Korean, 13 for Japanese.
        max_lines: Lines in a cue, 1 or more.
        sdh: Keep sound labels, `[Music]` or `♪ la la ♪`, for the deaf and hard of hearing.
    """

    max_line_width: int | None = None
    max_lines: int = 2
    sdh: bool = False

    def line_width(self, language: str) -> int:
        """Columns in a line of a language, given by its Whisper code."""
        return self.max_line_width or _LINE_WIDTHS.get(language, DEFAULT_LINE_WIDTH)


USUAL = CueOptions()


def _clock(time_s: float, separator: str) -> str:
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{separator}{milliseconds:03}"


def _block(cue: Cue, separator: str) -> str:
    return f"{_clock(cue.start_s, separator)} --> {_clock(cue.end_s, separator)}\n" + "\n".join(cue.lines) + "\n\n"


def to_srt(cues: Iterable[Cue]) -> str:
    """An SRT file; its cues are numbered from 1."""
    return "".join(f"{number}\n{_block(cue, ',')}" for number, cue in enumerate(cues, start=1))


def to_vtt(cues: Iterable[Cue]) -> str:
    """A WebVTT file, in which `&`, `<` and `>` would begin or end markup; a cue whose voice is known names it."""
    return "WEBVTT\n\n" + "".join(_block(_mark_up(cue), ".") for cue in cues)


def _mark_up(cue: Cue) -> Cue:
    tag = f"<v {html.escape(cue.voice, quote=False)}>" if cue.voice else ""
    first, *others = (html.escape(line, quote=False) for line in cue.lines)
    return replace(cue, lines=(tag + first, *others))
