"""Samples as numbers: 1-D float32 arrays in [-1, 1] and what is done to them on the way to 16-bit PCM."""

import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import soxr

Samples = NDArray[np.float32]
"""Mono audio, 1-D float32, full scale is 1."""

_INT16_SCALE = np.float32(32767)
_UNKNOWN_SIZE = 0xFFFF_FFFF


def bound(samples: Samples) -> Samples:
    """A copy of samples that any codec takes: NaN becomes 0, everything else is clipped to [-1, 1].

    Raises:
        TypeError: The samples are integers, whose full scale is another.
    """
    if samples.dtype.kind != "f":
        raise TypeError(f"Samples must be floating-point numbers in [-1, 1], not {samples.dtype}.")
    bounded: Samples = np.clip(samples, -1.0, 1.0)
    np.copyto(bounded, 0.0, where=np.isnan(bounded))
    return bounded


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Quantise to 16 bits: clipped, never wrapped around; rounded to the nearest step; NaN is silence.

    -1 becomes -32767 and 1 becomes 32767, so silence stays exactly 0.
    """
    steps: NDArray[np.int16] = np.rint(bound(samples) * _INT16_SCALE).astype(np.int16)
    return steps


def wav_header(total_samples: int | None, sample_rate: int) -> bytes:
    """The 44 bytes that make a WAV file of 16-bit little-endian mono samples.

    Args:
        total_samples: How many samples follow. None, or more than 32 bits of bytes, is written as 0xFFFFFFFF: unknown.
        sample_rate: In Hz.
    """
    data_size = _UNKNOWN_SIZE if total_samples is None else min(2 * total_samples, _UNKNOWN_SIZE)
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", min(data_size + 36, _UNKNOWN_SIZE), b"WAVE")
    return riff + layout + struct.pack("<4sI", b"data", data_size)


def silence(duration_s: float, sample_rate: int) -> Samples:
    """Zeros for `duration_s` seconds, rounded to the nearest sample.

    Raises:
        ValueError: The duration is negative.
    """
    if duration_s < 0:
        raise ValueError(f"A silence of {duration_s} s does not exist; the duration must be 0 or more.")
    return np.zeros(round(duration_s * sample_rate), dtype=np.float32)


def fade_edges(samples: Samples, sample_rate: int, fade_s: float, *, start: bool = True) -> Samples:
    """Ramp both ends from and to silence, so that pieces put one after the other do not click.

    The ramp is half a cosine; audio shorter than two fades gets fades of half its length.

    Args:
        samples: Left as they are: the result is a copy.
        sample_rate: Of `samples`, in Hz.
        fade_s: Length of each ramp in seconds; 0 changes nothing.
        start: Whether the beginning is ramped too, or the end alone.

    Raises:
        ValueError: `fade_s` is negative.
    """
    if fade_s < 0:
        raise ValueError(f"A fade of {fade_s} s does not exist; the duration must be 0 or more.")
    faded = samples.astype(np.float32, copy=True)
    length = min(round(fade_s * sample_rate), len(faded) // 2)
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
        if start:
            faded[:length] *= ramp
        faded[-length:] *= ramp[::-1]
    return faded


class Resampler:
    """Change the sample rate of a stream of mono audio, block by block.

    All blocks together give exactly `round(n * target_rate / source_rate)` samples for `n` put in. The
    filter's own delay is taken off at the start and made up at the end by the resampling library, whose count rounds
    halves up where Python rounds them to even: `finish` cuts that one sample (and would pad with zeros if the
    library ever gave less). How the input is cut into blocks changes no bit of the output.

    Equal rates pass the arrays through untouched, not copied.

    Args:
        source_rate: Sample rate of the input in Hz.
        target_rate: Sample rate of the output in Hz.

    Raises:
        ValueError: A rate is not positive.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        if source_rate <= 0 or target_rate <= 0:
            raise ValueError(f"Sample rates must be above 0 Hz, not {source_rate} and {target_rate}.")
        self._source_rate = source_rate
        self._target_rate = target_rate
        self._stream = None if source_rate == target_rate else _open_stream(source_rate, target_rate)
        self._consumed = 0
        self._produced = 0
        self._finished = False

    def push(self, samples: Samples) -> Samples:
        """Take a block; give what is ready.

        Args:
            samples: Of any length, 0 included; finite values only (a NaN spreads over some 40 ms).

        Raises:
            ValueError: `finish` was called before, or the array is not 1-D.
        """
        if self._finished:
            raise ValueError("This resampler is finished; use a new one for new audio.")
        if samples.ndim != 1:
            raise ValueError(f"Samples must be a 1-D array, not one of shape {samples.shape}.")
        self._consumed += len(samples)
        return self._process(np.asarray(samples, dtype=np.float32), last=False)

    def finish(self) -> Samples:
        """Give the samples still inside the filter. A second call gives none."""
        if self._finished:
            return np.zeros(0, dtype=np.float32)
        self._finished = True
        missing = round(self._consumed * self._target_rate / self._source_rate) - self._produced
        rest = self._process(np.zeros(0, dtype=np.float32), last=True)[:missing]
        return np.pad(rest, (0, missing - len(rest)))

    def _process(self, samples: Samples, *, last: bool) -> Samples:
        resampled = samples if self._stream is None else self._stream.resample_chunk(samples, last=last)
        self._produced += len(resampled)
        return resampled


def _open_stream(source_rate: int, target_rate: int) -> "soxr.ResampleStream":
    # Imported here: the ASR server uses this module and is installed without soxr.
    import soxr

    return soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality="HQ")
