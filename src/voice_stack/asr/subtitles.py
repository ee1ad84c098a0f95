"""A transcript -> subtitle cues of at most two lines, in order and without overlap."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from voice_stack.asr.transcript import Segment, Transcript

LINE_CHARS = 42
LINES = 2


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at one time.

    Attributes:
        start_s: When it appears, in seconds and whole milliseconds; `end_s`, always later, is when it goes.
        lines: One or two, none of them empty.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues_from(transcript: Transcript) -> list[Cue]:
    """Cues of at most 2 lines of 42 characters: one for each segment, several for a long one."""
    return _without_overlap([cue for segment in transcript.segments for cue in _cut(segment)])


def _clean(text: str) -> str:
    """One line, without the arrow that both formats write between times."""
    return " ".join(text.replace("-->", "→").split())


def _cut(segment: Segment) -> list[Cue]:
    text = _clean(segment.text)
    lines = _break(text)
    starts = _positions(lines, text)
    cues = []
    for first in range(0, len(lines), LINES):
        shown = lines[first : first + LINES]
        begin, end = starts[first], starts[first + len(shown) - 1] + len(shown[-1])
        cues.append(Cue(*_times(segment, text, begin, end), tuple(shown)))
    return cues


def _break(text: str) -> list[str]:
    """Lines of like length, as many as needed; an even number of them where there are more than one."""
    count = len(_wrap(text, LINE_CHARS))
    if count < LINES:
        return _wrap(text, LINE_CHARS)
    limit = math.ceil(count / LINES) * LINES
    longest = max(len(word) for word in text.split())
    narrowest = min(max(longest, math.ceil(len(text) / limit)), LINE_CHARS)
    candidates = (_wrap(text, width) for width in range(narrowest, LINE_CHARS + 1))
    return next(lines for lines in candidates if len(lines) <= limit)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _positions(parts: Sequence[str], text: str) -> list[int]:
    """Where each part begins in the text that holds them one after another; -1 for one that it does not hold."""
    positions, end = [], 0
    for part in parts:
        position = text.find(part, end)
        positions.append(position)
        end = max(end, position + len(part))
    return positions


def _times(segment: Segment, text: str, begin: int, end: int) -> tuple[float, float]:
    """When the characters from `begin` to `end` are spoken: by the words there, else by their share of the text."""
    spoken = zip(_positions([_clean(word.text) for word in segment.words], text), segment.words, strict=True)
    words = [word for position, word in spoken if begin <= position < end]
    if words:
        return words[0].start_s, words[-1].end_s
    per_character_s = (segment.end_s - segment.start_s) / len(text)
    return segment.start_s + begin * per_character_s, segment.start_s + end * per_character_s


def _without_overlap(cues: Sequence[Cue]) -> list[Cue]:
    """The cues in whole milliseconds, each at least one long and gone when the next appears."""
    starts: list[int] = []
    for cue in cues:
        starts.append(max(round(cue.start_s * 1000), starts[-1] + 1 if starts else 0))
    last = [] if not cues else [max(round(cues[-1].end_s * 1000), starts[-1] + 1)]
    ends = [
        min(max(round(cue.end_s * 1000), start + 1), following)
        for cue, (start, following) in zip(cues, pairwise(starts), strict=False)
    ]
    return [
        replace(cue, start_s=start / 1000, end_s=end / 1000)
        for cue, start, end in zip(cues, starts, [*ends, *last], strict=True)
    ]
