"""Decoding: every container to the same samples, block by block, in little memory."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from utils.audio.sound_files import RATE, decode, encode, pitch, tone, write_wav
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mp3", "libmp3lame", 44_100, "stereo"),
        ("a.m4a", "aac", 44_100, "stereo"),
        ("a.mp4", "aac", 48_000, "5.1"),
        ("a.flac", "flac", 96_000, "stereo"),
        ("a.ogg", "libopus", 48_000, "mono"),
        ("a.webm", "libopus", 48_000, "stereo"),
        ("a.mkv", "aac", 22_050, "mono"),
        ("a.mpeg", "mp2", 44_100, "stereo"),
        ("a.ts", "aac", 44_100, "mono"),
        ("a.aac", "aac", 44_100, "mono"),
        ("a.wav", "pcm_s24le", 8_000, "stereo"),
        ("a.wav", "pcm_f32le", RATE, "mono"),
        ("a.wav", "pcm_mulaw", 8_000, "mono"),
    ],
)
def test_every_container_becomes_mono_16_khz(tmp_path: Path, name: str, codec: str, rate: int, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    path = encode(tmp_path / name, np.tile(tone(3, rate), (channels, 1)), rate, codec, layout)
    samples = decode(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.size / RATE == pytest.approx(3, abs=0.1)
    assert pitch(samples) == pytest.approx(440, abs=1)
    # Equal channels become one of the same loudness, except that surround sound is weighted.
    loudness = float(np.sqrt(np.mean(samples[RATE : 2 * RATE] ** 2)))
    assert loudness == pytest.approx(0.3 / np.sqrt(2), rel=0.35 if layout == "5.1" else 0.08)
    assert probe_duration_s(path) == pytest.approx(3, abs=0.15)


def test_loud_stereo_is_not_clipped(tmp_path: Path) -> None:
    loud = np.tile(tone(1, RATE) * 3, (2, 1))
    samples = decode(encode(tmp_path / "a.wav", loud, RATE, "pcm_f32le", "stereo"))
    np.testing.assert_allclose(samples, loud[0], atol=1e-4)


def test_values_stay_within_range_whatever_the_file_says(tmp_path: Path) -> None:
    wild = tone(1, RATE) * 10
    wild[500:510] = np.nan
    samples = decode(encode(tmp_path / "a.wav", wild[None], RATE, "pcm_f32le"))
    assert samples.size == RATE
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_sound_of_a_video_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as file:
        picture, sound = file.add_stream("mpeg4", rate=10), file.add_stream("aac", rate=RATE, layout="mono")
        assert isinstance(picture, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        for second in range(3):
            for _ in range(10):
                image = np.full((64, 64, 3), 80 * second, np.uint8)
                file.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
            frame = av.AudioFrame.from_ndarray(tone(1, RATE)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            file.mux(sound.encode(frame))
        file.mux(picture.encode(None))
        file.mux(sound.encode(None))
    samples = decode(path)
    assert samples.size / RATE == pytest.approx(3, abs=0.15)
    assert pitch(samples) == pytest.approx(440, abs=1)


def test_blocks_have_the_length_asked_for(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", tone(5, 44_100)[None], 44_100, "libmp3lame")
    sizes = [block.size for block in decode_blocks(path, sample_rate=8_000, block_s=2.0)]
    assert sizes == [16_000, 16_000, pytest.approx(8_000, abs=800)]


def test_rate_and_channels_may_change_in_mid_stream(tmp_path: Path) -> None:
    first = encode(tmp_path / "1.mp3", tone(2, 44_100)[None].repeat(2, 0), 44_100, "libmp3lame", "stereo")
    second = encode(tmp_path / "2.mp3", tone(2, RATE)[None], RATE, "libmp3lame")
    both = tmp_path / "both.mp3"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    samples = decode(both)
    assert samples.size / RATE == pytest.approx(4, abs=0.2)
    assert pitch(samples[:RATE]) == pytest.approx(440, abs=2)
    assert pitch(samples[-RATE:]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["speech%03d.wav", "concat:a|b.wav", "http:x.wav", "ünïcode — 音.wav"])
def test_name_is_a_name_and_no_pattern_or_address(tmp_path: Path, name: str) -> None:
    assert decode(write_wav(tmp_path / name, tone(1, RATE))).size == RATE


def test_closing_early_closes_the_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(10, RATE))
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")

    def is_open() -> bool:
        return any(os.path.realpath(folder / number) == str(path.resolve()) for number in os.listdir(folder))  # noqa: PTH208

    blocks = iter(decode_blocks(path, block_s=1))
    assert next(blocks).size == RATE
    assert is_open()
    blocks.close()  # type: ignore[attr-defined]
    gc.collect()
    assert not is_open()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # Resident memory of a whole process, FFmpeg's own included, after each block.
    code = (
        "import sys; from pathlib import Path; from psutil import Process; "
        "from voice_stack.utils.audio.decode import decode_blocks; "
        "seen = [(b.size, Process().memory_info().rss) for b in decode_blocks(Path(sys.argv[1]))]; "
        "print(sum(size for size, _ in seen), max(rss for _, rss in seen))"
    )
    peaks = {}
    for minutes in (2, 60):
        path = write_wav(tmp_path / f"{minutes}.wav", np.tile(tone(60, RATE), minutes))
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        samples, peaks[minutes] = (int(word) for word in done.stdout.split())
        assert samples == minutes * 60 * RATE
    # An hour of samples is 230 MB.
    assert peaks[60] < peaks[2] * 1.2
