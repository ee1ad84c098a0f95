"""A model that is stuck says one thing over and over: loops within a segment, and equal segments in a row.

People repeat themselves as well. So only text that the model itself doubts is touched: a stuck model betrays itself
by the compression ratio of its window, by its log-probabilities, or by saying that nobody speaks.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

MAX_COMPRESSION_RATIO = 2.4
"""Of the Whisper paper (Radford et al. 2022, section 4.5): above it a text repeats itself."""
MIN_NO_SPEECH_PROB = 0.6
"""Of the same section: above it the model says that nobody speaks."""
SURE_LOGPROB = -0.5
"""Mean log-probability above which speech mostly lies and inventions mostly do not."""
MIN_EQUAL_SEGMENTS = 3

# Four times a phrase or ten times a short word, whatever the case of its letters.
_LOOPS = (re.compile(r"(.{10,80}?)\1{3,}", re.I | re.S), re.compile(r"(.{1,9}?)\1{9,}", re.I | re.S))


def is_doubtful(segment: Segment) -> bool:
    """Whether the model is unsure that this was said."""
    return segment.avg_logprob < SURE_LOGPROB or segment.no_speech_prob > MIN_NO_SPEECH_PROB


def may_be_stuck(segment: Segment) -> bool:
    """Whether repetition in or around this segment may be the model's own."""
    return is_doubtful(segment) or segment.compression_ratio > MAX_COMPRESSION_RATIO


def collapse_loops(segment: Segment) -> Segment:
    """A segment with every loop in its text said once, and with the words that are left; its tokens stay."""
    removed = [(match.end(1), match.end()) for loop in _LOOPS for match in loop.finditer(segment.text)]
    if not removed:
        return segment
    keep = [not any(start <= index < end for start, end in removed) for index in range(len(segment.text))]
    text = "".join(character for character, is_kept in zip(segment.text, keep, strict=True) if is_kept)
    words = tuple(word for word, index in _locate(segment.text, segment.words) if keep[index])
    return replace(segment, text=text, words=words, end_s=words[-1].end_s if words else segment.end_s)


def _locate(text: str, words: Sequence[Word]) -> Iterator[tuple[Word, int]]:
    """Words with the index at which each begins; one that is not in the text gets the place after its neighbour."""
    index = 0
    for word in words:
        index = max(text.find(word.text, index), index)
        yield word, min(index, len(text) - 1)
        index += len(word.text)


class RepeatFilter:
    """Equal segments in a row, from three on, become the first of them; segments go through in order of time.

    The second of two equal ones waits until the next shows whether it was a loop; nothing that came out is taken back.

    Args:
        is_active: False lets everything through.
    """

    def __init__(self, *, is_active: bool = True) -> None:
        self._is_active = is_active
        self._text: str | None = None
        self._count = 0
        self._last: Segment | None = None

    def push(self, segment: Segment) -> list[Segment]:
        """The segments that may go on now."""
        if not self._is_active:
            return [segment]
        text = segment.text.strip().casefold()
        if text == self._text and may_be_stuck(segment):
            self._count, self._last = self._count + 1, segment
            return []
        released = [*self.finish(), segment]
        self._text, self._count = (text, 1) if may_be_stuck(segment) else (None, 0)
        return released

    def finish(self) -> list[Segment]:
        """What still waits, at the end: a second segment that was not followed by a third."""
        last, count, self._last = self._last, self._count, None
        self._count = min(count, 1)
        if last is None or count < MIN_EQUAL_SEGMENTS:
            return [] if last is None else [last]
        times = {"until_s": round(last.end_s, 2), "times": count}
        log_event(logger, logging.INFO, "text dropped", reason="equal segments in a row", text=last.text, **times)
        return []
