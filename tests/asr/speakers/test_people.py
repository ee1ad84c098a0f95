"""The folder of known people: whose recordings count, and that nothing of them is left behind or read elsewhere."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from voice_stack.asr.request import KnownVoice
from voice_stack.asr.speakers.people import (
    add_person,
    check_person,
    find_people,
    keep_voiceprint,
    read_voiceprint,
    remove_person,
)
from voice_stack.core.errors import InvalidRequestError, NotFoundError, VoiceStackError


def names(folder: Path) -> list[str]:
    return [person.name for person in find_people(folder)]


@pytest.fixture
def anna(tmp_path: Path) -> KnownVoice:
    """The one person of the folder `people`, with a voiceprint."""
    add_person(tmp_path / "people", "Anna", b"her voice")
    (person,) = find_people(tmp_path / "people")
    keep_voiceprint(person, "model", (0.6, 0.8))
    return person


@pytest.mark.parametrize(
    "name",
    ["", " ", ".hidden", "../up", "a/b", "a\\b", "a:b", "what?", "e\u202evil", "new\nline", "x" * 101, "名" * 80, "A",
     "AB", "SPEAKER_07", "unknown"],
)  # fmt: skip
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_person(name)
    if name.strip() and "/" not in name and len(name.encode()) < 250:
        (tmp_path / f"{name}.wav").write_bytes(b"x")
        assert names(tmp_path) == []


def test_a_name_is_the_same_however_its_letters_are_composed(tmp_path: Path) -> None:
    taken_apart = unicodedata.normalize("NFD", "Zoë")
    (tmp_path / f"{taken_apart}.wav").write_bytes(b"x")
    assert names(tmp_path) == ["Zoë"]
    assert add_person(tmp_path, check_person(taken_apart), b"y"), "it takes the place of the other"
    remove_person(tmp_path, taken_apart)
    assert list(tmp_path.glob("*")) == []


def test_what_is_kept_is_for_this_user_alone_and_goes_with_its_person(anna: KnownVoice) -> None:
    folder = anna.recording.parent
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / ".voiceprints")} == {0o700}
    remove_person(folder, "Anna")
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    with pytest.raises(NotFoundError, match="nobody"):
        remove_person(folder, "Anna")


def test_what_was_made_of_a_recording_deleted_by_hand_is_gone_at_the_next_look(anna: KnownVoice) -> None:
    anna.recording.unlink()
    assert names(anna.recording.parent) == []
    assert [path for path in anna.recording.parent.rglob("*") if path.is_file()] == []


def test_a_voiceprint_is_of_one_recording_and_one_model(anna: KnownVoice) -> None:
    assert read_voiceprint(anna, "model") == (0.6, 0.8)
    assert read_voiceprint(anna, "another model") is None
    add_person(anna.recording.parent, "Anna", b"her voice at another time")
    assert read_voiceprint(anna, "model") is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"recording": 1}', "null", '{"voice": ["x"]}', "[" * 100_000])
def test_a_damaged_voiceprint_is_made_anew(anna: KnownVoice, content: str) -> None:
    place = anna.recording.parent / ".voiceprints" / "Anna.json"
    kept = json.loads(place.read_text())
    place.write_text(content)
    assert read_voiceprint(anna, "model") is None
    place.write_text(json.dumps({**kept, "voice": "ab"}))
    assert read_voiceprint(anna, "model") is None


def test_links_that_lead_out_are_neither_read_nor_written_through(anna: KnownVoice, tmp_path: Path) -> None:
    folder, outside = anna.recording.parent, tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.wav").write_bytes(b"secret")
    (outside / "other.json").write_text("{}")
    (folder / "Eve.wav").symlink_to(outside / "secret.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
    assert names(folder) == ["Anna"]
    add_person(folder, "Eve", b"her voice")
    assert (outside / "secret.wav").read_bytes() == b"secret"
    (folder / ".voiceprints" / "Anna.json").unlink()
    (folder / ".voiceprints").rmdir()
    (folder / ".voiceprints").symlink_to(outside)
    keep_voiceprint(anna, "model", (0.6, 0.8))
    assert names(folder) == ["Anna", "Eve"]
    assert {path.name for path in outside.iterdir()} == {"secret.wav", "other.json"}


def test_a_folder_that_cannot_be_written_says_which_setting_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VoiceStackError, match="ASR_SPEAKERS_DIR"):
        add_person(tmp_path / "file" / "people", "Anna", b"x")
    assert names(tmp_path / "file" / "people") == []
