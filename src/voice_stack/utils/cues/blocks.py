"""Cues as the text of subtitle files."""

import html
from collections.abc import Iterable

from voice_stack.utils.cues.cue import Cue


def _clock(time_s: float, separator: str) -> str:
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{separator}{milliseconds:03}"


def srt_block(number: int, cue: Cue) -> str:
    """One cue of an SRT file, the blank line after it included; cues are numbered from 1."""
    return f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n" + "\n".join(cue.lines) + "\n\n"


def vtt_block(cue: Cue) -> str:
    """One cue of a WebVTT file, in which `&`, `<` and `>` would begin or end markup, the blank line included."""
    times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
    return times + html.escape("\n".join(cue.lines), quote=False) + "\n\n"


def to_srt(cues: Iterable[Cue]) -> str:
    """An SRT file."""
    return "".join(srt_block(number, cue) for number, cue in enumerate(cues, start=1))


def to_vtt(cues: Iterable[Cue]) -> str:
    """A WebVTT file."""
    return "WEBVTT\n\n" + "".join(map(vtt_block, cues))
