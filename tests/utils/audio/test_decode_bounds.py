"""Small files that ask for much: lengths, channels, rates, tracks, depths. Refused with the reason, or read flat."""

import io
import time
import wave
from collections import deque
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from utils.audio.sound_files import RATE, encode, tone
from voice_stack.core.errors import InvalidAudioError, UnsupportedValueError
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s
from voice_stack.utils.audio.sources import AudioSource

MIB = 1 << 20


def silence(path: Path, codec: str, sample_format: str, duration_s: float) -> Path:
    """Digital silence, which lossless codecs write as next to nothing."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=8000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame(sample_format, "mono", 65_536)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = 8000
        for _ in range(int(duration_s * 8000) // 65_536):
            frame.pts = None
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "codec", "sample_format"), [("a.flac", "flac", "s16"), ("a.wv", "wavpack", "s16p")])
def test_a_long_silence_in_a_small_file_ends_at_the_limit(
    tmp_path: Path, name: str, codec: str, sample_format: str
) -> None:
    path = silence(tmp_path / name, codec, sample_format, 500)
    assert path.stat().st_size < MIB // 4
    process = psutil.Process()
    before = process.memory_info().rss
    with pytest.raises(InvalidAudioError, match="longer than the limit of 300 seconds"):
        deque(decode_blocks(path, max_duration_s=300), maxlen=1)
    assert process.memory_info().rss - before < 40 * MIB


def _wave(channels: int, rate: int, frames: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * channels * frames))
    return target.getvalue()


@pytest.mark.parametrize(
    ("channels", "rate", "reason"),
    [
        (64, 384_000, "64 channels; at most 24"),
        (24, 384_000, "24 channels at 384000 Hz, 9216000 samples each second; at most 6144000"),
        (2, 800_000, "sample rate is 800000 Hz"),
    ],
)
def test_more_channels_or_samples_than_a_recording_has_are_refused(
    tmp_path: Path, channels: int, rate: int, reason: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wave(channels, rate, rate // 10))
    with pytest.raises(InvalidAudioError, match=reason):
        list(decode_blocks(path))


@pytest.mark.parametrize(("channels", "rate"), [(24, 192_000), (8, 384_000)])
def test_the_most_that_is_possible_is_read(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wave(channels, rate, rate // 5))
    assert sum(block.size for block in decode_blocks(path)) == pytest.approx(RATE / 5, abs=2)


def test_a_hole_of_a_year_is_no_year_of_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for start_s in (0, 365 * 24 * 3600):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start_s * RATE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert (probe_duration_s(path) or 0) > 300 * 24 * 3600
    started = time.monotonic()
    with pytest.raises(InvalidAudioError, match="longer than the limit of 43200 seconds"):
        deque(decode_blocks(path, max_duration_s=43_200), maxlen=1)
    assert time.monotonic() - started < 20


def test_of_hundreds_of_tracks_the_first_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(500)]
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        assert isinstance(streams[0], av.AudioStream)
        file.mux(streams[0].encode(frame))
        file.mux(streams[0].encode(None))
    assert sum(block.size for block in decode_blocks(path)) == RATE // 10
    with pytest.raises(UnsupportedValueError, match="track") as caught:
        list(decode_blocks(AudioSource(path, track=450)))
    assert "399 (" in caught.value.message
    assert "400 (" not in caught.value.message


def test_chained_streams_are_one_sound(tmp_path: Path) -> None:
    link = encode(tmp_path / "a.ogg", tone(1, 48_000)[None], 48_000, "libopus").read_bytes()
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(link * 50)
    assert sum(block.size for block in decode_blocks(chain)) / RATE == pytest.approx(50, abs=2)


def _element(name: bytes, content: bytes) -> bytes:
    return name + (0x08_0000_0000_0000_00 >> 7 | len(content) | 1 << 56).to_bytes(8, "big") + content


def test_elements_nested_without_end_are_refused(tmp_path: Path) -> None:
    # EBML header, then a segment with tags in tags: FFmpeg follows them by recursion.
    nested = b""
    for _ in range(20_000):
        nested = _element(b"\x67\xc8", nested[: 8 * MIB])
    header = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"matroska"))
    content = header + _element(b"\x18\x53\x80\x67", _element(b"\x12\x54\xc3\x67", _element(b"\x73\x73", nested)))
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(InvalidAudioError):
        list(decode_blocks(path))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "content",
    [
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="1"><BaseURL>secret.ts</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "[playlist]\nFile1=secret.ts\nNumberOfEntries=1\n",
        "secret.ts\n",
        "rtsp://127.0.0.1:9/secret\n",
        "concat:secret.ts|secret.ts",
        '<smil><body><audio src="secret.ts"/></body></smil>',
    ],
    ids=["dash", "pls", "path", "rtsp", "concat", "smil"],
)
def test_lists_and_addresses_are_no_sound(tmp_path: Path, content: str) -> None:
    encode(tmp_path / "secret.ts", tone(1, 44_100)[None], 44_100, "aac")
    path = tmp_path / "a.wav"
    path.write_text(content)
    with pytest.raises(InvalidAudioError):
        list(decode_blocks(path))
