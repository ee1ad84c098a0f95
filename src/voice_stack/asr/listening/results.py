"""How good a window's text is, where it lies in the file, how it is written, and how lost windows are rescued.

Two halves are two other beginnings: mostly one of them is understood, and a loop ends where its half does.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.listening.repetition import MAX_COMPRESSION_RATIO, MIN_NO_SPEECH_PROB, SURE_LOGPROB
from voice_stack.asr.listening.windows import Window, WindowPiece
from voice_stack.asr.request import Listening
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.logging import log_event
from voice_stack.utils.audio.vad import FRAME, log_vad_failure, speech_probabilities

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
class Stretch:
    """From `start_s` to `end_s`."""

    start_s: float
    end_s: float

    def overlap_s(self, other: "Stretch") -> float:
        """Seconds that both have in common; negative: the distance between them."""
        return min(self.end_s, other.end_s) - max(self.start_s, other.start_s)

    def clamp(self, time_s: float) -> float:
        """The time within the span that is nearest."""
        return min(max(time_s, self.start_s), self.end_s)


class WindowSound:
    """The sound of one window; nothing is computed before it is asked for."""

    def __init__(self, window: Window) -> None:
        self._window = window

    @cached_property
    def loud(self) -> tuple[Stretch, ...]:
        """Stretches above -60 dBFS; pauses of up to 0.3 s belong to them."""
        samples = self._window.samples
        frames = np.pad(samples, (0, -samples.size % _LOUDNESS_FRAME)).reshape(-1, _LOUDNESS_FRAME)
        is_loud = np.mean(frames**2, axis=1) > 10 ** (SILENCE_DBFS / 10)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_loud, [False]]).astype(np.int8)))
        spans = [Stretch(start / 100, min(end / 100, self._window.duration_s)) for start, end in edges.reshape(-1, 2)]
        breaks = [n for n, (a, b) in enumerate(pairwise(spans), 1) if b.start_s - a.end_s > _SHORT_PAUSE_S]
        groups = [spans[a:b] for a, b in pairwise([0, *breaks, len(spans)])] if spans else []
        return tuple(Stretch(group[0].start_s, group[-1].end_s) for group in groups)

    @cached_property
    def audible(self) -> tuple[Stretch, ...]:
        """The speech of the window's pieces, as far as it is not silent."""
        spoken = [_speech_span(piece) for piece in self._window.pieces]
        common = [(max(a.start_s, b.start_s), min(a.end_s, b.end_s)) for a in spoken for b in self.loud]
        return tuple(Stretch(start_s, end_s) for start_s, end_s in common if start_s < end_s)

    @cached_property
    def _probabilities(self) -> NDArray[np.float32]:
        return speech_probabilities(self._window.samples)

    def is_silent(self, span: Stretch) -> bool:
        """Whether nothing above -60 dBFS lies within the span."""
        return all(loud.overlap_s(span) < 0 for loud in self.loud)

    def has_speech(self, span: Stretch) -> bool:
        """Whether the voice detector hears the slightest speech in the span or half a second around it."""
        first = max(0, int((span.start_s - MARGIN_S) * SAMPLE_RATE / FRAME))
        last = int((span.end_s + MARGIN_S) * SAMPLE_RATE / FRAME) + 1
        return int((self._probabilities[first:last] >= HEARD_PROBABILITY).sum()) >= HEARD_FRAMES

    @property
    def speech_s(self) -> float:
        """Seconds in which the detector hears speech."""
        return float((self._probabilities >= HEARD_PROBABILITY).sum()) * FRAME / SAMPLE_RATE


def _speech_span(piece: WindowPiece) -> Stretch:
    offset = piece.window_start - piece.file_start
    start_s, end_s = (piece.speech_start + offset) / SAMPLE_RATE, (piece.speech_end + offset) / SAMPLE_RATE
    window_s = piece.window_start / SAMPLE_RATE
    start_s = max(start_s - _SPEECH_MARGIN_S, window_s)
    return Stretch(start_s, min(end_s + _SPEECH_MARGIN_S, window_s + piece.length / SAMPLE_RATE))


# A threshold of the Whisper paper (Radford et al. 2022, section 4.5).
MIN_AVG_LOGPROB = -1.0

MIN_TOKENS_PER_S = 1.5
"""Slow speech has more; none of 500 cuts of real speech that the model doubted had less."""
MAX_CHARACTERS_PER_S = 25.0
"""Fast speech has 20 in the languages that have most."""
LOST_TAIL_S = 1.0
"""Speech after the last timestamp that is decoded once more: the model stopped before its window ended."""


def is_silence(result: WindowResult | Segment) -> bool:
    """Whether the model itself says that nothing is said."""
    return result.no_speech_prob > MIN_NO_SPEECH_PROB and result.avg_logprob < MIN_AVG_LOGPROB


def is_poor(result: WindowResult) -> bool:
    """Whether the text is improbable or repeats itself, so that another temperature may serve better."""
    is_poor = result.avg_logprob < MIN_AVG_LOGPROB or repeats(result) or has_stopped_early(result)
    return is_poor and not is_silence(result)


def has_stopped_early(result: WindowResult) -> bool:
    """Whether the model doubts a text that is far shorter than its time; of a whisper it gave four words of 18."""
    token_count = sum(len(segment.tokens) for segment in result.segments)
    is_sparse = 0 < token_count < MIN_TOKENS_PER_S * result.is_complete_until_s
    return is_sparse and result.avg_logprob < SURE_LOGPROB


def repeats(result: WindowResult) -> bool:
    """Whether the text says one thing over and over."""
    return result.compression_ratio > MAX_COMPRESSION_RATIO


def is_hurried(result: WindowResult, duration_s: float) -> bool:
    """Whether nobody can say the text in so many seconds; then it is invented."""
    return sum(len(segment.text) for segment in result.segments) > MAX_CHARACTERS_PER_S * duration_s


def among_candidates(probabilities: Mapping[str, float], candidates: Collection[str]) -> dict[str, float]:
    """What the model says of the language, as if there were only the candidates; as it is where there are none."""
    chosen = {code: probabilities.get(code, 0.0) for code in candidates or probabilities}
    total = sum(chosen.values())
    if not candidates or total <= 0:
        return chosen
    return {code: probability / total for code, probability in chosen.items()}


def better(one: WindowResult | None, other: WindowResult) -> WindowResult:
    """A result without repetition before one with, then the more probable."""
    if one is None:
        return other
    return max(one, other, key=lambda result: (result.compression_ratio <= MAX_COMPRESSION_RATIO, result.avg_logprob))


TimedT = TypeVar("TimedT", Segment, Word)


def in_file_time(segments: Iterable[Segment], window: Window) -> tuple[Segment, ...]:
    """The segments of a window with times of the file."""
    seek = int(window.start_s * 100)
    return tuple(
        replace(_shift(segment, window), seek=seek, words=tuple(_shift(word, window) for word in segment.words))
        for segment in segments
    )


def _shift(timed: TimedT, window: Window) -> TimedT:
    start_s = window.to_file_s(timed.start_s)
    return replace(timed, start_s=start_s, end_s=max(start_s, window.to_file_s(timed.end_s, is_end=True)))


def until_complete(result: WindowResult) -> WindowResult:
    """Without the text after the last timestamp, which is decoded again."""
    kept = tuple(segment for segment in result.segments if segment.start_s < result.is_complete_until_s)
    return replace(result, segments=kept)


def lost_tail(window: Window, result: WindowResult) -> Window | None:
    """The part of a window after the last timestamp, if there is speech in it."""
    last = window.pieces[-1]
    speech_end_s = (last.window_start + last.speech_end - last.file_start) / SAMPLE_RATE
    cut = int(result.is_complete_until_s * SAMPLE_RATE)
    left_s = speech_end_s - result.is_complete_until_s
    return None if not result.segments or is_silence(result) or left_s < LOST_TAIL_S or cut <= 0 else after(window, cut)


def before(window: Window, cut: int) -> Window:
    """The part of a window in front of a sample, which lies inside the window."""
    pieces = (_clip(piece, piece.window_start, cut) for piece in window.pieces if piece.window_start < cut)
    return Window(window.samples[:cut], tuple(pieces), window.index)


def after(window: Window, cut: int) -> Window:
    """The part of a window from a sample on, which lies inside the window."""
    kept = (piece for piece in window.pieces if piece.window_start + piece.length > cut)
    clipped = (_clip(piece, cut, piece.window_start + piece.length) for piece in kept)
    pieces = tuple(replace(piece, window_start=piece.window_start - cut) for piece in clipped)
    return Window(window.samples[cut:], pieces, window.index)


def _clip(piece: WindowPiece, start: int, end: int) -> WindowPiece:
    """What of a piece lies between two samples of its window."""
    start, end = max(start, piece.window_start), min(end, piece.window_start + piece.length)
    to_file = piece.file_start - piece.window_start
    speech_start, speech_end = (
        min(max(at, start + to_file), end + to_file) for at in (piece.speech_start, piece.speech_end)
    )
    return WindowPiece(start + to_file, start, end - start, speech_start, speech_end)


_CHINESE = frozenset({"zh", "yue"})
_BETWEEN = "[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
"""Kana, Han and the marks of their width."""
_STRAY_BLANKS = re.compile(rf"(?:(?<={_BETWEEN})|^)\s+(?={_BETWEEN})")


class NoConverterError(Exception):
    """OpenCC is not installed."""


def rewrite(segment: Segment, language: str, characters: str | None) -> Segment:
    """The segment as it is to be written; its tokens stay.

    `characters` are what `find_characters` gave; None: Chinese stays as the model wrote it.

    Raises:
        NoConverterError: The characters cannot be converted here.
    """
    if language == "ja":
        words = tuple(replace(word, text=_STRAY_BLANKS.sub("", word.text)) for word in segment.words)
        return replace(segment, text=_STRAY_BLANKS.sub("", segment.text), words=words)
    if language not in _CHINESE or characters is None:
        return segment
    convert = _converter(characters)
    text = convert(segment.text)
    return replace(segment, text=text, words=_words(segment, text, convert))


def _words(segment: Segment, text: str, convert: Callable[[str], str]) -> tuple[Word, ...]:
    """The words as the converted text has them: what a character becomes depends on those beside it."""
    words, at = list[Word](), 0
    for word in segment.words:
        found = segment.text.find(word.text, at) if len(text) == len(segment.text) else -1
        at = found + len(word.text) if found >= 0 else at
        words.append(replace(word, text=text[found:at] if found >= 0 else convert(word.text)))
    return tuple(words)


@cache
def _converter(characters: str) -> Callable[[str], str]:
    try:
        convert: Callable[[str], str] = import_module("opencc").OpenCC(characters).convert
    except ImportError as error:
        raise NoConverterError from error
    return convert


SURE_LANGUAGE = 0.5
"""Mean probability from which the language of a file is settled."""
VAD_FALLBACK, LANGUAGE_FALLBACK = "vad", "language"
"""What the answer's `x-fallback` says: everything was taken for speech; the language was assumed."""
LANGUAGE_WINDOWS = 3
"""Windows that are asked for the language at most."""


class JobState:
    """What is known of one job so far; `request_id` is for the logs."""

    def __init__(self, request: Listening, request_id: str = "") -> None:
        self.request_id = request_id
        self.language: str | None = None
        self.probability, self.is_settled = 0.0, False
        self.ask(request)
        self.speech_by_language: dict[str, float] = {}
        self.probabilities: dict[str, float] = {}
        self.votes: list[dict[str, float]] = []
        self.heard_samples, self.total_s, self.speech_s = 0, 0.0, 0.0
        self.fallbacks, self.warnings = tuple[str, ...](), tuple[str, ...]()

    def ask(self, request: Listening) -> None:
        """From here on this is asked; a language that was found stays, unless another one is named."""
        self.request = request
        if request.decode.language:
            self.language, self.probability, self.is_settled = request.decode.language, 1.0, True
        # One candidate is as good as a language that is named.
        is_open = self.language is None and len(request.candidate_languages) != 1
        self.may_change = is_open and request.multilingual is not False

    @property
    def main(self) -> str:
        """The language of the file as known by now; empty for a model that needs none."""
        return self.language or ""

    @property
    def most_spoken(self) -> str | None:
        """The language of the most speech so far."""
        spoken = self.speech_by_language
        return max(spoken, key=lambda code: spoken[code]) if spoken else self.language

    def count(self, language: str, speech_s: float) -> None:
        """Note in which language a window was heard."""
        self.speech_by_language[language] = self.speech_by_language.get(language, 0.0) + speech_s

    def miss_vad(self, reason: str) -> None:
        """Note that voice activity detection fails."""
        log_vad_failure(reason)
        self.fall_back(VAD_FALLBACK)

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Note what of the file is not heard, all that is known so far; the log is told of each once."""
        for warning in warnings[len(self.warnings) :]:
            log_event(logger, logging.WARNING, "not all of the file is heard", warning=warning)
        self.warnings = warnings

    def fall_back(self, what: str) -> None:
        """Note that something was done in the second-best way."""
        if what not in self.fallbacks:
            self.fallbacks += (what,)

    def assume(self, language: str) -> None:
        """Go on without asking for the language any more: that of the windows so far, else one that was asked for."""
        if not self.votes:
            self.language, self.probability = next(iter(self.request.candidate_languages), language), 0.0
        self.is_settled = True
        self.fall_back(LANGUAGE_FALLBACK)

    def vote(self, probabilities: dict[str, float]) -> None:
        """Add the opinion of one window; the mean over the windows decides."""
        self.votes.append(among_candidates(probabilities, self.request.candidate_languages))
        codes = {code for vote in self.votes for code in vote}
        means = {code: sum(vote.get(code, 0.0) for vote in self.votes) / len(self.votes) for code in codes}
        self.language, self.probability = max(means.items(), key=lambda item: item[1])
        self.is_settled = self.probability >= SURE_LANGUAGE or len(self.votes) >= LANGUAGE_WINDOWS


logger = logging.getLogger(__name__)

Decode = Callable[[Window, float], WindowResult]
"""Decode a window at a temperature."""

SHORTEST_S = 4.0
"""A window of less is not cut."""
LOST_SPEECH_S = 1.0
"""Speech that the detector must hear: with less, there is little to be lost."""
_SECOND_TEMPERATURE = 0.4
_STEP = SAMPLE_RATE // 50
_QUIET_STEPS = 10


def rescue(window: Window, result: WindowResult, decode: Decode) -> list[tuple[Window, WindowResult]]:
    """The window with its result, or its halves with theirs where those are better."""
    if window.duration_s < SHORTEST_S or not is_lost(window, result):
        return [(window, result)]
    cut = find_cut(window)
    halves = [(half, decode_patiently(half, decode)) for half in (before(window, cut), after(window, cut))]
    is_better = any(not is_poor(half) and not is_silence(half) for _, half in halves)
    log_event(
        logger,
        logging.INFO,
        "window decoded again in halves",
        start_s=round(window.start_s, 2),
        end_s=round(window.end_s, 2),
        is_better=is_better,
    )
    return halves if is_better else [(window, result)]


def is_lost(window: Window, result: WindowResult) -> bool:
    """Whether the text repeats itself, or is none, although the voice detector hears speech."""
    is_useless = is_silence(result) or not result.segments or result.compression_ratio > MAX_COMPRESSION_RATIO
    return is_useless and WindowSound(window).speech_s >= LOST_SPEECH_S


def find_cut(window: Window) -> int:
    """The sample in the middle third of the window around which a fifth of a second is quietest."""
    third = window.samples.size // 3
    return find_quiet(window, third, 2 * third)


def find_quiet(window: Window, start: int, end: int) -> int:
    """The sample between two others, a fifth of a second apart at least, around which so much is quietest."""
    first, last = start // _STEP, end // _STEP
    frames = window.samples[first * _STEP : last * _STEP].reshape(-1, _STEP)
    energy = np.convolve(np.mean(frames**2, axis=1), np.ones(_QUIET_STEPS), mode="valid")
    return (first + int(energy.argmin()) + _QUIET_STEPS // 2) * _STEP


def decode_patiently(window: Window, decode: Decode, temperature: float = 0.0) -> WindowResult:
    """The text of a window; where it is poor, the better of two."""
    result = decode(window, temperature)
    return better(result, decode(window, max(temperature, _SECOND_TEMPERATURE))) if is_poor(result) else result
