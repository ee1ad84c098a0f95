"""Files joined end to end are read to their end; what is not read is said, and what cannot be read is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from e2e.sound import tone
from hostile.hostile_files import many_tracks, transcode_tone
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s
from voice_stack.utils.audio.joined import MAX_PARTS, find_parts

RATE = 16_000
KINDS = (
    ("wav", "pcm_s16le"), ("mp4", "aac"), ("mov", "pcm_s16le"), ("ismv", "aac"), ("webm", "libopus"),
    ("matroska", "aac"), ("ogg", "flac"),
    ("aiff", "pcm_s16be"), ("au", "pcm_s16be"), ("caf", "pcm_s16le"), ("w64", "pcm_s16le"), ("asf", "pcm_s16le"),
    ("flv", "aac"), ("tta", "tta"), ("wv", "wavpack"), ("voc", "pcm_u8"), ("avi", "libmp3lame"), ("flac", "flac"),
    ("mp3", "libmp3lame"), ("ogg", "libopus"), ("adts", "aac"), ("mpegts", "mp2"), ("nut", "pcm_s16le"),
)  # fmt: skip
WAV, M4A = tone(0.5), transcode_tone("mp4", "aac", 0.5)


def heard_s(folder: Path, content: bytes) -> tuple[float, list[str]]:
    """Seconds of sound in a file, and what is said of the rest."""
    path, warnings = folder / "a", list[str]()
    path.write_bytes(content)
    return sum(block.size for block in decode_blocks(path, warnings=warnings)) / RATE, warnings


@pytest.mark.parametrize(("container", "codec"), [kind for kind in KINDS if kind[0] != "nut"])
def test_three_files_joined_are_three_times_as_long(tmp_path: Path, container: str, codec: str) -> None:
    one = transcode_tone(container, codec, 0.5)
    once, said = heard_s(tmp_path, one)
    assert said == []
    assert heard_s(tmp_path, one * 3) == (pytest.approx(3 * once, abs=0.2), [])


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_files_of_other_kinds_may_follow(tmp_path: Path, container: str, codec: str) -> None:
    one = transcode_tone(container, codec, 0.5)
    once, _ = heard_s(tmp_path, one)
    assert heard_s(tmp_path, one + WAV + M4A)[0] == pytest.approx(once + 1.0, abs=0.15)
    if container != "nut":  # nothing says where a NUT begins that would not be in a sound by chance
        assert heard_s(tmp_path, WAV + one + WAV)[0] == pytest.approx(once + 1.0, abs=0.15)


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"])
def test_live_files_without_a_length_are_read_and_may_be_joined(tmp_path: Path, size: bytes) -> None:
    live = WAV[:40] + size + WAV[44:]
    assert WAV[36:40] == b"data"
    assert heard_s(tmp_path, live) == (0.5, [])
    assert heard_s(tmp_path, live * 3) == (1.5, [])


def test_a_file_cut_short_in_front_of_another_costs_the_other_nothing(tmp_path: Path) -> None:
    assert heard_s(tmp_path, WAV[: len(WAV) // 2] + WAV)[0] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("count", [1, 512])
@pytest.mark.parametrize("kind", [WAV, M4A])
def test_zeros_in_front_are_passed_over_and_said(tmp_path: Path, kind: bytes, count: int) -> None:
    length_s, (said,) = heard_s(tmp_path, bytes(count) + kind)
    assert length_s == pytest.approx(0.5, abs=0.1)
    assert said.startswith(f"{count} byte")
    assert "in front" in said


TAGS = {
    "ID3v1": b"TAG" + bytes(125),
    "ID3v2": b"ID3\4\0\0\0\0\0\x0a" + bytes(10),
    "APE": b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16) + b"x" * 32,
    "zeros": bytes(5000),
    "LIST": b"LIST\x64\0\0\0INFO" + b"x" * 96,
}


@pytest.mark.parametrize("tag", TAGS)
def test_tags_and_padding_at_the_end_are_no_loss(tmp_path: Path, tag: str) -> None:
    assert heard_s(tmp_path, WAV + TAGS[tag]) == (0.5, [])
    assert heard_s(tmp_path, WAV + TAGS[tag] + WAV) == (1.0, [])


@pytest.mark.parametrize("tags", [TAGS["ID3v2"] * 2 + TAGS["APE"] + TAGS["ID3v1"], TAGS["APE"] + TAGS["ID3v1"]])
@pytest.mark.parametrize("zeros", [0, 100_000])
def test_tags_of_songs_are_no_loss_in_front_between_and_at_the_end(tmp_path: Path, tags: bytes, zeros: int) -> None:
    picture = b"ID3\3\0\0\0\1\0\0" + np.random.default_rng(2).bytes(1 << 14)
    song = picture + transcode_tone("mp3", "libmp3lame", 0.5) + tags + bytes(zeros)
    once, said = heard_s(tmp_path, song)
    assert said == []
    assert heard_s(tmp_path, song * 3) == (pytest.approx(3 * once, abs=0.1), [])
    assert heard_s(tmp_path, picture + WAV) == (0.5, [])


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content


def test_samples_in_a_second_chunk_are_said(tmp_path: Path) -> None:
    length_s, said = heard_s(tmp_path, WAV + _chunk(b"LIST", b"INFO") + _chunk(b"data", WAV[44:]))
    assert (length_s, len(said)) == (0.5, 1)
    assert said[0].endswith("at the end not read")


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("matroska", "aac")])
def test_live_recordings_end_where_they_end(tmp_path: Path, container: str, codec: str) -> None:
    live = bytearray(transcode_tone(container, codec, 0.5))
    for name in (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"):
        place = live.index(name) + 4
        size_bytes = 9 - live[place].bit_length()
        live[place : place + size_bytes] = ((1 << 7 * size_bytes + 1) - 1).to_bytes(size_bytes, "big")
    once, said = heard_s(tmp_path, bytes(live))
    assert said == []
    song = transcode_tone("mp3", "libmp3lame", 0.5)
    song = song[bytes(song).index(b"\xff\xf3") :]
    assert heard_s(tmp_path, bytes(live) + song) == (pytest.approx(once + 0.5, abs=0.1), [])
    assert heard_s(tmp_path, bytes(live) * 2 + b"words " * 20)[1] == [
        f"120 bytes ({12000 / (2 * len(live) + 120):.2g} %) at the end not read"
    ]


@pytest.mark.parametrize(
    ("container", "codec"), [("mp3", "libmp3lame"), ("adts", "aac"), ("flac", "flac"), ("mpegts", "mp2")]
)
def test_what_follows_a_stream_without_an_end_is_said(tmp_path: Path, container: str, codec: str) -> None:
    junk = b"junk" + np.random.default_rng(1).bytes(29_996)
    _, said = heard_s(tmp_path, transcode_tone(container, codec, 0.5) + junk)
    assert said


def test_what_follows_and_is_no_sound_is_said(tmp_path: Path) -> None:
    junk = b"junk" + np.random.default_rng(1).bytes(3996)
    length_s, said = heard_s(tmp_path, WAV + junk)
    assert (length_s, said) == (0.5, ["4000 bytes (20 %) at the end not read"])


def test_what_follows_and_cannot_be_read_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudioError, match=r"from byte \d+ on, 2000 bytes \(\d+ %\) cannot be read"):
        heard_s(tmp_path, WAV + M4A[:2000])


def test_other_tracks_are_said_unless_one_was_chosen(tmp_path: Path) -> None:
    assert heard_s(tmp_path, many_tracks("matroska", "pcm_s16le", 3))[1] == [
        "2 other audio tracks not read, audio_track chooses"
    ]


def test_damaged_packets_are_said(tmp_path: Path) -> None:
    damaged = bytearray(transcode_tone("flac", "flac", 4.0))
    for place in range(len(damaged) // 2, len(damaged), 20):
        damaged[place] ^= 0x55
    assert any("not read" in warning or "damaged" in warning for warning in heard_s(tmp_path, bytes(damaged))[1])


def test_the_length_of_all_is_foretold(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(WAV * 4)
    assert probe_duration_s(tmp_path / "a") == pytest.approx(2.0, abs=0.01)


def test_thousands_of_files_are_refused_quickly(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudioError, match=f"more than {MAX_PARTS} files"):
        heard_s(tmp_path, WAV[:144] * 6000)


@pytest.mark.parametrize(
    "unit", [b"RIFF", b"\0\0\0\x08free", b"OggS", b"\0\0\0\x10ftypisom", b"OggS\0\2", b"wvpk\0\0\0\0\4\4"]
)
def test_a_file_of_beginnings_is_followed_no_further_than_a_bound(tmp_path: Path, unit: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(M4A[:32] + unit * (8_000_000 // len(unit)) + os.urandom(8))
    assert len(find_parts(path).parts) <= MAX_PARTS + 1
