"""Samples without a header: 16-bit integers, one after another, as FFmpeg's `s16le` and `audio/L16` have them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import AudioTooShortError, InvalidAudioError

ByteOrder = Literal["little", "big"]

SAMPLE_BYTES = 2
MIN_DURATION_S = 0.1
TARGET_RATE = 16_000
_SAMPLE_RATES = range(1_000, 768_001)
_CHANNELS = range(1, 65)
_SCALE = np.float32(2.0**-15)
_EBML, _FTYP = b"\x1a\x45\xdf\xa3", b"ftyp"
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"ID3", b"fLaC", b"OggS", _EBML)


def has_media_header(path: Path) -> bool:
    """Whether a file begins as WAV, MP3 with tags, FLAC, Ogg, Matroska or MP4 do; samples hardly ever do so."""
    with path.open("rb") as file:
        head = file.read(8)
    return head.startswith(_MAGIC) or head[4:8] == _FTYP


def pcm_duration_s(path: Path, *, sample_rate: int = TARGET_RATE, channels: int = 1) -> float:
    """Length of a file of raw samples, in seconds; an incomplete last sample does not count."""
    return path.stat().st_size // (SAMPLE_BYTES * channels) / sample_rate


def decode_pcm_blocks(
    path: Path,
    *,
    sample_rate: int = TARGET_RATE,
    channels: int = 1,
    byte_order: ByteOrder = "little",
    start_s: float = 0.0,
    block_s: float = 20.0,
    max_duration_s: float | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Read raw 16-bit samples, channels interleaved; a last sample that is not complete is dropped.

    Args:
        path: The file.
        sample_rate: Rate of the samples in Hz, 1,000 to 768,000.
        channels: Samples for each moment, 1 to 64; their mean is taken.
        byte_order: Which byte of a sample comes first: `little`, or `big` as in `audio/L16`.
        start_s: Where to begin, in seconds.
        block_s: How much is read at once, in seconds.
        max_duration_s: Longest audio taken, in seconds; None for no limit.

    Yields:
        One-dimensional float32 arrays in [-1, 1], mono at 16 kHz.

    Raises:
        InvalidAudioError: No sample in it, longer than `max_duration_s`, or a rate or number of channels out of range.
        AudioTooShortError: Less than 0.1 s in all.
    """
    _check_layout(sample_rate, channels)
    _check_duration(pcm_duration_s(path, sample_rate=sample_rate, channels=channels), max_duration_s)
    blocks = _read_mono(path, round(start_s * sample_rate), round(block_s * sample_rate), channels, byte_order)
    yield from blocks if sample_rate == TARGET_RATE else _resample(blocks, sample_rate)


def _check_layout(sample_rate: int, channels: int) -> None:
    for name, value, known in (("rate", sample_rate, _SAMPLE_RATES), ("channels", channels, _CHANNELS)):
        if value not in known:
            raise InvalidAudioError(f"Raw audio with {name}={value}: {known.start} to {known.stop - 1} are possible.")


def _check_duration(duration_s: float, max_duration_s: float | None) -> None:
    if not duration_s:
        raise InvalidAudioError("The file holds no samples; raw audio is signed 16-bit integers.")
    if duration_s < MIN_DURATION_S:
        raise AudioTooShortError(f"Audio file is too short. Minimum audio length is {MIN_DURATION_S} seconds.")
    if max_duration_s is not None and duration_s > max_duration_s:
        raise InvalidAudioError(
            f"The audio is longer than the limit of {max_duration_s:g} seconds.", code="audio_too_long"
        )


def _read_mono(
    path: Path, start: int, count: int, channels: int, byte_order: ByteOrder
) -> Iterator[NDArray[np.float32]]:
    sample = np.dtype("<i2" if byte_order == "little" else ">i2")
    with path.open("rb") as file:
        file.seek(start * channels * SAMPLE_BYTES)
        while (data := file.read(count * channels * SAMPLE_BYTES)) and len(data) >= channels * SAMPLE_BYTES:
            whole = len(data) // (channels * SAMPLE_BYTES) * channels
            samples = np.frombuffer(data, sample, whole).astype(np.float32) * _SCALE
            yield samples if channels == 1 else samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)


def _resample(blocks: Iterator[NDArray[np.float32]], sample_rate: int) -> Iterator[NDArray[np.float32]]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=TARGET_RATE)
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = sample_rate
        yield from (out.to_ndarray()[0] for out in resampler.resample(frame))
    yield from (out.to_ndarray()[0] for out in resampler.resample(None))
