"""Large uploads pass Ray's proxies and replicas through a folder, not through their memory."""

import socket
import threading
from collections.abc import Iterator

import psutil
import pytest

from on_ray.conftest import Cluster
from on_ray.test_servers import make_wav
from running_server import wait_until
from voice_stack.ray_serve.uploads import HEADER

LARGE_BYTES = 96 << 20
MOST_BYTES = 32 << 20
"""Held whole it would be 96 MiB in the proxy, and as much in the replica."""
PATH = "/asr/v1/audio/transcriptions?model=whisper-1"
TYPE = {"content-type": "audio/wav"}


class Peaks:
    """The most memory that Ray's processes have while it watches, above what they had."""

    def __init__(self) -> None:
        names = ("ray::ProxyActor", "ray::ServeReplica:asr")
        mine = psutil.Process().children(recursive=True)
        self._found = [one for one in mine if one.is_running() and " ".join(one.cmdline()).startswith(names)]
        assert len(self._found) >= 2
        self._before = [one.memory_info().rss for one in self._found]
        self.grown_bytes = [0] * len(self._found)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            for number, process in enumerate(self._found):
                grown = process.memory_info().rss - self._before[number]
                self.grown_bytes[number] = max(self.grown_bytes[number], grown)


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


@pytest.mark.parametrize("is_sized", [True, False], ids=["sized", "chunked"])
def test_a_large_upload_takes_no_memory(cluster: Cluster, is_sized: bool) -> None:
    sound = make_wav(LARGE_BYTES / 32_000)
    head = TYPE | ({"content-length": str(len(sound))} if is_sized else {})
    with cluster.http() as http, Peaks() as peaks:
        heard = http.post(PATH, content=chunks(sound), headers=head)
    assert heard.status_code == 200, heard.text
    assert heard.json()["usage"]["seconds"] == pytest.approx(LARGE_BYTES / 32_000, abs=1)
    assert max(peaks.grown_bytes) < MOST_BYTES
    wait_until(lambda: not cluster.uploads(), 10, "the blocks are gone")


def head_of(size: int) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "host: localhost", "content-type: audio/wav", f"content-length: {size}", "", ""]
    return "\r\n".join(lines).encode()


def test_who_leaves_leaves_nothing(cluster: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", cluster.port)) as client:
        client.sendall(head_of(LARGE_BYTES) + make_wav(300))
        wait_until(lambda: cluster.uploads(), 30, "some of it is on the disk")
    wait_until(lambda: not cluster.uploads(), 30, "nothing of it is left")


def test_too_large_is_said_before_the_end(cluster: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=60) as client:
        client.sendall(head_of(2 << 30) + bytes(1 << 20))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
    wait_until(lambda: not cluster.uploads(), 10, "the blocks are gone")


def test_no_client_names_a_file(cluster: Cluster) -> None:
    with cluster.http() as http:
        forged = TYPE | {HEADER: f"voice-stack-x.spool/{'0' * 32}"}
        assert http.post(PATH, content=make_wav(1), headers=forged).status_code == 200
        assert http.post(PATH, content=make_wav(60), headers=forged).status_code == 200


def test_a_folder_that_takes_nothing(cluster: Cluster) -> None:
    away = cluster.folder / "away"
    cluster.shared.rename(away)
    cluster.shared.touch()  # no folder
    try:
        with cluster.http() as http:
            refused = http.post(PATH, content=make_wav(60), headers=TYPE)
            assert refused.status_code == 507, refused.text
            assert str(cluster.folder) not in refused.text
            assert http.post(PATH, content=make_wav(1), headers=TYPE).status_code == 200
    finally:
        cluster.shared.unlink()
        away.rename(cluster.shared)
    with cluster.http() as http:
        assert http.post(PATH, content=make_wav(60), headers=TYPE).status_code == 200
