"""What comes over the wire: frames as nobody would send them, clients that do not read, half an upgrade."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection

from core.http.limits.raw_client import ask_health, connect, read_error
from core.http.sockets.doors import open_socket
from running_server import RunningServer, wait_until

MIB = 1 << 20
HANDSHAKE = (
    b"GET /v1/%s HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def frame(opcode: Opcode, data: bytes, *, is_last: bool = True) -> bytes:
    return Frame(opcode, data, fin=is_last).serialize(mask=True)


def read_head(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += read_exactly(sock, 1)
    return data


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, data
        data += part
    return data


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionError):
        while part := sock.recv(65_536):
            data += part
    return data


@contextmanager
def raw(port: int, path: bytes = b"echo", rest: bytes = b"", **options: int) -> Iterator[socket.socket]:
    """A socket that has been upgraded, byte by byte."""
    with connect(port, **options) as sock:
        sock.settimeout(10)
        sock.sendall(HANDSHAKE % path + rest)
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        yield sock


def close_code(sock: ClientConnection) -> int | None:
    try:
        while True:
            sock.recv(10)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


def rss_mib(server: RunningServer) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / MIB


def count_connections(server: RunningServer) -> int:
    with server.http() as client:
        return int(client.get("/status").json()["connections"])


def test_messages_of_every_size_come_back(doors: RunningServer) -> None:
    with open_socket(doors.port, "/v1/echo") as sock:
        assert sock.response is not None
        assert "sec-websocket-extensions" not in sock.response.headers, "no compression"
        for message in ("", "ä", b"", b"\0" * 125, b"x" * 126, "y" * 70_000, b"z" * (20 * MIB)):
            sock.send(message)
            assert sock.recv(30) == message
        sock.send([b"in", b"", b" parts" * 10_000, b""])
        assert sock.recv(10) == b"in" + b" parts" * 10_000
        sock.send(str(number) for number in range(3000))
        assert sock.recv(10) == "".join(map(str, range(3000)))
        for number in range(2000):
            sock.send(str(number))
        assert [sock.recv(10) for _ in range(2000)] == [str(number) for number in range(2000)]


@pytest.mark.parametrize("path", ["/v1/echo", "/v1/deaf"])
def test_a_message_too_large_ends_the_socket_with_1009(doors: RunningServer, path: str) -> None:
    with open_socket(doors.port, path) as sock:
        with suppress(ConnectionClosed):
            sock.send(b"x" * (21 * MIB + 1))
        assert close_code(sock) == 1009
    with open_socket(doors.port, path) as sock:
        with suppress(ConnectionClosed):
            sock.send([b"x" * MIB] * 22)
        assert close_code(sock) == 1009


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x03abc", 1002),  # not masked
        (b"\xff\x80\0\0\0\0", 1002),
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.TEXT, b"a", is_last=False) + frame(Opcode.TEXT, b"b"), 1002),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
        (frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (frame(Opcode.TEXT, b"\xc3", is_last=False) + frame(Opcode.CONT, b"x"), 1007),
        (b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0", 1009),
        (frame(Opcode.CLOSE, b"\x03\xe8"), 1000),
        (frame(Opcode.CLOSE, b""), None),
        (frame(Opcode.CLOSE, b"\0\1"), 1002),
    ],
    # Masks are drawn: by their bytes the tests would have other names in each process.
    ids=[
        "not masked",
        "reserved bits",
        "goes on with nothing",
        "a text in a text",
        "another request",
        "no UTF-8",
        "half a character",
        "too long",
        "closed",
        "closed without a code",
        "closed with a code that is none",
    ],
)
@pytest.mark.parametrize("is_early", [False, True])
def test_garbage_ends_the_socket(doors: RunningServer, sent: bytes, code: int | None, is_early: bool) -> None:
    with raw(doors.port, rest=sent if is_early else b"") as sock:
        if not is_early:
            sock.sendall(sent)
        data = read_all(sock)
    assert data[:1] == b"\x88", data
    assert data[2:4] == (code.to_bytes(2) if code else b""), data


def test_several_faults_at_once_end_it_once(doors: RunningServer) -> None:
    ping = frame(Opcode.PING, b"")
    for sent in (frame(Opcode.TEXT, b"\xff") + ping, frame(Opcode.TEXT, b"\xff") + b"GET /", ping + b"\xff" * 2000):
        with raw(doors.port) as sock:
            sock.sendall(sent)
            assert read_all(sock).count(b"\x88") == 1


def test_what_comes_before_the_upgrade_is_answered_waits(doors: RunningServer) -> None:
    with raw(doors.port, b"echo?wait_s=0.3", frame(Opcode.TEXT, b"early") + frame(Opcode.TEXT, b"too")) as sock:
        assert read_exactly(sock, 7) == b"\x81\x05early"
        assert read_exactly(sock, 5) == b"\x81\x03too"
    early = frame(Opcode.BINARY, b"x" * 300_000)
    with raw(doors.port, rest=early) as sock:
        assert len(read_exactly(sock, 10 + 300_000)) == 10 + 300_000
        sock.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        assert read_all(sock) == b"\x88\x02\x03\xe8"
    with connect(doors.port) as sock:
        sock.sendall(HANDSHAKE % b"nothing" + early)
        assert read_error(sock)[0] == 404


def test_requests_before_an_upgrade(doors: RunningServer) -> None:
    with connect(doors.port) as sock:
        sock.settimeout(10)
        assert [ask_health(sock) for _ in range(2)] == [200, 200]
        sock.sendall(HANDSHAKE % b"echo" + frame(Opcode.TEXT, b"hello"))
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert read_exactly(sock, 7) == b"\x81\x05hello"
    with connect(doors.port) as sock:
        sock.sendall(GET * 2 + HANDSHAKE % b"echo")
        data = read_all(sock)
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert b" 101 " not in data
    assert data.index(b"HTTP/1.1 400 ") > data.rindex(b"HTTP/1.1 200 OK"), data
    assert b"when the requests before it have been answered" in data


@pytest.mark.parametrize(
    "change",
    [
        (b"Upgrade: WebSocket", b"Upgrade: h2c"),
        (b"Upgrade: WebSocket", b"Upgrade: websocket, h2c"),
        (b"Version: 13", b"Version: 12"),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", b"AAAA"),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", b"\xff\xfe"),
        (b"Sec-WebSocket-Key:", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key:"),
        (b"GET ", b"POST "),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Host: x", b"Host: x\r\nSec-WebSocket-Protocol: a/b, ,"),
    ],
)
def test_other_upgrades_are_passed_over(doors: RunningServer, change: tuple[bytes, bytes]) -> None:
    changed = (HANDSHAKE % b"echo").replace(*change)
    with connect(doors.port) as sock:
        sock.sendall(changed.replace(b"Connection: keep-alive, Upgrade", b"Connection: close, Upgrade"))
        data = read_all(sock)
    assert data.startswith(b"HTTP/1.1 426 "), data
    assert b'"type":"invalid_request_error"' in data


def test_a_socket_with_a_body_is_none(doors: RunningServer) -> None:
    for body in (b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):
        with connect(doors.port) as sock:
            sock.sendall((HANDSHAKE % b"echo")[:-2] + body + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            data = read_all(sock)
        assert data.startswith(b"HTTP/1.1 426 "), data
        assert data.count(b"HTTP/1.1 200 OK") == 1, data


@pytest.mark.alone
def test_nobody_can_fill_the_memory(doors: RunningServer) -> None:
    """By clients that read nothing, not even the answers to their pings, and by messages in a million parts."""
    with open_socket(doors.port, "/v1/echo") as sock:
        sock.send(b"x" * (20 * MIB))
        sock.recv(30)
    before = rss_mib(doors)
    pings = frame(Opcode.PING, b"p" * 125) * 500
    parts = frame(Opcode.BINARY, b"", is_last=False) + frame(Opcode.CONT, b"", is_last=False) * 9000
    with ExitStack() as stack:
        for path, sent in ((b"flood", b""), (b"flood", pings), (b"echo", pings), (b"echo", parts)):
            sock = stack.enter_context(raw(doors.port, path, receive_buffer=4096))
            sock.settimeout(0.2)
            ended = time.monotonic() + 0.5
            with suppress(TimeoutError):
                while sent and time.monotonic() < ended:
                    sock.sendall(sent)
                    sent = sent if sent is pings else parts[6:]
        with connect(doors.port) as asking:
            assert ask_health(asking) == 200
        assert rss_mib(doors) - before < 40
    wait_until(lambda: count_connections(doors) == 1, 10, "nothing is left of them")


@pytest.mark.alone
def test_tiny_messages_leave_others_their_turn(doors: RunningServer) -> None:
    with raw(doors.port) as sock, connect(doors.port) as asking:
        sock.settimeout(0.2)
        tiny, slowest_s = frame(Opcode.TEXT, b"") * 20_000, 0.0
        for _ in range(10):
            with suppress(TimeoutError):
                sock.sendall(tiny)
            started = time.monotonic()
            assert ask_health(asking) == 200
            slowest_s = max(slowest_s, time.monotonic() - started)
    print(f"/health took {slowest_s * 1000:.0f} ms at most")
    assert slowest_s < 0.5


@pytest.mark.alone
def test_two_hundred_idle_sockets(doors: RunningServer) -> None:
    wait_until(lambda: count_connections(doors) == 1, 10, "those of other tests are gone")
    before = rss_mib(doors)
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(raw(doors.port))
        assert count_connections(doors) == 201
        each_kib = (rss_mib(doors) - before) * 1024 / 200
        print(f"{each_kib:.0f} KiB for each of 200 idle sockets")
        assert each_kib < 150
    wait_until(lambda: count_connections(doors) == 1, 10, "nothing is left of them")
