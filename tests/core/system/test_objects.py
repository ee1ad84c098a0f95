"""Objects in a bucket, on a real server: whole or not at all, bounded, and told apart from a store that is away."""

import os
import socket
from pathlib import Path

import pytest

from object_storage import ObjectStorage
from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UpstreamError,
)
from voice_stack.core.system.breaker import PAUSE_S, Breaker
from voice_stack.core.system.objects import ObjectStore


def test_objects_come_back_as_they_went(object_storage: ObjectStorage, tmp_path: Path) -> None:
    store = ObjectStore.open(object_storage.at("films of ours/ü"))
    film = tmp_path / "film.mkv"
    film.write_bytes(os.urandom(18 << 20))  # three parts
    assert store.put("a folder/film #1 100%.mkv", film)
    assert store.put("a folder/note.txt", b"short")
    assert store.put("elsewhere.txt", b"")
    listed = {found.key: found.size for found in store.list("a folder")}
    assert listed == {"a folder/film #1 100%.mkv": film.stat().st_size, "a folder/note.txt": 5}
    assert len(list(store.list())) == 3
    back = tmp_path / "back.mkv"
    with back.open("wb") as file:
        found = store.download("a folder/film #1 100%.mkv", file, film.stat().st_size)
    assert back.read_bytes() == film.read_bytes()
    assert store.find("a folder/film #1 100%.mkv") == found
    store.delete("elsewhere.txt")
    store.delete("elsewhere.txt")
    assert store.find("elsewhere.txt") is None
    # Another prefix of the same bucket sees nothing of it.
    assert list(ObjectStore.open(object_storage.at("films")).list()) == []


def test_what_is_there_stays_if_only_new_is_stored(object_storage: ObjectStorage) -> None:
    store = ObjectStore.open(object_storage.at("conditional"))
    assert [store.put("key", b"first", only_new=True), store.put("key", b"second", only_new=True)] == [True, False]
    tag = store.find("key")
    assert store.read("key", 100) == b"first"
    assert store.put("key", b"third")
    assert (store.read("key", 100), store.find("key") != tag) == (b"third", True)


def test_larger_than_allowed_is_not_read(object_storage: ObjectStorage, tmp_path: Path) -> None:
    store = ObjectStore.open(object_storage.at("large"))
    store.put("key", bytes(5000))
    with pytest.raises(PayloadTooLargeError, match="5000 bytes, at most 4999"):
        store.read("key", 4999)
    with (tmp_path / "target").open("wb") as file, pytest.raises(PayloadTooLargeError):
        store.download("key", file, 4999)
    assert (tmp_path / "target").read_bytes() == b""


def test_absent_objects_buckets_and_stores_are_told_apart(
    object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError, match="nowhere: there is no such object"):
        ObjectStore.open(object_storage.at("x")).read("nowhere", 10)
    nobody = ObjectStore.open("s3://no-such-bucket/x")
    for ask in (lambda: nobody.read("key", 10), lambda: list(nobody.list()), lambda: nobody.put("key", b"")):
        with pytest.raises(UpstreamError, match="s3://no-such-bucket/x: there is no such bucket"):
            ask()
    with pytest.raises(InvalidRequestError, match=r"a/\.\./b"):
        ObjectStore.open(object_storage.at("x")).read("a/../b", 10)
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silence = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for address, reason in ((silence, "TimedOut"), ("http://127.0.0.1:9", "ConnectionRefused")):
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            with pytest.raises(UpstreamError, match=f"{object_storage.bucket}.*{reason}"):
                ObjectStore.open(object_storage.at("x"), read_s=0.5).read("key", 10)


SECRET = "hush"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3:/bucket",
        "s3://",
        "https://bucket/x",
        "s3://a bucket/x",
        f"s3://id:{SECRET}@bucket/x",
        "s3://bucket/x?y=1",
    ],
)
def test_other_urls_are_refused_by_name_and_without_their_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix") as refused:
        ObjectStore.open(url)
    assert SECRET not in refused.value.message


def test_who_fails_is_left_alone_until_one_may_try(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    breaker = Breaker("s3://bucket", "nothing is shared", lambda: now[0])
    assert breaker.admits()
    breaker.note_failure("it is away")
    breaker.note_failure("it is still away")
    assert (breaker.admits(), breaker.reason) == (False, "it is still away")
    now[0] += PAUSE_S
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.note_success()
    assert [breaker.admits(), breaker.admits(), breaker.reason] == [True, True, ""]
    assert [record.getMessage().partition(":")[0] for record in caplog.records][:1] == ["nothing is shared"]
    assert len(caplog.records) == 1
