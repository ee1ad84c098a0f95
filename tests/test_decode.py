"""Decoding: every container to the same samples, and nothing but the given file."""

import gc
import logging
import os
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.core.errors import AudioTooShortError, InvalidAudioError
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s

RATE = 16_000


def tone(seconds: float, rate: int, hertz: float = 440.0) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(
    path: Path, samples: NDArray[np.float32], rate: int, codec: str, layout: str = "mono", container: str | None = None
) -> Path:
    """Write planar samples, shape (channels, samples), with FFmpeg's own encoders."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        for start in range(0, samples.shape[1], rate):
            part = np.ascontiguousarray(samples[:, start : start + rate])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate = rate
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((samples * 32767).astype("<i2"), channels).tobytes())
    return path


def decode(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(decode_blocks(path)))


def pitch(samples: NDArray[np.float32]) -> float:
    """The strongest frequency in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / samples.size)


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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"Just some words. " * 500, "could not be decoded"),
        (np.random.default_rng(0).bytes(100_000), "could not be decoded|no audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "could not be decoded|no audio"),
    ],
    ids=["empty", "text", "random bytes", "half a header"],
)
def test_not_audio_is_said_in_openai_words(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(InvalidAudioError, match=reason) as caught:
        list(decode_blocks(path))
    assert caught.value.message.startswith(
        "Invalid file format. Supported formats: "
        "['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
    )
    assert (caught.value.status, caught.value.param) == (400, "file")
    with pytest.raises(InvalidAudioError):
        probe_duration_s(path)


def test_video_without_sound_and_header_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(InvalidAudioError, match="no audio stream"):
        decode(path)
    with pytest.raises(InvalidAudioError, match="no audio that can be decoded"):
        decode(write_wav(tmp_path / "none.wav", np.zeros(0, np.float32)))


def test_missing_file_is_not_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "gone.wav")


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_absurd_sample_rate_is_refused(tmp_path: Path, rate: int) -> None:
    with pytest.raises(InvalidAudioError, match=f"sample rate is {rate} Hz"):
        decode(write_wav(tmp_path / "a.wav", tone(1, RATE), rate))


def test_shortest_audio_is_a_tenth_of_a_second(tmp_path: Path) -> None:
    assert decode(write_wav(tmp_path / "a.wav", tone(0.1, RATE))).size == 1600
    with pytest.raises(AudioTooShortError) as caught:
        decode(write_wav(tmp_path / "b.wav", tone(0.1, RATE)[:-1]))
    assert caught.value.message == "Audio file is too short. Minimum audio length is 0.1 seconds."


def test_length_limit_counts_sound_not_what_the_header_claims(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(5, RATE))
    assert sum(block.size for block in decode_blocks(path, max_duration_s=5)) == 5 * RATE
    whole = bytearray(path.read_bytes())
    whole[40:44] = (0).to_bytes(4, "little")  # a data chunk of no known length, as a streaming writer leaves it
    path.write_bytes(whole)
    with pytest.raises(InvalidAudioError, match=r"longer than the limit of 4\.5 seconds") as caught:
        list(decode_blocks(path, block_s=1, max_duration_s=4.5))
    assert caught.value.code == "audio_too_long"


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.flac", "flac")])
def test_damage_in_the_middle_costs_only_that_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, codec: str
) -> None:
    # Two tones, so that what comes after the damage is told from what was before it.
    sound = np.concatenate([tone(5, 44_100, 440), tone(5, 44_100, 880)])[None]
    path = encode(tmp_path / name, sound, 44_100, codec)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        samples = decode(path)
    assert 8.5 < samples.size / RATE < 10.2
    assert pitch(samples[:RATE]) == pytest.approx(440, abs=2)
    assert pitch(samples[-RATE:]) == pytest.approx(880, abs=2)
    # FFmpeg's FLAC parser passes over the damage itself and has no packet to complain of.
    assert ("Damaged packets" in caplog.text) == (codec != "flac")


def test_file_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", tone(10, 44_100)[None], 44_100, "libmp3lame")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert decode(path).size / RATE == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize(
    ("name", "content", "demuxer"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n", "hls"),
        ("list.wav", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n", "hls"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {secret}\n", "concat"),
        ("list.mp3", "ffconcat version 1.0\nfile {secret}\n", "concat"),
        ("talk.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n", "sdp"),
    ],
)
def test_no_other_file_or_address_is_followed(tmp_path: Path, name: str, content: str, demuxer: str) -> None:
    secret = encode(tmp_path / "secret.ts", tone(2, 44_100)[None], 44_100, "aac")
    assert decode(secret).size
    path = tmp_path / name
    path.write_text(content.format(secret=secret.name))
    # FFmpeg knows this kind of file, so it is our rules that refuse it.
    assert demuxer in av.formats_available
    with pytest.raises(InvalidAudioError, match="could not be decoded"):
        list(decode_blocks(path))
    with pytest.raises(InvalidAudioError, match="could not be decoded"):
        probe_duration_s(path)


def test_an_unguarded_open_would_follow_the_list(tmp_path: Path) -> None:
    encode(tmp_path / "secret.ts", tone(2, 44_100)[None], 44_100, "aac")
    path = tmp_path / "list.ffconcat"
    path.write_text("ffconcat version 1.0\nfile secret.ts\n")
    with av.open(str(path)) as container:
        assert container.format.name == "concat"
        assert sum(frame.samples for frame in container.decode(audio=0)) > 44_100
    with pytest.raises(InvalidAudioError):
        list(decode_blocks(path))


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
