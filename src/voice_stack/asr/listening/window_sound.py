"""What can be heard in a window, in seconds from its start: where it is silent, and where somebody seems to speak."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.windows import Piece, Window
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, StreamingVad

SILENCE_DBFS = -60.0
"""Below it there is nothing a microphone has recorded: the quietest whisper lies some 10 dB above it."""
HEARD_PROBABILITY = 0.2
"""Of speech. Lower than where a window begins: here a doubt is in favour of the text."""
HEARD_FRAMES = 6
"""0.19 s in all: the shortest words ("up", "go") reach 7 frames and more, in noise too; a swelling note gave 5."""
MARGIN_S = 0.5
"""Whisper's times are off by this much now and then."""

_LOUDNESS_FRAME = SAMPLE_RATE // 100
_SHORT_PAUSE_S = 0.3
_SPEECH_MARGIN_S = 0.15  # the detector misses the first and the last consonant


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_s` to `end_s`."""

    start_s: float
    end_s: float

    def overlap_s(self, other: "Span") -> float:
        """Seconds that both have in common; negative: the distance between them."""
        return min(self.end_s, other.end_s) - max(self.start_s, other.start_s)

    def clamp(self, time_s: float) -> float:
        """The time within the span that is nearest."""
        return min(max(time_s, self.start_s), self.end_s)


class WindowSound:
    """The sound of one window; nothing is computed before it is asked for.

    Args:
        window: The window.
    """

    def __init__(self, window: Window) -> None:
        self._window = window

    @cached_property
    def loud(self) -> tuple[Span, ...]:
        """Stretches above -60 dBFS; pauses of up to 0.3 s belong to them."""
        samples = self._window.samples
        frames = np.pad(samples, (0, -samples.size % _LOUDNESS_FRAME)).reshape(-1, _LOUDNESS_FRAME)
        is_loud = np.mean(frames**2, axis=1) > 10 ** (SILENCE_DBFS / 10)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_loud, [False]]).astype(np.int8)))
        spans = [Span(start / 100, min(end / 100, self._window.duration_s)) for start, end in edges.reshape(-1, 2)]
        breaks = [n for n, (a, b) in enumerate(pairwise(spans), 1) if b.start_s - a.end_s > _SHORT_PAUSE_S]
        groups = [spans[a:b] for a, b in pairwise([0, *breaks, len(spans)])] if spans else []
        return tuple(Span(group[0].start_s, group[-1].end_s) for group in groups)

    @cached_property
    def audible(self) -> tuple[Span, ...]:
        """The speech of the window's pieces, as far as it is not silent."""
        spoken = [_speech_span(piece) for piece in self._window.pieces]
        common = [(max(a.start_s, b.start_s), min(a.end_s, b.end_s)) for a in spoken for b in self.loud]
        return tuple(Span(start_s, end_s) for start_s, end_s in common if start_s < end_s)

    @cached_property
    def _probabilities(self) -> NDArray[np.float32]:
        detector = StreamingVad()
        return np.concatenate([detector.probabilities(self._window.samples), detector.finish()])

    def is_silent(self, span: Span) -> bool:
        """Whether nothing above -60 dBFS lies within the span."""
        return all(loud.overlap_s(span) < 0 for loud in self.loud)

    def has_speech(self, span: Span) -> bool:
        """Whether the voice detector hears the slightest speech in the span or half a second around it."""
        first = max(0, int((span.start_s - MARGIN_S) * SAMPLE_RATE / FRAME))
        last = int((span.end_s + MARGIN_S) * SAMPLE_RATE / FRAME) + 1
        return int((self._probabilities[first:last] >= HEARD_PROBABILITY).sum()) >= HEARD_FRAMES

    @property
    def speech_s(self) -> float:
        """Seconds in which the detector hears speech."""
        return float((self._probabilities >= HEARD_PROBABILITY).sum()) * FRAME / SAMPLE_RATE


def _speech_span(piece: Piece) -> Span:
    offset = piece.window_start - piece.file_start
    start_s, end_s = (piece.speech_start + offset) / SAMPLE_RATE, (piece.speech_end + offset) / SAMPLE_RATE
    window_s = piece.window_start / SAMPLE_RATE
    start_s = max(start_s - _SPEECH_MARGIN_S, window_s)
    return Span(start_s, min(end_s + _SPEECH_MARGIN_S, window_s + piece.length / SAMPLE_RATE))
