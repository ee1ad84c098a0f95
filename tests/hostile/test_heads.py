"""Heads, trailers and requests without bound: refused before they cost anything, in a form that clients read."""

import asyncio
import base64
import gc
import http.client
import shutil
import socket
import statistics
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from chaos.listening import FAKE_ASR, URL
from core.http.limits.raw_client import ask_health, connect, read_error
from e2e.sound import tone
from running_server import RunningServer, wait_until
from voice_stack.core.http.connections import BoundedProtocol, ConnectionBounds, bounded_by

StartServer = Callable[..., AbstractContextManager[RunningServer]]
ATTACKERS = 10
MAX_MIB = 5.0
MAX_HEALTH_S = 0.5
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST " + URL.encode() + b"?model=whisper-1 HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TINY = b"a:\r\n" * (1 << 16)
HUGE = b"y" * (1 << 18)
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
"""What curl and Java send when they would like HTTP/2."""


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR) as server:
        with connect(server.port) as sock:
            sock.sendall(POST + b"Connection: close\r\n" + _sized(tone(1.0)))
            assert b"window 1.0 s." in _read_all(sock)
        yield server
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "write() after write_eof()" not in log


def _sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n"


def _read_all(sock: socket.socket) -> bytes:
    sock.settimeout(10)
    data = b""
    with suppress(ConnectionError):  # after the answer; the server takes only so much that it does not want
        while part := sock.recv(65_536):
            data += part
    return data


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (GET + b"a:b\r\n" * 100 + b"\r\n", 431),
        (GET + b"X: " + HUGE, 431),
        (GET + HUGE, 431),
        (GET + b"X: " + b"y" * 33_000 + b"\r\nY: " + b"y" * 33_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + HUGE, 414),
        (b"\r\n" * 100_000, 431),
        (CHUNKED + _chunk(b"RIFF") + b"0\r\n" + b"a:b\r\n" * 101 + b"\r\n", 431),
        (CHUNKED + _chunk(b"RIFF") + b"0\r\nX: " + HUGE, 431),
        (CHUNKED + b"4;" + HUGE, 431),
        (CHUNKED + b"zz\r\n", 400),
        (CHUNKED + _chunk(b"RIFF") + b"zz\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"NONSENSE / HTTP/1.1\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("earlier", [0, 1])
def test_what_is_no_bounded_request_is_refused_in_openais_form(
    server: RunningServer, request_bytes: bytes, status: int, earlier: int
) -> None:
    with connect(server.port) as sock:
        for _ in range(earlier):
            assert ask_health(sock) == 200
        with suppress(ConnectionError):
            sock.sendall(request_bytes)
        sock.settimeout(5)
        answered, _, error = read_error(sock)
    assert (answered, error["type"]) == (status, "invalid_request_error"), error


def test_a_large_head_within_the_bounds_is_served(server: RunningServer) -> None:
    with connect(server.port) as sock:
        for _ in range(3):
            sock.sendall(GET + b"a: b\r\n" * 90 + b"X: " + b"y" * 63_000 + b"\r\n\r\n")
            assert _read_status(sock) == 200
        trailers = b"0\r\n" + b"a: b\r\n" * 90 + b"\r\n"
        sock.sendall(CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + _chunk(tone(1.0)) + trailers)
        assert b"window 1.0 s." in _read_all(sock)


def _read_status(sock: socket.socket) -> int:
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    return answer.status


def test_answers_that_are_due_come_before_the_refusal(server: RunningServer) -> None:
    with connect(server.port) as sock:
        sock.sendall((GET + b"\r\n") * 3 + b"nonsense")
        data = _read_all(sock)
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert data.index(b"HTTP/1.1 400 ") > data.rindex(b"HTTP/1.1 200 OK")


def _flood(port: int, opening: bytes, piece: bytes, size: int, stop: threading.Event) -> None:
    """One connection after the other, each with so many bytes or as many as are taken."""
    while not stop.is_set():
        with connect(port) as sock, suppress(OSError):
            sock.settimeout(10)
            sock.sendall(opening)
            for _ in range(size // len(piece)):
                sock.sendall(piece)
            _read_all(sock)
        time.sleep(0.05)


def _watch_health(port: int, seconds: float) -> list[float]:
    times_s: list[float] = []
    end = time.monotonic() + seconds
    with connect(port) as sock:
        while time.monotonic() < end:
            started = time.monotonic()
            assert ask_health(sock) == 200
            times_s.append(time.monotonic() - started)
            time.sleep(0.02)
    return times_s


FLOODS = {
    "tiny fields": (GET, TINY, 8 << 20),
    "one field": (GET + b"X: ", HUGE, 80 << 20),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\n", TINY, 8 << 20),
    "chunk extension": (CHUNKED + b"1;", HUGE, 80 << 20),
    "one URL": (b"GET /", HUGE, 80 << 20),
    "requests": (b"", b"GET / HTTP/1.1\r\n\r\n" * (1 << 14), 8 << 20),
}


@pytest.mark.alone
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_takes_no_memory_and_nobodys_time(server: RunningServer, kind: str) -> None:
    stop = threading.Event()
    floods = [threading.Thread(target=_flood, args=(server.port, *FLOODS[kind], stop)) for _ in range(ATTACKERS)]
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    for flood in floods:
        flood.start()
    try:
        times_s = _watch_health(server.port, 3.0)
        during = process.memory_info().rss
    finally:
        stop.set()
        for flood in floods:
            flood.join()
    with suppress(AssertionError):  # free memory goes back to the system every few seconds
        wait_until(lambda: process.memory_info().rss - before < MAX_MIB * 2**20, 12, "it is given back")
    after = process.memory_info().rss
    middle_s = statistics.median(times_s)
    print(f"{kind}: /health {middle_s * 1000:.0f} ms, at most {max(times_s) * 1000:.0f} ms", end="; ")
    print(*(f"{size / 2**20:.0f}" for size in (before, during, after)), "MiB before, during, after")
    assert middle_s < MAX_HEALTH_S
    assert max(times_s) < 10 * MAX_HEALTH_S
    assert after - before < MAX_MIB * 2**20
    assert during - before < 4 * MAX_MIB * 2**20


@pytest.mark.alone
def test_a_closed_connection_is_freed_without_a_search_for_garbage() -> None:
    made: list[weakref.ref[BoundedProtocol]] = []

    async def visit() -> None:
        config = uvicorn.Config(_say_nothing, log_config=None)
        config.load()
        kind = bounded_by(ConnectionBounds(10, 5.0, 5.0))

        def make() -> BoundedProtocol:
            protocol = kind(config, ServerState(), {})
            made.append(weakref.ref(protocol))
            return protocol

        listening = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        for ending in (b"\r\n", b"X: ", b"a:\r\n" * 200, b"Content-Length: 5\r\n\r\nabc", b"\r\n" + GET, b"\0"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + ending)
            await asyncio.sleep(0.1)
            writer.transport.abort() if len(made) % 2 else writer.close()
            del reader, writer
            await asyncio.sleep(0.1)
        listening.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(visit())
        assert [protocol() is None for protocol in made] == [True] * 6
    finally:
        gc.enable()


async def _say_nothing(scope: object, receive: object, send: Callable[..., object]) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[misc]
    await send({"type": "http.response.body"})  # type: ignore[misc]


@pytest.mark.parametrize("in_chunks", [False, True])
def test_an_offer_of_http_2_is_passed_over(server: RunningServer, in_chunks: bool) -> None:
    sound = tone(1.0)
    body = b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(sound) + b"0\r\n\r\n" if in_chunks else _sized(sound)
    with connect(server.port) as sock:
        for request in (GET + OFFER + b"\r\n", POST + OFFER + body, POST + OFFER + body):
            sock.sendall(request)
            data = b""
            while b'"}' not in data and b"1}}" not in data:
                data += sock.recv(65_536)
            assert data.startswith(b"HTTP/1.1 200 OK"), data
        assert b"window 1.0 s." in data


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_may_ask_for_http_2(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(tone(1.0))
    form = ["-F", "model=whisper-1", "-F", f"file=@{tmp_path / 'a.wav'}"]
    command = ["curl", "-sS", "-m", "10", "--http2", *form, f"{server.url}{URL}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if "not supported" in said.stderr:
        pytest.skip("this curl knows no HTTP/2")
    assert "window 1.0 s." in said.stdout, said


def test_an_upgrade_to_websocket_is_answered_and_logged_like_any_request(server: RunningServer) -> None:
    key = base64.b64encode(bytes(16))
    with connect(server.port) as sock:
        sock.sendall(
            b"GET /v1/a-socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\nX-Request-Id: upgrade-1\r\n\r\n"
        )
        status, _, error = read_error(sock)
    assert (status, error["type"]) == (404, "invalid_request_error")
    wait_until(lambda: "upgrade-1" in server.log.read_text(), 5.0, "the line of the request")
    lines = [line for line in server.log.read_text().splitlines() if "upgrade-1" in line or "handshake" in line]
    assert len(lines) == 1, lines
    assert " INFO " in lines[0], lines
    assert "path=/v1/a-socket status=404" in lines[0], lines
