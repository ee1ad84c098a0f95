"""A stream of samples -> windows for the model, each with the map from its time to the file's.

Speech is kept with a little real audio around it, long silence is left out, and consecutive speech shares a window
up to the limit. Windows are cut in silences; only speech without a pause is cut inside, at its quietest place.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.request import AsrWorkerConfig, VadChoice
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.jobs import options_from
from voice_stack.utils.audio.vad import (
    FRAME,
    SAMPLE_RATE,
    EverythingIsSpeech,
    ForgivingVad,
    SpeechRegion,
    SpeechSegmenter,
    VadOptions,
    log_vad_failure,
)


class SampleTrack:
    """The newest part of a stream of float32 values, addressed by position in the stream."""

    def __init__(self) -> None:
        self._values = np.zeros(0, np.float32)
        self._start = 0

    @property
    def end(self) -> int:
        """Position after the last value."""
        return self._start + self._values.size

    def append(self, values: NDArray[np.float32]) -> None:
        """Add values at the end."""
        self._values = np.concatenate([self._values, values], dtype=np.float32)

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """The values from `start` up to, not including, `end`."""
        return self._values[start - self._start : end - self._start]

    def forget_before(self, position: int) -> None:
        """Drop what lies before a position."""
        dropped = min(max(position - self._start, 0), self._values.size)
        self._values, self._start = self._values[dropped:].copy(), self._start + dropped


def choose_vad(config: AsrWorkerConfig, choice: VadChoice) -> VadOptions | None:
    """The settings, overruled by what the request names; None: nothing is left out.

    `neg_threshold` is taken as at most the threshold: above it, speech would end while it goes on.
    """
    if not (config.vad_enabled if choice.enabled is None else choice.enabled):
        return None
    threshold, end = choice.threshold or VadOptions().threshold, choice.neg_threshold
    chosen = replace(choice, threshold=threshold, neg_threshold=None if end is None else min(end, threshold))
    return options_from(VadOptions, chosen)


_Samples = NDArray[np.float32]

_STEP = 10 * SAMPLE_RATE
# Frames over which quietness is averaged: one quiet frame of 32 ms may be the closure of a plosive.
_QUIET_FRAMES = 7


@dataclass(frozen=True, slots=True)
class WindowPiece:
    """A stretch of the file that lies in a window without interruption; all positions in samples.

    Attributes:
        file_start: Its first sample in the file.
        window_start: Its first sample in the window.
        length: Its number of samples, padding included.
        speech_start: Where in the file its speech begins; `speech_end` is where it ends.
    """

    file_start: int
    window_start: int
    length: int
    speech_start: int
    speech_end: int


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One unit of work for the model.

    Attributes:
        samples: Mono float32 at 16 kHz, shape (samples,): the pieces one after another.
        pieces: Where they come from, in order of time; never empty.
        index: Number of the window in its stream, from 0.
    """

    samples: _Samples
    pieces: tuple[WindowPiece, ...]
    index: int

    def to_file_s(self, t: float, *, is_end: bool = False) -> float:
        """Map a time in the window to the time in the file, both in seconds; times outside are clamped.

        At a seam between two pieces `is_end` chooses the end of the first, not the start of the second: what ends
        there does not grow over the silence left out.
        """
        sample = t * SAMPLE_RATE
        find = bisect_left if is_end else bisect_right
        piece = self.pieces[max(find(self.pieces, sample, key=lambda piece: piece.window_start) - 1, 0)]
        offset = min(max(sample - piece.window_start, 0.0), float(piece.length))
        return (piece.file_start + offset) / SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return self.samples.size / SAMPLE_RATE

    @property
    def speech_s(self) -> float:
        """Speech in the window, without padding."""
        return sum(piece.speech_end - piece.speech_start for piece in self.pieces) / SAMPLE_RATE

    @property
    def start_s(self) -> float:
        """Time in the file at which the window begins."""
        return self.pieces[0].file_start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Time in the file at which the window ends."""
        return (self.pieces[-1].file_start + self.pieces[-1].length) / SAMPLE_RATE


def cut_windows(
    blocks: Iterable[_Samples],
    *,
    vad: VadOptions | None,
    max_window_s: float = 28.0,
    max_gap_s: float = 5.0,
    on_vad_failure: Callable[[str], None] = log_vad_failure,
) -> Iterator[Window | None]:
    """Cut a stream into windows; each comes as soon as it is complete, the first already at an early pause.

    Memory does not depend on the length of the stream. The windows do not depend on how it is split into blocks.

    Args:
        blocks: Mono float32 arrays at 16 kHz, shape (samples,), of any lengths.
        vad: How speech is told from silence; None keeps everything.
        max_window_s: Longest window in seconds, 1 at least.
        max_gap_s: Silence in seconds beyond which speech does not share a window with the speech before it.
        on_vad_failure: Told why the network for `vad` fails; from there on everything is kept.

    Yields:
        Windows in order of time; None after each block (or 10 s of it) that completed none, so that the caller can do
        something else. Audio without speech gives no windows.

    Raises:
        ConfigurationError: `max_window_s` is too short.
    """
    detector = EverythingIsSpeech() if vad is None else ForgivingVad(on_vad_failure)
    options = EverythingIsSpeech.OPTIONS if vad is None else vad
    cutter = WindowCutter(options, max_window_s=max_window_s, max_gap_s=max_gap_s)
    for block in blocks:
        for start in range(0, block.size, _STEP):
            step = block[start : start + _STEP]
            windows: Sequence[Window | None] = cutter.push(step, detector.probabilities(step))
            yield from windows or [None]
    yield from cutter.push(np.zeros(0, np.float32), detector.finish())
    yield from cutter.finish()


QUIET_BESIDE_DB, MAX_GAIN_DB = 15.0, 30.0
"""A stretch of speech that is so far below the loudest of its window is raised to there: else the model takes the voice
for the silence beside the loud one. Stretches of one reader differ by less, and stay as they are to the bit."""


def _raise_quiet(parts: Sequence[_Samples]) -> list[_Samples]:
    levels_db = [10 * np.log10(float(np.mean(np.square(part))) + 1e-12) for part in parts]
    wanted_db = max(levels_db) - QUIET_BESIDE_DB
    gains_db = [min(max(wanted_db - level_db, 0.0), MAX_GAIN_DB) for level_db in levels_db]
    return [
        np.clip(part * np.float32(10 ** (gain_db / 20)), -1, 1) if gain_db else part
        for part, gain_db in zip(parts, gains_db, strict=True)
    ]


class WindowCutter:
    """The rules of `cut_windows` alone: samples with their speech probabilities in, windows out. No model inside."""

    def __init__(self, options: VadOptions, *, max_window_s: float = 28.0, max_gap_s: float = 5.0) -> None:
        if max_window_s < 1:
            raise ConfigurationError(f"max_window_s is {max_window_s:g}; it must be 1 at least.")
        self._pad = options.speech_pad
        self._max_window, self._max_gap = int(max_window_s * SAMPLE_RATE), int(max_gap_s * SAMPLE_RATE)
        self._segmenter = SpeechSegmenter(options)
        self._samples, self._loudness = SampleTrack(), SampleTrack()
        self._resume: int | None = None  # where the region in progress goes on after what was cut off it
        self._pieces: list[WindowPiece] = []
        self._parts: list[_Samples] = []
        self._last_end = self._count = 0
        self._complete: list[Window] = []

    def push(self, samples: _Samples, probabilities: NDArray[np.float32]) -> list[Window]:
        """Windows completed by these samples and by the probabilities of the frames (512 samples) they complete."""
        self._complete = []
        self._samples.append(samples)
        self._measure(probabilities)
        for region in self._segmenter.push(probabilities.tolist()):
            self._add(region)
        self._look_ahead()
        needed = self._segmenter.settled - self._pad if self._resume is None else self._resume
        self._samples.forget_before(needed)
        self._loudness.forget_before(needed // FRAME)
        return self._complete

    def finish(self) -> list[Window]:
        """The last window, or two, at the end of the stream."""
        self._complete = []
        for region in self._segmenter.finish(self._samples.end):
            self._add(region)
        self._emit()
        return self._complete

    def _measure(self, probabilities: NDArray[np.float32]) -> None:
        """Speech probability plus RMS (the finer measure where probabilities are equal) of each new frame."""
        first, count = self._loudness.end, probabilities.size
        found = self._samples.read(first * FRAME, (first + count) * FRAME)
        frames = np.pad(found, (0, count * FRAME - found.size))
        self._loudness.append(probabilities + np.sqrt(np.mean(frames.reshape(count, FRAME) ** 2, axis=1)))

    def _add(self, region: SpeechRegion) -> None:
        start = self._fit(region)
        # What was cut off may have ended in the silence after the region: then only padding is left.
        if start < region.end:
            self._append(start, min(region.end + self._pad, self._samples.end), region)
        self._resume = None
        # The first text should come early: a third of a window is enough for a good result.
        if self._count == 0 and self._length() * 3 >= self._max_window:
            self._emit()

    def _look_ahead(self) -> None:
        """Emit what no later sample can change: the region in progress will only grow, a gap too."""
        region = self._segmenter.open_region
        if region is not None:
            self._resume = self._fit(region, is_open=True)
        elif self._pieces and self._segmenter.settled - self._pieces[-1].speech_end > self._max_gap:
            self._emit()

    def _fit(self, region: SpeechRegion, *, is_open: bool = False) -> int:
        """Make room for the region; returns where the part of it begins that is not yet in any window."""
        start = max(region.start - self._pad, self._last_end) if self._resume is None else self._resume
        # Whether padding or speech follows an open region is not known yet.
        end = min(region.end + (0 if is_open else self._pad), self._samples.end)
        gap = region.start - self._pieces[-1].speech_end if self._pieces else 0
        if gap > self._max_gap or self._length() + end - start > self._max_window:
            self._emit()
        while end - start > self._max_window:
            cut = self._quietest(start)
            self._append(start, cut, region)
            self._emit()
            start = cut
        return start

    def _quietest(self, start: int) -> int:
        """The middle of the quietest fifth of a second in the last third of the longest window from `start`."""
        first = -(-(start + self._max_window * 2 // 3) // FRAME)
        loudness = self._loudness.read(first, (start + self._max_window) // FRAME)
        smooth = np.convolve(loudness, np.ones(_QUIET_FRAMES), mode="valid")
        return (first + int(smooth.argmin()) + _QUIET_FRAMES // 2) * FRAME + FRAME // 2

    def _append(self, start: int, end: int, region: SpeechRegion) -> None:
        speech = max(region.start, start), min(region.end, end)
        self._pieces.append(WindowPiece(start, self._length(), end - start, *speech))
        self._parts.append(self._samples.read(start, end).copy())
        self._last_end = end

    def _length(self) -> int:
        return self._pieces[-1].window_start + self._pieces[-1].length if self._pieces else 0

    def _emit(self) -> None:
        if self._pieces:
            samples = np.concatenate(_raise_quiet(self._parts))
            self._complete.append(Window(samples, tuple(self._pieces), self._count))
            self._count += 1
            self._pieces, self._parts = [], []
