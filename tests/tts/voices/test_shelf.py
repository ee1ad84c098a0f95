"""Files that are dropped into the folder, changed and removed while somebody looks."""

import os
from pathlib import Path

import pytest

from tts.voices.sounds import BIRCH, CLOVER, RATE, add_noise, speech, wav
from voice_stack.tts.voices.recordings import RecordedVoice
from voice_stack.tts.voices.shelf import Shelf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def shelf(folder: Path) -> Shelf:
    return Shelf(folder)


def drop(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def only(shelf: Shelf) -> RecordedVoice:
    (voice,) = shelf.voices().values()
    return voice


def test_files_come_and_go(shelf: Shelf, folder: Path) -> None:
    assert shelf.voices() == {}
    recording = drop(folder / "anna.flac", BIRCH.read_bytes())
    assert (only(shelf).id, only(shelf).name, only(shelf).recordings) == ("anna", "anna", (recording,))
    drop(folder / "anna.toml", 'name = "Anna Müller"\nlanguage = "de-AT"')
    assert (only(shelf).name, only(shelf).sidecar.language) == ("Anna Müller", "de-AT")
    drop(folder / "anna.toml", 'name = "Änne"')
    assert (only(shelf).name, only(shelf).sidecar.language) == ("Änne", "")
    recording.unlink()
    assert shelf.voices() == {}


def test_folder_is_a_voice_of_several_recordings(shelf: Shelf, folder: Path) -> None:
    first = drop(folder / "bert" / "1.wav", wav(speech()[: 3 * RATE]))
    second = drop(folder / "bert" / "2.FLAC", BIRCH.read_bytes())
    drop(folder / "bert" / "notes.txt", "not a recording")
    drop(folder / "bert" / "voice.toml", 'licence = "CC0-1.0"')
    assert (only(shelf).id, only(shelf).recordings) == ("bert", (first, second))
    assert only(shelf).sidecar.licence == "CC0-1.0"
    assert shelf.examine(only(shelf)).recordings == (first, second)


def test_recordings_beyond_the_sixteenth_are_named_as_not_used(shelf: Shelf, folder: Path) -> None:
    for number in range(23):
        drop(folder / "bert" / f"{number:02}.flac", BIRCH.read_bytes())
    verdict = shelf.examine(only(shelf))
    assert [path.name for path in verdict.recordings] == [f"{number:02}.flac" for number in range(16)]
    (warning,) = [text for text in verdict.warnings if "recordings" in text]
    assert warning == (
        "the first 16 of 23 recordings are used, in the order of their names; "
        "not 16.flac, 17.flac, 18.flac, 19.flac, 20.flac, ..."
    )
    (folder / "bert" / "00.flac").rename(folder / "bert" / "99.flac")
    assert [path.name for path in shelf.examine(only(shelf)).recordings][-1] == "16.flac"


def test_what_is_no_recording_is_no_voice(shelf: Shelf, folder: Path) -> None:
    for name in (
        "README.md",
        "de_DE-x-low.onnx",
        "alone.toml",
        ".hidden.wav",
        ".new-voice_1/reference.flac",
        "e/x.txt",
    ):
        drop(folder / name, "x")
    drop(folder / "b\udcff.wav".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"), "x")
    assert shelf.voices() == {}


def test_each_recording_is_judged_when_it_changes(shelf: Shelf, folder: Path) -> None:
    recording = drop(folder / "anna.wav", wav(add_noise(speech(), 5)))
    assert shelf.examine(only(shelf)).refusal.startswith("noisy: ")
    drop(recording, CLOVER.read_bytes())
    assert shelf.examine(only(shelf)) == shelf.examine(only(shelf))
    assert (shelf.examine(only(shelf)).refusal, shelf.examine(only(shelf)).recordings) == ("", (recording,))


def test_recordings_of_one_voice_count_together(shelf: Shelf, folder: Path) -> None:
    short = drop(folder / "bert" / "1.wav", wav(speech()[: 2 * RATE]))
    assert "s of speech in 2.0 s; a voice needs 3 s" in shelf.examine(only(shelf)).refusal
    more = drop(folder / "bert" / "2.wav", wav(speech()[2 * RATE : 5 * RATE]))
    assert shelf.examine(only(shelf)).recordings == (short, more)
    drop(folder / "bert" / "3.wav", "this is no sound")
    verdict = shelf.examine(only(shelf))
    assert (verdict.refusal, verdict.recordings) == ("", (short, more))
    assert [warning[:16] for warning in verdict.warnings] == ["not used: 3.wav:"]


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("name = ", ["anna.toml is no TOML"]),
        ('licens = "x"', ["anna.toml", "'licens'", "licence"]),
        ('language = "Klingon"', ["anna.toml", "language = 'Klingon'", "en-US"]),
        ('name = "../etc/passwd"', ["anna.toml", "name", "'/'"]),
        ("name = 5", ["anna.toml", "name = '5'", "string"]),
        ("[options]\ntemperature = [1]", ["anna.toml", "options.temperature"]),
        ("# " + "x" * 70_000, ["anna.toml", "65536 bytes"]),
    ],
)
def test_wrong_toml_says_file_and_field_and_keeps_the_voice_silent(
    shelf: Shelf, folder: Path, toml: str, told: list[str]
) -> None:
    drop(folder / "anna.flac", BIRCH.read_bytes())
    drop(folder / "anna.toml", toml)
    problem = shelf.examine(only(shelf)).refusal
    assert [part for part in told if part not in problem] == []
    drop(folder / "anna.toml", 'license = "MIT"\n[options]\ntemperature = 0.7\nseed = 3')
    assert only(shelf).sidecar.options == {"temperature": 0.7, "seed": 3}
    assert (only(shelf).sidecar.licence, shelf.examine(only(shelf)).refusal) == ("MIT", "")


def test_what_cannot_be_read_is_no_voice(shelf: Shelf, folder: Path) -> None:
    (folder / "anna").mkdir(parents=True)
    (folder / "anna" / "gone.wav").symlink_to(folder / "nowhere.wav")
    os.mkfifo(folder / "pipe.wav")
    assert shelf.voices() == {}
    (folder / "dir.wav").mkdir()
    assert shelf.voices() == {}
