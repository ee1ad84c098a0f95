"""Clients that send what is no event, too much of it, or half; whom the port is not for; and the stop of the server."""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from wyoming.error import Error
from wyoming.event import async_read_event
from wyoming.tts import Synthesize, SynthesizeStart

from home_assistant.assist import PATIENCE_S, ask_info, connected, read_until, speak
from home_assistant.conftest import WyomingServer
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE_TTS = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake"}
NO_EVENTS = {
    "noise": b"\x00\xff\xfe\n",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "list": b"[]\n",
    "number": b"7\n",
    "no type": b"{}\n",
    "type of a number": b'{"type": 5}\n',
    "data of a list": b'{"type": "synthesize", "data": [1]}\n',
    "data that is no JSON": b'{"type": "synthesize", "data_length": 3}\nabc',
    "data that is a string": b'{"type": "synthesize", "data_length": 3}\n"a"',
    "negative length": b'{"type": "audio-chunk", "payload_length": -1}\n',
    "length in words": b'{"type": "audio-chunk", "payload_length": "ten"}\n',
    "true length": b'{"type": "audio-chunk", "data_length": true}\n',
    "giant payload": b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
    "giant data": b'{"type": "synthesize", "data_length": 1048577}\n',
    "giant number": b'{"type": "synthesize", "data_length": ' + b"9" * 5000 + b"}\n",
    "not a number": b'{"type": "synthesize", "data_length": NaN}\n',
    "deep": b'{"type": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
    "long line": b'{"type": "' + b"a" * 70_000 + b'"}\n',
    "line without an end": b"a" * 200_000,
    "half a surrogate": b'{"type": "synthesize", "data": {"text": "\\ud800"}}\n',
}


async def _answer_to(port: int, sent: bytes, *, is_ended: bool = False) -> list[object]:
    """What is told to raw bytes before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = list[object]()
    async with asyncio.timeout(PATIENCE_S):
        writer.write(sent)
        if is_ended:
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            while event := await async_read_event(reader):
                told.append(Error.from_event(event) if event.type == "error" else event)
    writer.close()
    return told


@pytest.mark.parametrize("name", NO_EVENTS)
async def test_what_is_no_event_is_told_and_ends_the_connection(fake_wyoming: WyomingServer, name: str) -> None:
    (told,) = await _answer_to(fake_wyoming.port, NO_EVENTS[name])
    assert isinstance(told, Error)
    assert told.code == "invalid_request_error"
    assert len(told.text) < 400


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b'{"type": "synth',
        b'{"type": "synthesize", "data_length": 40}\n{"text": ',
        b'{"type": "audio-chunk", "payload_length": 4000}\nabc',
    ],
)
async def test_half_an_event_is_nothing(fake_wyoming: WyomingServer, sent: bytes) -> None:
    assert await _answer_to(fake_wyoming.port, sent, is_ended=True) == []


async def test_data_may_stand_in_the_line_and_come_in_any_pieces(fake_wyoming: WyomingServer) -> None:
    data = json.dumps({"text": "Added."}).encode()
    head = b'\n{"type":"synthesize","data":{"text":"?","other":null},"data_length":%d,"version":"9"}\n' % len(data)
    reader, writer = await asyncio.open_connection("127.0.0.1", fake_wyoming.port)
    for byte in head + data:
        writer.write(bytes([byte]))
        await writer.drain()
    size = 0
    async with asyncio.timeout(PATIENCE_S):
        while (event := await async_read_event(reader)) and event.type != "audio-stop":
            size += len(event.payload or b"")
    writer.close()
    assert size == pytest.approx(len((await speak(fake_wyoming.port, "Added.")).pcm), abs=4)


async def test_an_event_that_does_not_end_is_given_up(start_server: StartServer) -> None:
    port = free_port()
    with start_server("tts", **FAKE_TTS, TTS_WYOMING_PORT=str(port), TTS_UPLOAD_TIMEOUT_S="0.5"):
        (told,) = await _answer_to(port, b'{"type": ')
        assert isinstance(told, Error)
        assert told.code == "request_timeout"
        # Who only holds a connection needs no word.
        assert await _answer_to(port, b"") == []


async def test_others_are_told_that_the_port_is_not_for_them(start_server: StartServer) -> None:
    port = free_port()
    with start_server("tts", **FAKE_TTS, TTS_WYOMING_PORT=str(port), TTS_WYOMING_NETWORKS="192.0.2.0/24"):
        answer = await speak(port, "Hello.")
    assert answer.types == ["error"]
    assert "TTS_WYOMING_NETWORKS" in answer.error.text


async def test_connections_are_bounded(fake_wyoming: WyomingServer) -> None:
    async with contextlib.AsyncExitStack() as held:
        clients = [await held.enter_async_context(connected(fake_wyoming.port)) for _ in range(64)]
        await clients[0].write_event(SynthesizeStart().event())
        # Who has waited longest without a request makes room.
        assert (await speak(fake_wyoming.port, "Hello.")).types[-1] == "audio-stop"
        assert await clients[1].read_event() is None
        for client in clients[2:]:
            await client.write_event(SynthesizeStart().event())
        busy = [await held.enter_async_context(connected(fake_wyoming.port))]
        await busy[0].write_event(SynthesizeStart().event())
        await asyncio.to_thread(wait_until, lambda: sum(fake_wyoming.http.count_jobs()) == 64, 10, "all are busy")
        assert (await speak(fake_wyoming.port, "Hello.")).error.code == "overloaded"
    async with asyncio.timeout(5):
        while not (await ask_info(fake_wyoming.port)).tts:
            pass


async def test_what_is_being_said_is_finished_when_the_server_stops(start_server: StartServer) -> None:
    port = free_port()
    with start_server("tts", **FAKE_TTS, TTS_WYOMING_PORT=str(port)) as server:
        async with connected(port) as idle, connected(port) as busy:
            await busy.write_event(Synthesize("A clause that takes a while, sleep=0.5, " * 3).event())
            begun = await read_until(busy, "audio-chunk")
            server.process.send_signal(signal.SIGTERM)
            assert await idle.read_event() is None
            with pytest.raises(ConnectionError):
                await ask_info(port)
            rest = await read_until(busy, "audio-stop")
            assert rest.types == ["audio-chunk", "audio-stop"]
            assert await busy.read_event() is None
        assert begun.types == ["audio-start", "audio-chunk"]
        assert await asyncio.to_thread(server.process.wait, 15) == 0
        assert "Traceback" not in server.log.read_text()


async def test_what_takes_longer_than_the_grace_is_handed_back(start_server: StartServer) -> None:
    port = free_port()
    with start_server("tts", **FAKE_TTS, TTS_WYOMING_PORT=str(port), TTS_SHUTDOWN_GRACE_S="0.3") as server:
        async with connected(port) as busy:
            await busy.write_event(Synthesize("A clause, sleep=0.2, " * 200).event())
            await read_until(busy, "audio-chunk")
            server.process.send_signal(signal.SIGTERM)
            assert (await read_until(busy)).error.code == "shutting_down"
        assert await asyncio.to_thread(server.process.wait, 15) == 0


def test_a_port_in_use_is_said_at_the_start(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(AssertionError, match="TTS_WYOMING_PORT"),
            start_server("tts", **FAKE_TTS, TTS_WYOMING_PORT=str(port)),
        ):
            pass
