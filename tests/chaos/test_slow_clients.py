"""Clients that send a byte a second and clients that read none: everybody else is served as ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import httpx2
import pytest

from chaos.dose import Dose
from chaos.footprint import await_quiet, measure
from chaos.listening import FAKE_ASR, URL, check_windows, form
from chaos.speaking import FAKE_TTS, TEXTS, Speaking, ask
from chaos.speaking import URL as SPEECH_URL
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
HEAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=BB\r\n"
UPLOAD = HEAD + b"Content-Length: 1000000\r\n\r\n--BB\r\n"
OPENINGS = (HEAD, UPLOAD)
"""One half is slow with its headers, the other with its body."""
OPENED_AT_ONCE = 200
SETTLED_PER_S = 500
"""Connections beyond those the server keeps are closed one after the other; that takes it a while."""
MAX_MEDIAN_S = 2.0
"""Of `/health` with all of them connected, on a machine that does other things, too."""
SLOW_READERS = 60
LONG_TEXT = " ".join(f"Sentence number {number} goes on and on." for number in range(200))
MAX_MIB_PER_READER = 4.0
"""At most 1 MiB of sound waits for a reader, and what was being made then; its long text takes as much."""
MAX_MIB_KEPT_PER_READER = 1.5
"""When they are gone: Python keeps pages in which some object lives. A second crowd takes no more."""
MAX_KIB_PER_CONNECTION = 64


async def _connect(port: int, opening: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(opening)
    return writer


async def _open_many(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Connections, a part of them at a time, so that the queue of the kernel holds."""
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, count, OPENED_AT_ONCE):
        numbers = range(start, min(count, start + OPENED_AT_ONCE))
        writers += await asyncio.gather(*(_connect(port, OPENINGS[number % 2]) for number in numbers))
    return writers


async def _drip(writers: list[asyncio.StreamWriter]) -> None:
    while True:
        for writer in writers:
            if not writer.is_closing():
                writer.write(b"x")
        await asyncio.sleep(1)


async def _watch(url: str, seconds: float, visit: Callable[[httpx2.AsyncClient], Awaitable[None]]) -> list[float]:
    """How long `/health` takes, again and again, with a visit after each."""
    times_s: list[float] = []
    end = time.monotonic() + seconds
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        while time.monotonic() < end:
            started = time.monotonic()
            assert (await client.get("/health")).status_code == 200
            times_s.append(time.monotonic() - started)
            await visit(client)
            await asyncio.sleep(0.05)
    return sorted(times_s)


async def _transcribe(client: httpx2.AsyncClient) -> None:
    answer = await client.post(URL, **form(2.0))  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    check_windows(answer.json()["text"], 2.0)


async def _crawl(server: RunningServer, dose: Dose) -> list[float]:
    writers = await _open_many(server.port, dose.slow_connections)
    dripping = asyncio.create_task(_drip(writers))
    try:
        await asyncio.sleep(dose.slow_connections / SETTLED_PER_S)
        return await _watch(server.url, dose.slow_s, _transcribe)
    finally:
        dripping.cancel()
        for writer in writers:
            writer.transport.abort()


@pytest.mark.timeout(600)
def test_a_byte_a_second(start_server: StartServer, dose: Dose) -> None:
    with start_server("asr", **FAKE_ASR) as server:
        with server.http() as client:
            client.post(URL, **form(2.0))  # type: ignore[arg-type]
        before = measure(server)
        times_s = asyncio.run(_crawl(server, dose))
        middle_s, most_s = times_s[len(times_s) // 2], times_s[-1]
        await_quiet(server)
        after = measure(server)
        print(f"{dose.slow_connections} slow connections: /health {middle_s * 1000:.0f} ms, at most {most_s:.2f} s")
        print(before, after, sep="\n")
        assert middle_s < MAX_MEDIAN_S
        assert after.descriptors <= before.descriptors + 4
        assert after.files == 0
        assert after.api_mib - before.api_mib < 16 + dose.slow_connections * MAX_KIB_PER_CONNECTION / 1024


async def _read_nothing(port: int) -> asyncio.StreamWriter:
    import json

    body = json.dumps(ask(LONG_TEXT)).encode()
    head = f"POST {SPEECH_URL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(head.encode() + b"\r\n" + body)
    return writer


def test_readers_that_read_nothing(start_server: StartServer, dose: Dose) -> None:
    with start_server("tts", **FAKE_TTS, TTS_CACHE_MB="0") as server:
        with server.http() as client:
            speaking = Speaking.learn(client)
        before = measure(server)

        async def speak(client: httpx2.AsyncClient) -> None:
            answer = await client.post(SPEECH_URL, json=ask(TEXTS[1]))
            assert answer.content == speaking.known[TEXTS[1]]

        async def stall() -> list[float]:
            writers = [await _read_nothing(server.port) for _ in range(SLOW_READERS)]
            try:
                return await _watch(server.url, dose.slow_s, speak)
            finally:
                for writer in writers:
                    writer.transport.abort()

        times_s = asyncio.run(stall())
        during = measure(server)
        await_quiet(server)
        print(f"{SLOW_READERS} who read nothing: /health {times_s[len(times_s) // 2] * 1000:.0f} ms", before, during)
        assert times_s[len(times_s) // 2] < MAX_MEDIAN_S
        assert during.api_mib < before.api_mib + SLOW_READERS * MAX_MIB_PER_READER
        after = measure(server)
        assert after.api_mib < before.api_mib + SLOW_READERS * MAX_MIB_KEPT_PER_READER
        assert after.descriptors <= before.descriptors + 4
