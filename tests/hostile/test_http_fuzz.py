"""Requests as nobody would write them, in odd pieces: each is answered or its connection closed, and nothing breaks."""

import asyncio
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chaos.listening import FAKE_ASR, URL
from e2e.sound import tone
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
EXAMPLES = {"short": 20, "long": 600}[os.environ.get("CHAOS", "short")]
AT_ONCE = 30
"""Conversations of an example."""
PATIENCE_S = {"ASR_UPLOAD_TIMEOUT_S": "1.2"}
ANSWER_S = 8.0
TALKS_AT_ONCE = 40
MAX_MIB = 20.0
SOUND = tone(0.2)
POST = b"POST " + URL.encode() + b"?model=whisper-1 HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
SIZED = POST + b"Content-Length: %d\r\n" % len(SOUND)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + b64encode(bytes(16))
    + b"\r\n"
)
CHUNKS = b"%x;x=y\r\n" % len(SOUND) + SOUND + b"\r\n0\r\nx: y\r\n\r\n"
REQUESTS = (
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/models?a=b#c HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2000 + b"\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n",
    SIZED + b"\r\n" + SOUND,
    SIZED + H2C + b"\r\n" + SOUND,
    SIZED + b"Expect: 100-continue\r\n\r\n" + SOUND,
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    POST + b"Transfer-Encoding: chunked\r\n" + H2C + b"\r\n" + CHUNKS,
    b"DELETE /v1/jobs/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
)
"""Whole ones, of which the connection survives each."""
LAST = (
    b"",
    b"GET /health HTTP/1.0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n" + WEBSOCKET + b"\r\n",
)
INSERTS = (
    b"\r\n", b"\0", b"a:\r\n" * 150, b"y" * 70_000, b"0\r\n\r\n", b"Content-Length: 1\r\n", b" ", b"\xff",
    b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n", b"GET / HTTP/1.1\r\n\r\n" * 40,
)  # fmt: skip
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")


@dataclass(frozen=True)
class Talk:
    """What one client sends, in pieces, and how many answers are due; None: nobody knows."""

    pieces: tuple[bytes, ...]
    due: int | None


@st.composite
def _talks(draw: st.DrawFn) -> Talk:
    asked = [*draw(st.lists(st.sampled_from(REQUESTS), max_size=4)), draw(st.sampled_from(LAST))]
    data = b"".join(asked)
    changes = draw(st.integers(0, 3)) if data else 1
    for _ in range(changes):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from((0, 0, 1, 1, 10, 1000)))
        data = data[:at] + draw(st.sampled_from(INSERTS) | st.binary(max_size=20)) + data[at + gone :]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    pieces = tuple(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True))
    return Talk(pieces, None if changes else sum(map(bool, asked)))


async def _talk(port: int, talk: Talk) -> bytes:
    """All the answers; for a talk that makes no sense till the server has closed, or has no more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = b""
    try:
        with suppress(ConnectionError):
            for piece in talk.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002)
        with suppress(ConnectionError):
            while talk.due is None or len(_STATUS.findall(data)) < talk.due:
                # One that keeps its connection has said something, and then nothing for longer than it waits.
                is_over = talk.due is None and data
                part = await asyncio.wait_for(reader.read(1 << 16), 1.5 if is_over else ANSWER_S)
                if not part:
                    return data
                data += part
    except TimeoutError:
        assert data, f"no answer within {ANSWER_S} s, and the connection stays: {talk}"
        assert talk.due is None, f"{data!r} is not all that is due: {talk}"
    finally:
        writer.transport.abort()
    return data


def _check(talk: Talk, data: bytes) -> None:
    statuses = [int(status) for status in _STATUS.findall(data)]
    assert all(status < 500 for status in statuses), (talk, data)
    if talk.due is not None:
        # An answer that overtakes its request's body may be the last, if it says so.
        is_told = len(talk.pieces) > 1 and b"connection: close" in data.rpartition(b"HTTP/1.1 ")[2]
        assert len(statuses) == talk.due or (is_told and 0 < len(statuses) < talk.due), (talk, data)
    assert b"text/plain" not in data, data


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR, **PATIENCE_S) as server:
        yield server


async def _talk_all(port: int, talks: list[Talk]) -> list[bytes]:
    # Hundreds at once, on a machine that does other things, may connect long before they say a word.
    turn = asyncio.Semaphore(TALKS_AT_ONCE)

    async def take_turn(talk: Talk) -> bytes:
        async with turn:
            return await _talk(port, talk)

    return await asyncio.gather(*map(take_turn, talks))


def _run(server: RunningServer, talks: list[Talk]) -> None:
    for talk, data in zip(talks, asyncio.run(_talk_all(server.port, talks)), strict=True):
        _check(talk, data)
    log = server.log.read_text()
    assert not any(word in log for word in ("Traceback", "Exception in ASGI", "write() after"))


def test_every_request_alone_and_after_every_other(server: RunningServer) -> None:
    ask = [(one,) for one in REQUESTS] + [(one, other) for one in REQUESTS for other in (*REQUESTS, *LAST[1:])]
    _run(server, [Talk((b"".join(requests),), len(requests)) for requests in ask])


def test_nothing_breaks_it(server: RunningServer) -> None:
    process = psutil.Process(server.process.pid)
    sizes: list[int] = []

    @given(st.lists(_talks(), min_size=AT_ONCE, max_size=AT_ONCE))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to make a failure smaller takes longer than to read it
        suppress_health_check=list(HealthCheck),
    )
    def attack(talks: list[Talk]) -> None:
        _run(server, talks)
        sizes.append(process.memory_info().rss)

    attack()
    assert server.process.poll() is None
    with server.http() as client:
        assert client.get("/health").status_code == 200
    first, last = sizes[0] / 2**20, sizes[-1] / 2**20
    print(f"{len(sizes) * AT_ONCE} talks, {first:.0f} MiB after the first, {last:.0f} at the end")
    assert last - first < MAX_MIB
    server.expect_no_uploads()
