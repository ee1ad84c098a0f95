"""Timed texts, as they come -> cues, each as soon as it is final."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    TimedWord,
)
from voice_stack.utils.cues.cut import CueCutter, join_phrases, text_of, wrap
from voice_stack.utils.cues.tokens import Mark, Token, cut_tokens, display_width, is_ideographic, is_unspaced, whole_ms

_WIDE = frozenset({"zh", "yue", "ja", "ko"})
"""Languages whose characters take two columns."""
_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "sd", "ur", "yi"})
_FILLED = 0.9
"""Part of a cue's lines that words can fill: no line ends within one."""
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


@dataclass(frozen=True, slots=True)
class _Untimed:
    """A text as if it was said in no time."""

    text: str
    start_s: float
    end_s: float
    words: tuple[TimedWord, ...] = ()


def fit_lines(text: str, language: str, options: CueOptions = USUAL) -> tuple[str, ...]:
    """A text in lines as a cue has them; more than `max_lines` where they do not hold it, none where it is blank."""
    width = options.line_width(language)
    tokens = cut_tokens(_Untimed(text, 0.0, 0.0), with_words=False, sdh=True, limit=width, clock_ms=0)
    joined = join_phrases(tokens, language=language, limit=width)
    lines = wrap(joined, width=width, language=language) if joined else ()
    return tuple(map(_from_the_right, lines)) if language in _RIGHT_TO_LEFT else lines


def _from_the_right(line: str) -> str:
    """A line of a script that is written from the right, which players would set from the left by its first letter."""
    strong = next((kind for kind in map(unicodedata.bidirectional, line) if kind in {"L", "R", "AL"}), "")
    return f"\u200f{line}" if strong == "L" else line


def can_be_read(text: str, shown_s: float, language: str, options: CueOptions = USUAL) -> bool:
    """Whether a text has room in a cue, and can be read in the time that the cue is shown, in seconds."""
    is_slow = display_width(text) <= shown_s * MAX_CHARS_PER_S
    return is_slow and len(fit_lines(text, language, options)) <= options.max_lines


def most_chars(shown_s: float, language: str, options: CueOptions = USUAL) -> int:
    """How many characters of a language a cue can have that is shown so long, in seconds."""
    width = options.line_width(language)
    columns = min(int(shown_s * MAX_CHARS_PER_S), int(width * options.max_lines * _FILLED))
    return max(columns // (2 if language in _WIDE else 1), 1)


def lead(text: str) -> str:
    """A text behind the space that stands between it and the text before it, where its script writes one."""
    return text if not text or is_ideographic(text[0]) or is_unspaced(text[0]) else f" {text}"


class CueStream:
    """Makes cues while the segments come in; each is given out when nothing that follows can change it.

    Cues go by the times of words where segments have them. The words of a translation were not said, so it goes by the
    characters of its segments, as does a segment without words. No cue has words of two voices.

    Args:
        language: Whisper's code of the spoken language.
        task: `transcribe` or `translate`.
        options: How the cues shall look.
        shows_names: Where the voice changes, its name stands before the text.
    """

    def __init__(
        self, language: str, *, task: str = "transcribe", options: CueOptions = USUAL, shows_names: bool = False
    ) -> None:
        self._language = "en" if task == "translate" else language
        self._options = options
        self._width = self._options.line_width(self._language)
        self._has_word_times = task != "translate"
        self._cutter = CueCutter(self._language, self._width, self._options.max_lines)
        self._clock_ms = 0
        self._ends_with_space = False
        self._shows_names = shows_names
        self._voice = self._waiting_voice = ""
        self._waiting: list[Token] = []
        self._last_end_ms: int | None = None

    def push(self, segment: TimedText, voice: str = "") -> list[Cue]:
        """Add the next segment in order of time.

        Args:
            segment: It.
            voice: The name of who says it; empty where that is not told.

        Returns:
            The cues that are now final, in order.
        """
        cues, tokens = list[Cue](), self._tokens(segment)
        if tokens and voice != self._voice:
            cues = [cue for group in self._cutter.flush(tokens[0].start_ms) for cue in self._show(group)]
            self._voice = voice
            tokens = self._name(tokens) if self._shows_names and voice else tokens
        for token in tokens:
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

    def _name(self, tokens: Sequence[Token]) -> list[Token]:
        """The name of the voice before its first words: in one piece with the first of them, if there is room."""
        first, *others = tokens
        at_s = first.start_ms / 1000
        said = _Untimed(f" {self._voice}:", at_s, at_s)
        parts = cut_tokens(said, with_words=False, sdh=True, limit=self._width, clock_ms=first.start_ms)
        names = [replace(part, mark=Mark.NOTHING) for part in parts]
        first, width = replace(first, is_spaced=True), names[-1].width + 1 + first.width
        if width > self._width:
            return [*names, first, *others]
        last = names.pop()
        joined = replace(first, text=f"{last.text} {first.text}", width=width, words=last.words + first.words)
        return [*names, joined, *others]

    def _show(self, group: list[Token]) -> list[Cue]:
        """The cue before this group, whose end depends on when the group begins."""
        cues = [self._time(group[0].start_ms, None)] if self._waiting else []
        self._waiting, self._waiting_voice = group, self._voice
        return cues

    def _time(self, next_start_ms: int | None, duration_ms: int | None) -> Cue:
        start_ms = self._waiting[0].start_ms
        if self._last_end_ms is not None:  # the cue before it has been gone for two frames
            start_ms = max(start_ms, self._last_end_ms + MIN_GAP_MS)
        self._last_end_ms = shown_until(start_ms, self._waiting, next_start_ms, duration_ms)
        lines = wrap(self._waiting, width=self._width, language=self._language)
        text = text_of(self._waiting)
        return Cue(start_ms / 1000, self._last_end_ms / 1000, lines, self._waiting_voice, text)
