"""Frames of any number of channels -> mono samples at one rate, the holes in their times filled with silence.

The mean of all channels is the mix, as FFmpeg makes it, bit for bit, unless channels cancel each other: a balanced line
or a dictation machine may have the same voice on both, once upside down, and their mean is silence. Then the second of
the two counts a third: so much no channel can cancel, and whatever is on either alone is still heard.
"""

from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from voice_stack.utils.audio.sources import Timeline, audio_too_long, check_changes, check_shape

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
        self._balance = _Balance(source_rate)

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
        if frame is not None and frame.layout.nb_channels > 1:
            frame = self._balance.apply(frame)
        for out in self._resampler.resample(frame):
            # Where nothing is to be converted the resampler hands back what it got, None included.
            if out is not None:
                yield out.to_ndarray()[0] * _S32_SCALE


def _silence(samples: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, samples, _GROUP_SAMPLES):
        yield np.zeros(min(_GROUP_SAMPLES, samples - start), np.float32)


_BLOCKS_PER_S = 10
_OPPOSED, _AROUND_BLOCKS = -0.5, 5
"""Correlation of two channels over a second from which their mean is 3 dB below that of two strangers: a room's two
microphones stay above -0.3 for so long."""
_INVERTED = -0.85
"""The same over 0.3 s, so that it is known at once."""
_OPPOSED_HIGH = -0.2
"""What the high frequencies must show as well: between two microphones a vowel's low ones are opposed by chance."""
_REDUCED = 1 / 3
_LOUDER = 4.0
"""Power by which the second channel must exceed the first to be the one that counts in full."""
_ENOUGH = 1e-12
_DTYPES = {"u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"}


class _Balance:
    """Finds channels that cancel each other, in blocks of 0.1 s, and takes one of them back; a stream's state.

    Args:
        rate: Of the samples, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._block = max(rate // _BLOCKS_PER_S, 1)
        self._past: NDArray[np.float64] | None = None
        self._gain: NDArray[np.float64] | None = None

    def apply(self, frame: AudioFrame) -> AudioFrame:
        """The frame itself, or one like it in which the channels no longer cancel each other."""
        if frame.format.name not in _DTYPES:
            return frame
        channels = frame.layout.nb_channels
        found = frame.to_ndarray()
        planes = found if frame.format.is_planar else found.reshape(-1, channels).T
        gains = self._gains(planes.astype(np.float32) - (128 if planes.dtype == np.uint8 else 0))
        before = np.ones(channels) if self._gain is None else self._gain
        # The slopes lie beside the blocks that need it, as far as these are known.
        edges = np.concatenate([before[None], np.minimum(gains, np.concatenate([gains[1:], gains[-1:]]))])
        self._gain = edges[-1]
        if edges.min() >= 1:
            return frame
        knots = np.arange(len(edges)) * self._block
        at = np.arange(planes.shape[1])
        slopes = np.stack([np.interp(at, knots, edges[:, channel]) for channel in range(channels)])
        return _scaled(frame, planes, slopes)

    def _gains(self, planes: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each block and channel what of it counts; shape (blocks, channels)."""
        channels, samples = planes.shape
        blocks = -(-samples // self._block)
        padded = np.pad(planes, ((0, 0), (0, blocks * self._block - samples)))
        cut = padded.reshape(channels, blocks, self._block).transpose(1, 0, 2)
        powers = np.stack([_products(cut - cut.mean(axis=2, keepdims=True)), _products(np.diff(cut, axis=2))], axis=1)
        past = np.zeros((_AROUND_BLOCKS, *powers.shape[1:])) if self._past is None else self._past
        known = np.concatenate([past, powers])
        self._past = known[-_AROUND_BLOCKS:]
        around, near = _sum_around(known, _AROUND_BLOCKS), _sum_around(known, 1)
        opposed = (_correlation(around[:, 0]) < _OPPOSED) & (_correlation(around[:, 1]) < _OPPOSED_HIGH)
        opposed |= (_correlation(near[:, 0]) < _INVERTED) & (_correlation(near[:, 1]) < _OPPOSED_HIGH)
        own = np.diagonal(around[:, 0], axis1=1, axis2=2)
        is_second_louder = own[:, None, :] > _LOUDER * own[:, :, None]
        pairs = np.triu(np.ones((channels, channels), bool), 1) & opposed
        reduced = (pairs & ~is_second_louder).any(axis=1) | (pairs & is_second_louder).any(axis=2)
        return np.where(reduced, _REDUCED, 1.0)[_AROUND_BLOCKS:]


def _products(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.matmul(blocks, blocks.transpose(0, 2, 1)).astype(np.float64)


def _sum_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """At each place the sum of the values up to `reach` places away."""
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    last = len(values)
    places = np.arange(last)
    return np.asarray(sums[np.minimum(places + reach + 1, last)] - sums[np.maximum(places - reach, 0)])


def _correlation(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the product over the sum of both powers: 1 for equal channels, -1 for inverted ones."""
    own = np.diagonal(powers, axis1=1, axis2=2)
    return np.asarray(2 * powers / (own[:, :, None] + own[:, None, :] + _ENOUGH))


def _scaled(frame: AudioFrame, planes: NDArray[np.generic], slopes: NDArray[np.float64]) -> AudioFrame:
    centre = 128 if planes.dtype == np.uint8 else 0
    scaled = (planes.astype(np.float64) - centre) * slopes
    if planes.dtype.kind in "iu":
        scaled = np.rint(scaled) + centre
    packed = scaled.astype(planes.dtype)
    if not frame.format.is_planar:
        packed = packed.T.reshape(1, -1)
    made = AudioFrame.from_ndarray(np.ascontiguousarray(packed), frame.format.name, frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made
