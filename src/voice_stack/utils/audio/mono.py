"""Decoded frames of any kind -> mono float32 at one rate, in blocks of one size."""

from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from voice_stack.utils.audio.bounds import audio_too_long, check_changes, check_shape
from voice_stack.utils.audio.timeline import Timeline

# Resampling frame by frame costs twice the time of resampling a few seconds at once.
_GROUP_SAMPLES = 131_072
_GROUP_S = 8
_S32_SCALE = np.float32(2.0**-31)


def resample_frames(
    frames: Iterable[AudioFrame], sample_rate: int, timeline: Timeline | None, max_duration_s: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Downmix and resample frames; a gap in their times becomes zeros.

    Args:
        frames: Decoded sound.
        sample_rate: Rate of the result in Hz.
        timeline: Finds the gaps; None: there are none.
        max_duration_s: A longer gap is refused at once, and not filled with zeros until it is too long.

    Raises:
        InvalidAudioError: A sample rate or a number of channels that no recording has, or changes of them all the
            time, or a gap that is too long.
    """
    changes, sound_s = 0, 0.0
    shape: tuple[str, str, int, int] | None = None
    converter: _MonoConverter | None = None
    for frame in frames:
        found = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
        frame_s = frame.samples / max(frame.sample_rate, 1)
        gap_s = timeline.place(frame.time, frame_s) if timeline else 0.0
        changes, sound_s = changes + (found != shape), sound_s + frame_s
        if converter is None or found != shape or gap_s:
            if converter is not None:
                yield from converter.finish()
            check_shape(frame.sample_rate, frame.layout.nb_channels)
            check_changes(changes, sound_s)
            shape, converter = found, _MonoConverter(frame.sample_rate, sample_rate)
        if max_duration_s is not None and gap_s > max_duration_s:
            raise audio_too_long(max_duration_s)
        yield from _silence(round(gap_s * sample_rate))
        yield from converter.push(frame)
    if converter is not None:
        yield from converter.finish()


class _MonoConverter:
    """Resampling and downmix of frames that all have the same format, layout and rate."""

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        # Integers, because only then FFmpeg scales the sum of the channels so that it cannot overflow.
        self._resampler = av.AudioResampler(format="s32", layout="mono", rate=sample_rate)
        self._fifo = av.AudioFifo()
        self._group = min(_GROUP_SAMPLES, source_rate * _GROUP_S)

    def push(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        frame.pts = None  # the FIFO refuses frames whose times do not follow each other
        self._fifo.write(frame)
        while self._fifo.samples >= self._group:
            yield from self._convert(self._fifo.read(self._group))

    def finish(self) -> Iterator[NDArray[np.float32]]:
        rest = self._fifo.read()
        if rest is not None:
            yield from self._convert(rest)
        yield from self._convert(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        for out in self._resampler.resample(frame):
            # Where nothing is to be converted the resampler hands back what it got, None included.
            if out is not None:
                yield out.to_ndarray()[0] * _S32_SCALE


def _silence(samples: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, samples, _GROUP_SAMPLES):
        yield np.zeros(min(_GROUP_SAMPLES, samples - start), np.float32)


def regroup(chunks: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Cut chunks of any length into blocks of `size` samples; the last block is what remains."""
    block, filled = np.empty(size, np.float32), 0
    for chunk in chunks:
        taken = 0
        while taken < chunk.size:
            count = min(size - filled, chunk.size - taken)
            block[filled : filled + count] = chunk[taken : taken + count]
            taken, filled = taken + count, filled + count
            if filled == size:
                yield block
                block, filled = np.empty(size, np.float32), 0
    if filled:
        yield block[:filled]
