"""How loud speech sounds (ITU-R BS.1770-5, EBU R 128), and a limiter that keeps its peaks below full scale.

The standard's weighting filter is applied to the spectrum, so it is right at any sample rate; only the shape of its
response matters for loudness, not its phase.
"""

from functools import lru_cache

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
