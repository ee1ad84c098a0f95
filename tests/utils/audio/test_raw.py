"""Samples without a header."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.core.errors import AudioTooShortError, InvalidAudioError
from voice_stack.utils.audio.decode import decode_blocks, decode_excerpt, probe_duration_s
from voice_stack.utils.audio.sources import AudioSource, has_media_header


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """Two seconds at 16 kHz that rise from 0 to 31,999."""
    path = tmp_path / "ramp"
    path.write_bytes(np.arange(32_000, dtype="<i2").tobytes())
    return path


def pcm(path: Path, sample_rate: int = 16_000, channels: int = 1, *, big_endian: bool = False) -> AudioSource:
    return AudioSource(path, None, "s16be" if big_endian else "s16le", sample_rate, channels)


def decode(source: AudioSource) -> NDArray[np.float32]:
    return np.concatenate(list(decode_blocks(source)))


def test_samples_are_scaled_to_one(ramp: Path) -> None:
    np.testing.assert_allclose(decode(pcm(ramp)), np.arange(32_000) / 32_768, atol=1e-6)


def test_an_excerpt_begins_where_it_is_told(ramp: Path) -> None:
    assert decode_excerpt(pcm(ramp), 1.5, 0.1)[0] == pytest.approx(24_000 / 32_768, abs=1e-6)
    assert decode_excerpt(pcm(ramp), 1.5, 10.0).size == 8_000


def test_incomplete_last_sample_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(np.full(3_000, 1_000, "<i2").tobytes() + b"\x7f")
    assert decode(pcm(path)).size == 3_000
    # Three stray bytes after whole frames of two channels.
    path.write_bytes(np.full(8_000, 1_000, "<i2").tobytes() + b"\x7f\x7f\x7f")
    assert decode(pcm(path, channels=2)).size == 4_000
    assert probe_duration_s(pcm(path, channels=2)) == pytest.approx(0.25, abs=1e-3)


def test_big_endian_stereo_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "stereo"
    path.write_bytes(np.tile(np.array([16_384, -8_192], ">i2"), 8_000).tobytes())
    np.testing.assert_allclose(decode(pcm(path, channels=2, big_endian=True)), np.full(8_000, 0.125), atol=1e-6)


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    path = tmp_path / "tone"
    times_s = np.arange(2 * 44_100) / 44_100
    path.write_bytes((16_384 * np.sin(2 * np.pi * 440 * times_s)).astype("<i2").tobytes())
    sound = decode(pcm(path, 44_100))
    assert sound.size == pytest.approx(32_000, abs=40)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(sound.size) / 16_000)
    np.testing.assert_allclose(sound[1_000:-1_000], expected[1_000:-1_000], atol=0.01)


@pytest.mark.parametrize(
    ("size", "error"), [(0, InvalidAudioError), (1, InvalidAudioError), (3_198, AudioTooShortError)]
)
def test_too_few_samples_are_refused(tmp_path: Path, size: int, error: type[InvalidAudioError]) -> None:
    path = tmp_path / "short"
    path.write_bytes(bytes(size))
    with pytest.raises(error):
        decode(pcm(path))


def test_the_limit_is_told(ramp: Path) -> None:
    with pytest.raises(InvalidAudioError, match=r"limit of 1\.5 seconds"):
        list(decode_blocks(pcm(ramp), max_duration_s=1.5))


@pytest.mark.parametrize(
    ("head", "is_media"),
    [
        (b"RIFF\x24\0\0\0WAVE", True),
        (b"ID3\x04", True),
        (b"\x1a\x45\xdf\xa3", True),
        (b"fLaC", True),
        (b"OggS", True),
        (b"\0\0\0\x20ftypisom", True),
        (b"\0" * 16, False),
        (b"\x01\0\x02\0\x03\0\x04\0", False),
        (b"", False),
    ],
)
def test_media_files_are_known_by_their_first_bytes(tmp_path: Path, head: bytes, is_media: bool) -> None:
    path = tmp_path / "head"
    path.write_bytes(head)
    assert has_media_header(path) is is_media
