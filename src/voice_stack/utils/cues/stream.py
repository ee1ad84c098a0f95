"""Timed texts, as they come -> cues, each as soon as it is final."""

from dataclasses import replace

from voice_stack.utils.cues.cue import Cue, CueOptions
from voice_stack.utils.cues.cut import CueCutter
from voice_stack.utils.cues.lines import wrap
from voice_stack.utils.cues.phrases import join_phrases
from voice_stack.utils.cues.timed import TimedText
from voice_stack.utils.cues.times import shown_from, shown_until
from voice_stack.utils.cues.tokens import Token, cut_tokens, whole_ms

_DEFAULT = CueOptions()


class CueStream:
    """Makes cues while the segments come in; each is given out when nothing that follows can change it.

    Cues go by the times of words where segments have them. The words of a translation were not said, so it goes by the
    characters of its segments, as does a segment without words.

    Args:
        language: Whisper's code of the spoken language.
        task: `transcribe` or `translate`.
        options: How the cues shall look.
    """

    def __init__(self, language: str, *, task: str = "transcribe", options: CueOptions = _DEFAULT) -> None:
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
        start_ms = shown_from(self._waiting, self._last_end_ms)
        self._last_end_ms = shown_until(start_ms, self._waiting, next_start_ms, duration_ms)
        lines = wrap(self._waiting, width=self._width, language=self._language)
        return Cue(start_ms / 1000, self._last_end_ms / 1000, lines)
