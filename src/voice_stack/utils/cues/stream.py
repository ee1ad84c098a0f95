"""Timed texts, as they come -> cues, each as soon as it is final."""

from collections.abc import Sequence
from dataclasses import replace

from voice_stack.utils.cues.cue import (
    LINGER_MS,
    MAX_CHARS_PER_S,
    MAX_LINGER_MS,
    MAX_SHOWN_MS,
    MIN_GAP_MS,
    MIN_SHOWN_MS,
    SMALL_GAP_MS,
    USUAL,
    Cue,
    CueOptions,
    TimedText,
)
from voice_stack.utils.cues.cut import CueCutter, join_phrases, wrap
from voice_stack.utils.cues.tokens import Token, cut_tokens, whole_ms

_LEAST_SHOWN_MS = 42
"""One frame: what is left for a cue when the words of the next are said at the same time."""


def shown_until(start_ms: int, tokens: Sequence[Token], next_start_ms: int | None, duration_ms: int | None) -> int:
    """When a cue goes, in ms.

    Args:
        start_ms: When it appears.
        tokens: What it shows.
        next_start_ms: When the first word of the next cue begins; None after the last.
        duration_ms: Length of the audio, if it is known: only words said later are shown later.
    """
    spoken_ms = tokens[-1].end_ms
    width = sum(token.width + token.is_spaced for token in tokens)
    wanted_ms = max(spoken_ms + LINGER_MS, start_ms + MIN_SHOWN_MS, start_ms + width * 1000 // MAX_CHARS_PER_S)
    end_ms = max(min(wanted_ms, spoken_ms + MAX_LINGER_MS), spoken_ms)
    if next_start_ms is not None and next_start_ms - end_ms < SMALL_GAP_MS:
        end_ms = next_start_ms - MIN_GAP_MS
    if duration_ms is not None:
        end_ms = min(end_ms, max(duration_ms, spoken_ms))
    return max(min(end_ms, start_ms + MAX_SHOWN_MS), start_ms + _LEAST_SHOWN_MS)


class CueStream:
    """Makes cues while the segments come in; each is given out when nothing that follows can change it.

    Cues go by the times of words where segments have them. The words of a translation were not said, so it goes by the
    characters of its segments, as does a segment without words.

    Args:
        language: Whisper's code of the spoken language.
        task: `transcribe` or `translate`.
        options: How the cues shall look.
    """

    def __init__(self, language: str, *, task: str = "transcribe", options: CueOptions = USUAL) -> None:
        self._language = "en" if task == "translate" else language
        self._options = options
        self._width = self._options.line_width(self._language)
        self._has_word_times = task != "translate"
        self._cutter = CueCutter(self._language, self._width, self._options.max_lines)
        self._clock_ms = 0
        self._ends_with_space = False
        self._waiting: list[Token] = []
        self._last_end_ms: int | None = None

    def push(self, segment: TimedText) -> list[Cue]:
        """Add the next segment in order of time.

        Returns:
            The cues that are now final, in order.
        """
        cues = list[Cue]()
        for token in self._tokens(segment):
            for group in self._cutter.push(token):
                cues += self._show(group)
        return cues

    def flush(self, duration_s: float | None = None) -> list[Cue]:
        """The remaining cues, once all segments are in.

        Args:
            duration_s: Length of the audio, beyond which nothing lingers; None if unknown.
        """
        cues = [cue for group in self._cutter.flush() for cue in self._show(group)]
        if self._waiting:
            cues.append(self._time(None, None if duration_s is None else whole_ms(duration_s, 0)))
            self._waiting = []
        return cues

    def _tokens(self, segment: TimedText) -> list[Token]:
        tokens = cut_tokens(
            segment,
            with_words=self._has_word_times,
            sdh=self._options.sdh,
            limit=self._width,
            clock_ms=self._clock_ms,
        )
        if tokens:
            self._clock_ms = tokens[-1].end_ms
            tokens[0] = replace(tokens[0], is_spaced=tokens[0].is_spaced or self._ends_with_space)
            self._ends_with_space = False
        self._ends_with_space = self._ends_with_space or segment.text[-1:].isspace()
        return join_phrases(tokens, language=self._language, limit=self._width)

    def _show(self, group: list[Token]) -> list[Cue]:
        """The cue before this group, whose end depends on when the group begins."""
        cues = [self._time(group[0].start_ms, None)] if self._waiting else []
        self._waiting = group
        return cues

    def _time(self, next_start_ms: int | None, duration_ms: int | None) -> Cue:
        start_ms = self._waiting[0].start_ms
        if self._last_end_ms is not None:  # the cue before it has been gone for two frames
            start_ms = max(start_ms, self._last_end_ms + MIN_GAP_MS)
        self._last_end_ms = shown_until(start_ms, self._waiting, next_start_ms, duration_ms)
        lines = wrap(self._waiting, width=self._width, language=self._language)
        return Cue(start_ms / 1000, self._last_end_ms / 1000, lines)
