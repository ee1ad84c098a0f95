"""Voice activity detection: where in a stream of samples somebody speaks; where it fails, everything is speech.

Two halves: `StreamingVad` runs the Silero network and gives one probability per 32 ms; `SpeechSegmenter` is a pure
state machine that turns probabilities into regions of speech. Both take the stream in pieces of any length and give
the same answer as for the whole at once.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.logging import log_event

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SAMPLE_RATE = 16_000
FRAME = 512
"""Samples that share one probability: 32 ms."""

_CONTEXT = 64
# Memory of one run grows with its frames; speed no longer does from here on.
_FRAMES_PER_RUN = 256
_FRESH_FRAMES = 5 * SAMPLE_RATE // FRAME
"""After so many frames of digital silence in a row the network begins anew: it grows deaf to the words that follow."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """When speech begins and ends; gentle by default, because a lost whisper is worse than a kept breath.

    Attributes:
        threshold: Probability from which a frame begins a region, above 0 and below 1. At Silero's own 0.5 a quiet
            whisper loses up to half of its length; noise stays below 0.2.
        neg_threshold: Probability below which a frame counts as silence; between the two a region goes on. None
            means 0.15 below `threshold`.
        min_speech_duration_ms: Shorter regions are dropped as clicks.
        min_silence_duration_ms: Silence that ends a region; shorter pauses stay inside it.
        speech_pad_ms: Real audio kept on both sides of a region: onsets and endings are quieter than the rest. Pauses
            shorter than twice this never end a region.

    Raises:
        ConfigurationError: A value is out of range; the message names it.
    """

    threshold: float = 0.35
    neg_threshold: float | None = None
    min_speech_duration_ms: int = 64
    min_silence_duration_ms: int = 600
    speech_pad_ms: int = 300

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigurationError(f"VAD threshold {self.threshold} is not between 0 and 1.")
        if self.neg_threshold is not None and not 0 <= self.neg_threshold <= self.threshold:
            raise ConfigurationError(f"VAD neg_threshold {self.neg_threshold} is not between 0 and {self.threshold}.")
        for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"VAD {name} is {getattr(self, name)}; 0 and more are possible.")

    @property
    def silence_below(self) -> float:
        """Probability under which a frame is silence."""
        return max(self.threshold - 0.15, 0.01) if self.neg_threshold is None else self.neg_threshold

    @property
    def split_silence(self) -> int:
        """Samples of silence that end a region: room enough for the padding of both its neighbours."""
        return max(self.min_silence_duration_ms, 2 * self.speech_pad_ms) * SAMPLE_RATE // 1000

    @property
    def min_speech(self) -> int:
        """Samples of the shortest region kept."""
        return self.min_speech_duration_ms * SAMPLE_RATE // 1000

    @property
    def speech_pad(self) -> int:
        """Samples of padding on each side."""
        return self.speech_pad_ms * SAMPLE_RATE // 1000


QUIET_DBFS = -40.0
"""Frames that are quieter, and have been for a while, are raised; speech at a usual level stays as it is."""
MAX_GAIN_DB = 20.0
RELEASE_DB_PER_S = 20.0
"""How fast the gain comes: with these three a voice 30 dB below the one before it is found, and music and noise give no
more speech at any level than without (the gain that finds one at -40 dB heard a voice in a swelling note)."""


RAISED_TRUST = 0.7
"""What is raised is speech from Silero's own threshold of 0.5 on: a swelling note would be one at 0.35."""
_SLOPE = (np.arange(1, FRAME + 1, dtype=np.float32) / FRAME)[None]


class QuietLeveller:
    """Raises what is quiet before the network hears it: after a loud voice it is deaf to one 30 dB below."""

    def __init__(self) -> None:
        self._envelope_db, self._gain = QUIET_DBFS, 1.0
        self.trust = np.zeros(0, np.float32)

    def level(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whole frames, shape (frames * 512,), as they are or louder; the gain changes within a frame, without a step.

        It falls at once and rises slowly: an envelope that follows the level up, and sinks by 20 dB a second.
        """
        frames = samples.reshape(-1, FRAME)
        levels_db = 10 * np.log10(np.einsum("ij,ij->i", frames, frames) / FRAME + 1e-12)
        step_db, floor_db = RELEASE_DB_PER_S * FRAME / SAMPLE_RATE, QUIET_DBFS - MAX_GAIN_DB
        gains = [self._gain]
        for level_db in levels_db.tolist():
            self._envelope_db = max(level_db, self._envelope_db - step_db, floor_db)
            gains.append(10 ** (max(QUIET_DBFS - self._envelope_db, 0.0) / 20))
        self._gain = gains[-1]
        self.trust = np.where(np.array(gains[1:]) > 1, RAISED_TRUST, 1.0).astype(np.float32)
        if max(gains) <= 1:
            return samples
        edges = np.array(gains, np.float32)
        raised = np.multiply(np.diff(edges)[:, None], _SLOPE, dtype=np.float32)
        raised += edges[:-1, None]
        raised *= frames
        return np.clip(raised, -1, 1, out=raised).reshape(-1)


class StreamingVad:
    """The Silero v6 network over a stream of 16 kHz audio, state carried from call to call. One stream each.

    Args:
        levels: Whether what is quiet is raised first.

    Raises:
        ConfigurationError: The model file is not installed.
    """

    def __init__(self, *, levels: bool = False) -> None:
        self._session = _load_session()
        self._h = self._c = np.zeros((1, 1, 128), np.float32)
        self._zero_frames = 0
        self._leveller = QuietLeveller() if levels else None
        self._context = np.zeros(_CONTEXT, np.float32)  # of the next frame
        self._pending = np.zeros(0, np.float32)  # samples that do not yet fill it

    def probabilities(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the frames completed by `block`, a 1-D array of any length; shape (frames,), 0 to 1."""
        samples = np.concatenate([self._pending, block])
        frames = samples.size // FRAME
        self._pending = samples[frames * FRAME :].copy()
        if not frames:
            return np.zeros(0, np.float32)
        whole = samples[: frames * FRAME]
        heard = np.concatenate([self._context, self._leveller.level(whole) if self._leveller else whole])
        self._context = heard[-_CONTEXT:].copy()
        # Each row is one frame with the last samples of the frame before it.
        rows = np.lib.stride_tricks.sliding_window_view(heard, _CONTEXT + FRAME)[::FRAME]
        found = np.concatenate([self._run(part) for part in self._split(rows, whole)])
        return found * self._leveller.trust if self._leveller else found

    def finish(self) -> NDArray[np.float32]:
        """Probability of the last, partial frame, filled up with silence; empty where no samples are left."""
        rest = self._pending.size
        return self.probabilities(np.zeros(FRAME - rest, np.float32)) if rest else np.zeros(0, np.float32)

    def _split(self, rows: NDArray[np.float32], whole: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Rows as they are run together; where digital silence has lasted, the next ones begin without memory."""
        start = 0
        peaks: NDArray[np.float32] = np.abs(whole.reshape(-1, FRAME)).max(axis=1)
        for frame, peak in enumerate(peaks, 1):
            self._zero_frames = 0 if peak else self._zero_frames + 1
            is_fresh = self._zero_frames == _FRESH_FRAMES
            if is_fresh or frame - start == _FRAMES_PER_RUN or frame == len(rows):
                yield rows[start:frame]
                start = frame
            if is_fresh:
                self._zero_frames, self._h, self._c = 0, np.zeros_like(self._h), np.zeros_like(self._c)

    def _run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = {"input": np.ascontiguousarray(rows), "h": self._h, "c": self._c}
        output, self._h, self._c = self._session.run(None, inputs)
        return np.asarray(output, np.float32).reshape(-1)


def speech_probabilities(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of the frames of a whole sound; see `StreamingVad`."""
    detector = StreamingVad()
    return np.concatenate([detector.probabilities(samples), detector.finish()])


class EverythingIsSpeech:
    """In the place of `StreamingVad` where nothing may be left out: every frame has probability 1.

    `samples` of the stream have been before it.
    """

    OPTIONS: ClassVar = VadOptions(min_speech_duration_ms=0, min_silence_duration_ms=0, speech_pad_ms=0)

    def __init__(self, samples: int = 0) -> None:
        self._rest = samples % FRAME

    def probabilities(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """One for each frame completed by `block`."""
        frames, self._rest = divmod(self._rest + block.size, FRAME)
        return np.ones(frames, np.float32)

    def finish(self) -> NDArray[np.float32]:
        """One for the last, partial frame, if there is any."""
        return np.ones(1 if self._rest else 0, np.float32)


@cache
def _load_session() -> "InferenceSession":
    """The network, loaded once per process; running it is thread-safe, its state is kept outside."""
    package = find_spec("faster_whisper")  # found, not imported: its import loads far more than this file
    path = Path(package.origin).parent / "assets" / "silero_vad_v6.onnx" if package and package.origin else None
    if path is None or not path.is_file() or find_spec("onnxruntime") is None:
        raise ConfigurationError(
            "The voice activity detector (silero_vad_v6.onnx of faster-whisper, run by onnxruntime) is not installed: "
            "pip install 'voice-stack[asr]'"
        )
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena never gives its memory back
    options.log_severity_level = 3
    return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True, order=True)
class SpeechRegion:
    """Speech from sample `start` up to, not including, sample `end` of the stream, without padding."""

    start: int
    end: int


class SpeechSegmenter:
    """Probabilities of consecutive frames -> regions of speech. Pure: no audio, no model, no clock."""

    def __init__(self, options: VadOptions) -> None:
        self._options = options
        self._position = 0
        self._start: int | None = None
        self._quiet_since: int | None = None

    def push(self, probabilities: Iterable[float]) -> list[SpeechRegion]:
        """Regions that ended within these frames, in order."""
        closed = [self._step(float(probability)) for probability in probabilities]
        return [region for region in closed if region is not None]

    def finish(self, total: int) -> list[SpeechRegion]:
        """The region still open at the end of the stream, which is `total` samples long; none or one."""
        region = self._close(total)
        return [] if region is None else [region]

    @property
    def open_region(self) -> SpeechRegion | None:
        """The region in progress as far as it is known; it can grow, but will not shrink or vanish any more."""
        if self._start is None or self._extent() - self._start < self._options.min_speech:
            return None
        return SpeechRegion(self._start, self._extent())

    @property
    def settled(self) -> int:
        """Sample before which every region has been handed out: none will begin before it."""
        return self._position if self._start is None else self._start

    def _extent(self) -> int:
        return self._position if self._quiet_since is None else self._quiet_since

    def _step(self, probability: float) -> SpeechRegion | None:
        frame_start, self._position = self._position, self._position + FRAME
        if probability >= self._options.threshold:
            self._quiet_since = None
            if self._start is None:
                self._start = frame_start
        elif self._start is not None and self._quiet_since is None and probability < self._options.silence_below:
            self._quiet_since = frame_start
        if self._quiet_since is not None and self._position - self._quiet_since >= self._options.split_silence:
            return self._close(self._quiet_since)
        return None

    def _close(self, end: int) -> SpeechRegion | None:
        start, end = self._start, min(end, self._extent())
        self._start = self._quiet_since = None
        return None if start is None or end - start < self._options.min_speech else SpeechRegion(start, end)


logger = logging.getLogger(__name__)


def _failures() -> tuple[type[Exception], ...]:
    """What loading and running the network raises, its library missing included."""
    known: tuple[type[Exception], ...] = (ConfigurationError, OSError, RuntimeError, ValueError)
    if find_spec("onnxruntime") is None:
        return known
    from voice_stack.utils.onnx import ONNX_ERRORS

    return known + ONNX_ERRORS


def log_vad_failure(reason: str) -> None:
    """Tell the operator."""
    log_event(logger, logging.WARNING, "voice activity detection fails: everything counts as speech", reason=reason)


class ForgivingVad:
    """`StreamingVad` until it fails, `EverythingIsSpeech` from there on; `on_failure` is told the reason, once."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self._samples = 0
        self._detector: StreamingVad | EverythingIsSpeech
        try:
            self._detector = StreamingVad(levels=True)
        except _failures() as error:
            self._give_up(error)

    def probabilities(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `StreamingVad.probabilities`."""
        found = self._ask(lambda detector: detector.probabilities(block))
        self._samples += block.size
        return found

    def finish(self) -> NDArray[np.float32]:
        """See `StreamingVad.finish`."""
        return self._ask(lambda detector: detector.finish())

    def _ask(self, question: Callable[[StreamingVad | EverythingIsSpeech], NDArray[np.float32]]) -> NDArray[np.float32]:
        try:
            return question(self._detector)
        except _failures() as error:
            self._give_up(error)
            return question(self._detector)

    def _give_up(self, error: Exception) -> None:
        self._on_failure(f"{type(error).__name__}: {error}")
        self._detector = EverythingIsSpeech(self._samples)
