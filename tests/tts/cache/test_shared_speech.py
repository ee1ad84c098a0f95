"""Kept speech in an object store: what one replica made the others find, and what is wrong there harms nobody."""

import json
import logging
import struct
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from object_storage import ObjectStorage
from tts.cache.test_speech_store import find, keep
from voice_stack.core.system.objects import ObjectStore
from voice_stack.tts.cache.folder import SpeechStore
from voice_stack.tts.cache.shared import SharedSpeech

KEY = "0123456789abcdef" * 4
AUDIO = bytes(range(256)) * 40
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Replica:
    """A folder of its own, and the store that all share."""

    folder: SpeechStore
    shared: SharedSpeech

    def find(self) -> bytes | None:
        found = self.shared.find(KEY)
        if found is None:
            return None
        file, data = found
        try:
            return file.read(0, data.audio_bytes)
        finally:
            file.close()


@dataclass(frozen=True)
class Replicas:
    """Any number of them."""

    objects: ObjectStore
    root: Path

    def start(self, max_bytes: int = MAX_BYTES) -> Replica:
        folder = SpeechStore(self.root / uuid.uuid4().hex, max_bytes)
        return Replica(folder, SharedSpeech(folder, self.objects))

    def store(self, content: bytes, key: str = KEY) -> None:
        self.objects.put(f"{key}.speech", content)

    def stored(self) -> bytes | None:
        return None if self.objects.find(f"{KEY}.speech") is None else self.objects.read(f"{KEY}.speech", MAX_BYTES)


@pytest.fixture
def replicas(object_storage: ObjectStorage, tmp_path: Path) -> Replicas:
    url = object_storage.at(f"speech-{uuid.uuid4().hex}")
    return Replicas(ObjectStore.open(url, read_s=2, write_s=2), tmp_path)


@pytest.fixture
def entry(tmp_path: Path) -> bytes:
    """A good one."""
    keep(SpeechStore(tmp_path / "made", MAX_BYTES), KEY, AUDIO)
    return (tmp_path / "made" / f"{KEY}.speech").read_bytes()


def test_what_one_replica_made_the_others_find(replicas: Replicas) -> None:
    first, second = replicas.start(), replicas.start()
    assert second.find() is None
    kept = keep(first.folder, KEY, AUDIO)
    first.shared.share(KEY, replace=False)
    first.shared.close()
    assert second.find() == AUDIO
    assert find(second.folder, KEY) == (AUDIO, kept)  # from now on in its own folder
    # Made anew because a client wanted so: that takes the place of the old one; the same once more does not.
    third, fourth = replicas.start(), replicas.start()
    for replica, audio, is_newer in ((third, AUDIO[::-1], True), (fourth, b"the third", False)):
        keep(replica.folder, KEY, audio)
        replica.shared.share(KEY, replace=is_newer)
        replica.shared.close()
    assert replicas.start().find() == AUDIO[::-1]


def test_the_age_of_an_entry_goes_with_it(tmp_path: Path, entry: bytes) -> None:
    folder, made_at = SpeechStore(tmp_path, MAX_BYTES), time.time() - 6 * 24 * 3600

    def fetch(target: BinaryIO) -> float:
        target.write(entry)
        return made_at

    assert folder.take_over(KEY, fetch)
    assert folder.path(KEY).stat().st_mtime == pytest.approx(made_at)
    assert find(folder, KEY) is not None


FOOTER = struct.Struct("<II8s")


def _described(entry: bytes, description: bytes) -> bytes:
    """The entry with another description, and with a checksum that fits."""
    length, _, magic = FOOTER.unpack(entry[-FOOTER.size :])
    body = entry[: -FOOTER.size - length] + description
    return body + FOOTER.pack(len(description), zlib.crc32(body), magic)


def _reworded(entry: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    length = FOOTER.unpack(entry[-FOOTER.size :])[0]
    content = json.loads(entry[-FOOTER.size - length : -FOOTER.size])
    change(content)
    return _described(entry, json.dumps(content).encode())


POISON: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda entry: entry[: len(entry) // 2],
    "one bit": lambda entry: entry[:100] + bytes([entry[100] ^ 1]) + entry[101:],
    "empty": lambda entry: b"",
    "something else": lambda entry: b"<html>503 Slow down</html>" * 50,
    "a footer that lies": lambda entry: entry[:-16] + b"\xff" * 8 + entry[-8:],
    "of another key": lambda entry: _reworded(entry, lambda content: content.update(key="f" * 64)),
    "a note beyond the end": lambda entry: _reworded(entry, lambda content: content.update(notes=[[1 << 40, {}]])),
    "a head longer than all": lambda entry: _reworded(entry, lambda content: content.update(head_replaces=1 << 40)),
    "no length": lambda entry: _reworded(entry, lambda content: content.pop("audio_s")),
    "captions of another kind": lambda entry: _reworded(
        entry, lambda content: content.update(notes=[[0, {"sentence": {"text": 5}}]])
    ),
    "deeper than anybody reads": lambda entry: _described(entry, b'{"notes":' + b"[" * 100_000),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_entry_is_a_miss_and_goes(
    replicas: Replicas, entry: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    replicas.store(POISON[kind](entry))
    replica = replicas.start()
    with caplog.at_level(logging.WARNING):
        assert replica.find() is None
    assert replicas.stored() is None
    assert "shared speech removed" in caplog.text
    assert not list(replica.folder.path(KEY).parent.glob("*"))
    replicas.store(entry)  # the next one who makes it
    assert replica.find() == AUDIO


def test_what_is_too_large_for_one_replica_stays_for_the_others(replicas: Replicas, entry: bytes) -> None:
    replicas.store(entry)
    assert replicas.start(max_bytes=len(entry) - 1).find() is None
    assert replicas.start().find() == AUDIO


def test_where_the_store_is_away_nothing_is_found_and_soon_nobody_asks(
    replicas: Replicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = Replicas(ObjectStore.open(replicas.objects.url, read_s=0.5, write_s=0.5), tmp_path)
    replica = away.start()
    keep(replica.folder, KEY, AUDIO)
    replica.shared.share(KEY, replace=False)
    with caplog.at_level(logging.WARNING):
        assert [replica.find() for _ in range(50)] == [None] * 50
        replica.shared.close()
    assert "127.0.0.1:9" in str(replica.shared.status()["failing"])
    told = [record.getMessage() for record in caplog.records if "replicas" in record.getMessage()]
    assert len(told) == 2  # once for reading, once for writing
    assert find(replica.folder, KEY) is not None


def test_what_is_too_old_is_not_served(replicas: Replicas, entry: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas.store(entry)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 24 * 3600)
    assert replicas.start().find() is None
