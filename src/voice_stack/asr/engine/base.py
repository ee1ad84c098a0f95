"""What an engine is: one batch of windows in, text with times out. Everything else is shared and lies elsewhere."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.errors import EngineError

SAMPLE_RATE = 16_000
MAX_WINDOW_S = 30.0
TimeSpan = tuple[float, float]
"""Where a part of a window begins and ends, in seconds from the window's start."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What was heard in one window; all times in seconds from its start.

    Attributes:
        segments: In order of time; empty where nothing was heard.
        avg_logprob: Mean log-probability of the tokens of the window.
        compression_ratio: Bytes of the text over its bytes when compressed.
        no_speech_prob: Probability that nothing is said, 0 to 1.
        is_complete_until_s: The model's last timestamp: up to here the text covers the audio. A segment that starts
            here or later was cut off. The whole window where the model gave no timestamp.
        has_run_on: It is not to be used: the model went on after the speech, and others that were decoded at the same
            time do not wait until the window is decoded with `DecodeOptions.is_whole`.
    """

    segments: tuple[Segment, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    is_complete_until_s: float
    has_run_on: bool = False


class AsrEngine(ABC):
    """A loaded model. At most `lanes` threads use it at a time, one more where there is an express lane.

    Args:
        model_dir: Folder with the model's files.
        options: How to load and run it.

    Attributes:
        lanes: Calls of `decode` that may run at the same time with profit.
        max_batch: Most windows that one call of `decode` takes with profit.
        short_batch_s: Most audio in a call with several windows that somebody waits for, in seconds.
        has_express_lane: One more call may run at the same time, at the cost of the others' speed.
        solo_threads: If not 0, this instance puts so many threads on one call at a time, and that of `open_for_crowd`
            serves the lanes.
        capabilities: What the loaded model can do.

    Raises:
        ModelLoadError: The model does not load.
    """

    lanes: int = 1
    max_batch: int = 1
    short_batch_s: float = math.inf
    has_express_lane: bool = False
    solo_threads: int = 0
    capabilities: AsrCapabilities

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        self.model_dir, self.options = model_dir, options

    def open_for_crowd(self) -> "AsrEngine":
        """Load the instance that serves the lanes where `solo_threads` is not 0: the same model, more calls at once.

        Raises:
            ModelLoadError: The model does not load.
        """
        return self

    def open_beside_others(self) -> "AsrEngine":
        """Load the instance that serves who is alone here while other programs are busy: with one thread.

        Raises:
            ModelLoadError: The model does not load.
        """
        return self

    @property
    def is_untuned(self) -> bool:
        """Whether `tune` would find how the model is run better on this machine."""
        return False

    def tune(self, is_undisturbed: Callable[[], bool]) -> bool:
        """Measure how the model is best run on this machine, and keep that for the next time it is loaded.

        Args:
            is_undisturbed: Asked when the figures are there; they are not kept if something else took the CPUs.

        Returns:
            Whether they were kept.

        Raises:
            OSError: They cannot be.
        """
        return False

    @abstractmethod
    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows, mono float32 at 16 kHz of shape (samples,), at most 30 s each; one result for each.

        Raises:
            EngineError: The model failed, or a window is no such array.
        """

    @abstractmethod
    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """Probability of each language the model knows, by code, the most probable first; a window as for `decode`.

        Raises:
            EngineError: The model failed, or the window is no such array.
        """

    def align(
        self, windows: Sequence[NDArray[np.float32]], texts: Sequence[Sequence[str]], options: DecodeOptions
    ) -> list[tuple[Word, ...]]:
        """When each word of given texts is said, if it is, and how probable it is after those before it.

        Args:
            windows: As for `decode`.
            texts: The words of each window.
            options: Of them the language.

        Returns:
            As many words for each window, in order of time, in seconds from its start; what is not said has times, too.

        Raises:
            EngineError: The model failed, or it cannot: see `AsrCapabilities.alignment`.
        """
        raise EngineError(f"{type(self).__name__} does not align texts.")

    def detect_languages(
        self, windows: Sequence[NDArray[np.float32]], stretches: Sequence[Sequence[TimeSpan]]
    ) -> list[list[dict[str, float]]]:
        """Probability of each language in stretches of windows; none where it is only known of whole windows.

        Args:
            windows: As for `decode`; decoding the same arrays right afterwards does not encode them again.
            stretches: For each window, in its time.

        Raises:
            EngineError: The model failed, or a window is no such array.
        """
        return [[] for _ in windows]

    @contextmanager
    def engine_errors(self, *kinds: type[Exception]) -> Iterator[None]:
        """Tell what the library of a model raises as an `EngineError`."""
        try:
            yield
        except kinds as error:
            raise EngineError(f"The model in {self.model_dir} failed: {error}.") from error


def check_windows(*windows: NDArray[np.float32]) -> None:
    """Refuse what is no window: libraries spin or answer nonsense on arrays of another kind.

    Raises:
        EngineError: Not 1-D, not float32, empty, longer than 30 s, or with values that are not finite.
    """
    for window in windows:
        if window.ndim != 1 or window.dtype != np.float32:
            raise EngineError(f"A window must be a 1-D array of float32; this one is {window.ndim}-D {window.dtype}.")
        if window.size == 0:
            raise EngineError("A window holds no samples; it must hold one at least.")
        if window.size > MAX_WINDOW_S * SAMPLE_RATE:
            raise EngineError(f"A window lasts {window.size / SAMPLE_RATE:.2f} s; {MAX_WINDOW_S:g} s is the longest.")
        if not np.isfinite(window).all():
            raise EngineError("A window holds samples that are not finite numbers; they must lie in -1 to 1.")


def decode_language(options: DecodeOptions, can: AsrCapabilities) -> str:
    """Code of the language to decode in; of a model that tells none apart the only one, whatever was asked for.

    Raises:
        EngineError: The model has not that language, or not that task.
    """
    language = options.language if can.language_detection else can.languages[0]
    if language is None or language not in can.languages:
        raise EngineError(f"Language {language!r} is not one of this model's: {', '.join(can.languages)}.")
    tasks = ("transcribe", "translate") if can.translate else ("transcribe",)
    if options.task not in tasks:
        raise EngineError(f"Task {options.task!r} is not one of this model's: {', '.join(tasks)}.")
    return language


FULL_FRAMES = 3000
FRAME_S = 0.01
PADDING_S = 3.0
"""Computed after the speech of a window: with less, the model goes on talking; see docs/performance.md."""
MIN_FRAMES = 1400
"""With less, `base` hears short sentences less well; see docs/performance.md."""
STEP_FRAMES = 200
"""Only windows of one width share a batch, for the width shapes the text; a few widths make for full batches."""


DRAFT_PADDING_S, DRAFT_FRAMES = 1.5, 400
"""The same for a text that is provisional: half the time, and three words of 100 more change before they stay. With 600
the first words are no sooner sure."""


def narrow_frames(sample_count: int, *, is_draft: bool = False) -> int:
    """Mel frames that are computed for a window of so many samples, at 16 kHz."""
    padding_s, least = (DRAFT_PADDING_S, DRAFT_FRAMES) if is_draft else (PADDING_S, MIN_FRAMES)
    frames = math.ceil((sample_count / SAMPLE_RATE + padding_s) / FRAME_S / STEP_FRAMES) * STEP_FRAMES
    return min(max(frames, least), FULL_FRAMES)


_SECONDS_PER_TIMESTAMP = 0.02


@dataclass(frozen=True, slots=True)
class TimedTokens:
    """The tokens of one segment, its timestamps included, and the times in seconds that these mean."""

    tokens: tuple[int, ...]
    start_s: float
    end_s: float


def split_at_timestamps(tokens: Sequence[int], *, timestamp_begin: int, duration_s: float) -> list[TimedTokens]:
    """Split what the model wrote for a window into segments.

    A timestamp after text ends a segment, one before text starts the next. Text without a timestamp before it starts
    with the window, text without one after it ends with the window. Times are clamped to the window.

    Args:
        tokens: Text and timestamps as decoded, without the prompt.
        timestamp_begin: The token that means 0.00 s; each later one means 20 ms more.
        duration_s: Length of the window in seconds.
    """
    parts: list[TimedTokens] = []
    start_s, part, has_text = 0.0, list[int](), False
    for token in tokens:
        if token < timestamp_begin:
            part, has_text = [*part, token], True
            continue
        time_s = _time_s(token, timestamp_begin, duration_s)
        if has_text:
            parts.append(TimedTokens((*part, token), start_s, max(start_s, time_s)))
        start_s, part, has_text = time_s, [] if has_text else [token], False
    if has_text:
        parts.append(TimedTokens(tuple(part), start_s, duration_s))
    return parts


def _time_s(token: int, timestamp_begin: int, duration_s: float) -> float:
    return min(round((token - timestamp_begin) * _SECONDS_PER_TIMESTAMP, 2), duration_s)


def last_timestamp_s(tokens: Sequence[int], *, timestamp_begin: int, duration_s: float) -> float:
    """Time of the last timestamp; without one, or with the one for 0.00 s only, the text is for the whole window."""
    last = max((token for token in tokens if token > timestamp_begin), default=None)
    return duration_s if last is None else _time_s(last, timestamp_begin, duration_s)
