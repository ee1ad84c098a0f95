"""Loudness measured and evened, and speech stretched without changing its pitch.

The standard's weighting filter is applied to the spectrum, so it is right at any sample rate; only the shape of its
response matters for loudness, not its phase.

FFmpeg's `atempo` does it, in this process through PyAV: waveform-similarity overlap-add, which keeps voices clear where
a phase vocoder makes them sound hollow. Its own lengths are up to 0.1 s off; here they are exact.
"""

import math
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.pcm import Samples, bound

Powers = NDArray[np.float64]
"""Mean squares of weighted blocks of 0.4 s, one every 0.1 s."""

BLOCK_S, HOP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET_LU = -0.691
"""So that a full-scale sine of 997 Hz in one channel has -3.01 LUFS."""

# BS.1770-5, tables 1 and 2: numerator and denominator of the two filters at 48 kHz, by falling powers of z.
_FILTER_RATE = 48_000
_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)

_OVERSAMPLING = 4
"""BS.1770-5, annex 2: a true peak is looked for at four times 48 kHz; speech needs no more at lower rates."""
_RELEASE_S = 0.005


def measure_powers(samples: Samples, sample_rate: int) -> Powers:
    """Power of each block of 0.4 s, weighted as the ear does.

    Args:
        samples: 1-D float32; shorter audio than a block is taken as one.
        sample_rate: In Hz.

    Returns:
        1-D float64, empty for no samples. Powers of several pieces may be put together.
    """
    if not len(samples):
        return np.zeros(0)
    count = 1 << (len(samples) - 1).bit_length()  # a power of two is transformed fast, and its response kept
    spectrum = np.fft.rfft(bound(samples), count)
    weighted = np.fft.irfft(spectrum * _response(count, sample_rate), count)[: len(samples)]
    sums = np.concatenate([[0.0], np.cumsum(weighted**2)])
    block, hop = round(BLOCK_S * sample_rate), round(HOP_S * sample_rate)
    starts = np.arange(0, max(len(samples) - block, 0) + 1, hop)
    ends = np.minimum(starts + block, len(samples))
    powers: Powers = (sums[ends] - sums[starts]) / (ends - starts)
    return powers


def integrate(powers: Powers) -> float | None:
    """Loudness in LUFS of all blocks but silent ones and those far below the others; None if nothing is left.

    Args:
        powers: What `measure_powers` gave.
    """
    audible = powers[powers > _power(_ABSOLUTE_GATE_LUFS)]
    if not len(audible):
        return None
    loud = audible[audible > _power(_loudness(float(audible.mean())) + _RELATIVE_GATE_LU)]
    return _loudness(float(loud.mean()))


def limit(samples: Samples, sample_rate: int, ceiling_dbtp: float) -> Samples:
    """Turn the sound down around each true peak above the ceiling, smoothly, and leave the rest as it is.

    Args:
        samples: 1-D float32, possibly beyond [-1, 1].
        sample_rate: In Hz.
        ceiling_dbtp: Highest true peak, in dB of full scale.

    Returns:
        1-D float32 of the same length; the same array if there is nothing to limit.
    """
    ceiling = 10 ** (ceiling_dbtp / 20)
    # A peak between samples is at most some 4 dB above them in speech: a quiet sound need not be looked at closely.
    if not len(samples) or np.abs(samples).max() < 0.6 * ceiling:
        return samples
    peaks = _true_peaks(samples, sample_rate)
    over = np.flatnonzero(peaks > ceiling)
    if not len(over):
        return samples
    reach = max(round(_RELEASE_S * sample_rate), 1)
    touched = slice(max(int(over[0]) - 2 * reach, 0), int(over[-1]) + 2 * reach + 1)
    needed = np.pad(ceiling / np.maximum(peaks[touched].astype(np.float64), ceiling), 2 * reach, constant_values=1.0)
    # The lowest gain within reach, then twice a mean over half of that: at a peak all of them are low enough.
    gain = _average(_average(_lowest(needed, 2 * reach + 1), reach + 1), reach + 1)
    limited = samples.astype(np.float32, copy=True)
    limited[touched] *= gain.astype(np.float32)
    return limited


def _lowest(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The least of each `width` values in a row."""
    reached = 1
    while reached < width:
        step = min(reached, width - reached)
        values = np.minimum(values[:-step], values[step:])
        reached += step
    return values


def _average(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of each `width` values in a row."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: NDArray[np.float64] = (sums[width:] - sums[:-width]) / width
    return means


def _true_peaks(samples: Samples, sample_rate: int) -> Samples:
    """The highest level around each sample, between samples too."""
    # Imported here: the ASR server uses this package and is installed without soxr.
    import soxr

    fine = np.abs(soxr.resample(samples, sample_rate, _OVERSAMPLING * sample_rate))
    fine = np.pad(fine, (0, max(_OVERSAMPLING * len(samples) - len(fine), 0)))[: _OVERSAMPLING * len(samples)]
    peaks = np.abs(samples)
    for offset in range(_OVERSAMPLING):
        np.maximum(peaks, fine[offset::_OVERSAMPLING], out=peaks)
    return peaks


@lru_cache(maxsize=8)
def _response(count: int, sample_rate: int) -> NDArray[np.float64]:
    """Magnitude of the weighting filter at the frequencies of a spectrum of `count` samples."""
    # Above half the rate at which the filter is defined its response hardly changes.
    hertz = np.minimum(np.fft.rfftfreq(count, 1 / sample_rate), _FILTER_RATE / 2)
    z = np.exp(2j * np.pi * hertz / _FILTER_RATE)
    response: NDArray[np.float64] = np.ones(len(hertz))
    for numerator, denominator in _FILTERS:
        response = response * np.abs(np.polyval(numerator, z) / np.polyval(denominator, z))
    return response


def _loudness(power: float) -> float:
    return _OFFSET_LU + 10 * float(np.log10(power))


def _power(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - _OFFSET_LU) / 10))


MIN_SPEED, MAX_SPEED = 0.25, 4.0
_STEP_MIN, _STEP_MAX = 0.5, 2.0
"""One filter's range: beyond 2 it leaves samples out instead of blending them."""
_FRAME = 512
"""Samples the filter gets at once: it gives as many as such a frame is worth, one frame late."""
_FLUSH_S = 0.2
"""Silence that pushes the last sound out of a filter's windows of some 50 ms."""


class Stretcher:
    """Changes the pace of a stream of mono audio, block by block.

    All blocks together give exactly `round(n / speed)` samples for `n` put in.

    Args:
        sample_rate: In Hz, of what goes in and of what comes out.
        speed: 2 is twice as fast, so half as long; 0.25 to 4. At 1 the blocks pass through untouched.

    Raises:
        ValueError: The speed is out of range, or the rate is not positive.
    """

    def __init__(self, sample_rate: int, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ValueError(f"speed {speed} is not between {MIN_SPEED} and {MAX_SPEED}")
        if sample_rate <= 0:
            raise ValueError(f"a sample rate must be above 0 Hz, not {sample_rate}")
        self._sample_rate, self._speed = sample_rate, speed
        self._graph = None if speed == 1 else _open_graph(sample_rate, speed)
        self._waiting = np.zeros(0, np.float32)
        self._fed = self._consumed = self._produced = 0

    def push(self, samples: Samples) -> Samples:
        """Take a block; give what is ready.

        Args:
            samples: 1-D float32 of any length; beyond [-1, 1] it is clipped, NaN is silence.

        Returns:
            1-D float32, possibly empty.
        """
        self._consumed += len(samples)
        if self._graph is None:
            return self._count(samples)
        self._waiting = np.concatenate([self._waiting, bound(samples)])
        whole = len(self._waiting) // _FRAME * _FRAME
        ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
        return self._count(self._filter(self._graph, ready))

    def finish(self) -> Samples:
        """Give the samples still inside the filter; nothing is pushed after it.

        Returns:
            1-D float32, possibly empty.
        """
        rest = np.zeros(0, np.float32)
        if self._graph is not None:
            flush = np.zeros(math.ceil(_FLUSH_S * self._sample_rate), np.float32)
            rest = self._filter(self._graph, np.concatenate([self._waiting, flush]))
            self._graph.push(None)
            rest = self._count(np.concatenate([rest, _drain(self._graph)]))
        missing = round(self._consumed / self._speed) - self._produced
        return np.pad(rest, (0, missing))

    def _filter(self, graph: av.filter.Graph, samples: Samples) -> Samples:
        ready = [np.zeros(0, np.float32)]
        for start in range(0, len(samples), _FRAME):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + _FRAME], format="flt", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = self._sample_rate, Fraction(1, self._sample_rate), self._fed
            self._fed += frame.samples
            graph.push(frame)
            ready.append(_drain(graph))
        return np.concatenate(ready)

    def _count(self, stretched: Samples) -> Samples:
        """Never more than the sound that came in is worth: what is made of the silence at the end is cut."""
        counted = stretched[: round(self._consumed / self._speed) - self._produced]
        self._produced += len(counted)
        return counted


def _open_graph(sample_rate: int, speed: float) -> av.filter.Graph:
    """As many equal steps as it takes for each to be in one filter's range."""
    steps = 1
    while not _STEP_MIN <= speed ** (1 / steps) <= _STEP_MAX:
        steps += 1
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate))
    filters = [graph.add("atempo", f"{speed ** (1 / steps):.9f}") for _ in range(steps)]
    graph.link_nodes(source, *filters, graph.add("abuffersink")).configure()
    return graph


def _drain(graph: av.filter.Graph) -> Samples:
    ready = [np.zeros(0, np.float32)]
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(ready)
        assert isinstance(frame, av.AudioFrame)
        ready.append(frame.to_ndarray()[0])
