"""Files that are refused, damaged, cut off, or that would lead to other files."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest

from utils.audio.sound_files import RATE, decode, encode, pitch, tone, write_wav
from voice_stack.core.errors import AudioTooShortError, InvalidAudioError
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s


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
