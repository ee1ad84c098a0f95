"""Voices that replicas share in an object store: the folder of each follows it, and nothing of its own is lost."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from object_storage import ObjectStorage
from tts.voices.sounds import BIRCH
from voice_stack.core.errors import StorageFullError
from voice_stack.core.system.objects import ObjectStore
from voice_stack.tts.voices.mirror import VoiceMirror
from voice_stack.tts.voices.uploads import VoiceUploads


@dataclass(frozen=True)
class Shared:
    """A store, and the folder of one replica that follows it."""

    objects: ObjectStore
    folder: Path

    def pull(self) -> dict[str, bytes]:
        """What is in the folder after a look at the store, but for the mirror's own notes."""
        VoiceMirror(self.folder, self.objects).pull()
        files = (path for path in self.folder.rglob("*") if path.is_file())
        held = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        return {name: content for name, content in held.items() if not name.startswith(".cop")}


@pytest.fixture
def shared(object_storage: ObjectStorage, tmp_path: Path) -> Shared:
    objects = ObjectStore.open(object_storage.at(f"voices-{uuid.uuid4().hex}"), read_s=2, write_s=2)
    return Shared(objects, tmp_path / "voices")


def test_the_folder_follows_the_store(shared: Shared) -> None:
    held = {"anna.wav": b"anna", "anna.toml": b'name = "A"', "bert/one.wav": b"1", "bert/two.mp3": b"2"}
    held |= {"joe.onnx": os.urandom(9 << 20), "joe.onnx.json": b"{}", ".consents/cons_1/recording.flac": b"yes"}
    for key, content in held.items():
        shared.objects.put(key, content)
    assert shared.pull() == held
    times = {name: (shared.folder / name).stat().st_mtime_ns for name in held}
    shared.objects.put("anna.wav", b"anna, recorded again")
    shared.objects.delete("bert/one.wav")
    shared.objects.delete("bert/two.mp3")
    (shared.folder / "joe.onnx.json").unlink()
    (shared.folder / "of this replica.wav").write_bytes(b"alone")
    changed = {"anna.wav": b"anna, recorded again", "of this replica.wav": b"alone"}
    left = {name: content for name, content in held.items() if not name.startswith("bert")}
    assert shared.pull() == left | changed
    assert not (shared.folder / "bert").exists()
    # What did not change was not written, so that nobody measures it again.
    assert (shared.folder / "joe.onnx").stat().st_mtime_ns == times["joe.onnx"]


def test_what_lies_here_alone_is_never_lost(shared: Shared) -> None:
    shared.folder.mkdir()
    mine = {"anna.wav": b"my anna", "same.wav": b"the same", f"voice_{'1' * 32}/reference.flac": b"uploaded before"}
    for name, content in mine.items():
        (shared.folder / name).parent.mkdir(exist_ok=True)
        (shared.folder / name).write_bytes(content)
    shared.objects.put("anna.wav", b"another anna")
    shared.objects.put("same.wav", b"the same")
    assert shared.pull() == mine
    shared.objects.delete("anna.wav")
    shared.objects.delete("same.wav")
    assert shared.pull() == {name: content for name, content in mine.items() if name != "same.wav"}
    # A record that cannot be read means that nothing is known to be a copy.
    shared.objects.put("bert.wav", b"bert")
    shared.pull()
    (shared.folder / ".copied.json").write_bytes(b'{"bert.wav": ')
    shared.objects.delete("bert.wav")
    assert "bert.wav" in shared.pull()


def test_only_files_of_voices_are_copied_and_none_leads_out(shared: Shared, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shared.folder.mkdir()
    (shared.folder / "linked").symlink_to(outside)
    (shared.folder / "in the way.wav").mkdir()
    hostile = (
        ".hidden.wav", ".lock", ".copied.json", ".copied.json/x.wav", "a/b/c.wav", ".consents/x.wav", "bert/.x.wav",
        "program.sh", "notes.txt", "linked/x.wav", "in the way.wav", "back\\slash.wav", "backwards\u202e.wav",
        "n" * 250 + ".wav",
    )  # fmt: skip
    for key in hostile:
        shared.objects.put(key, b"poison")
    shared.objects.put("good.wav", b"good")
    assert shared.pull() == {"good.wav": b"good"}
    assert list(outside.iterdir()) == []


def test_a_store_that_is_away_changes_nothing_and_an_upload_says_so(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.objects.put("anna.wav", b"anna")
    shared.pull()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = Shared(ObjectStore.open(shared.objects.url, read_s=0.5, write_s=0.5), shared.folder)
    assert away.pull() == {"anna.wav": b"anna"}
    uploads = VoiceUploads(shared.folder, mirror=VoiceMirror(shared.folder, away.objects))
    with pytest.raises(StorageFullError, match="TTS_VOICE_URL") as refused:
        uploads.add_voice(BIRCH, {"name": "Birch"})
    assert (refused.value.code, "127.0.0.1" in refused.value.message) == ("storage_unavailable", False)
    assert set(away.pull()) == {"anna.wav", ".lock"}
