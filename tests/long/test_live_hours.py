"""Live sessions of hours, at high speed; a thousand in which nobody speaks; clients that stand still; an engine that
hangs in one."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from pathlib import Path

import psutil
from websockets.asyncio.client import connect
from websockets.frames import Opcode

from chaos.live import listen, silence, to_pcm
from core.http.sockets.test_wire import frame, raw
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake"}
TEXT = "The garden gate was open again."
GROWTH_MIB = 25
PATH, SESSION_ID = b"realtime?intent=transcription", re.compile(rb"sess_[0-9a-f]{32}")
MORE_THREADS = 4
IDLE_BYTES = 50_000
STALL_S = 45
"""Longer than uvicorn by itself would take a client for alive: 20 s to the ping, and as many for its answer."""


def rss_mib(server: RunningServer) -> list[float]:
    """Of the API process and of all others."""
    process = psutil.Process(server.process.pid)
    others = sum(child.memory_info().rss for child in process.children(recursive=True))
    return [process.memory_info().rss / (1 << 20), others / (1 << 20)]


def test_two_hours_of_speech_and_silence_take_no_more_memory_than_ten_minutes(
    start_server: StartServer, spoken: Spoken
) -> None:
    speech = to_pcm(spoken(TEXT))
    # Half a minute: three turns, and a silence that is long enough to be forgotten.
    part = (speech + silence(1.5)) * 3
    part += silence(30)[: 2 * 24_000 * 30 - len(part)]
    with start_server("asr", **FAKE) as server, listen(server) as session:
        for _ in range(20):
            session.say(part, piece_s=1.0)
        session.until_heard(60)
        early = rss_mib(server)
        for _ in range(220):
            session.say(part, piece_s=1.0)
        texts = session.until_heard(720, 120)
        late = rss_mib(server)
        print(f"API {early[0]:.0f} -> {late[0]:.0f} MiB, engine {early[1]:.0f} -> {late[1]:.0f} MiB")
        assert len(texts) == 720
        assert not session.of("error")
        last_ms = session.times()[-1][0]
        assert isinstance(last_ms, int)
        assert 7_170_000 < last_ms < 7_200_000, "times are those of all the sound"
        assert all(here - there < GROWTH_MIB for there, here in zip(early, late, strict=True))


async def test_a_thousand_idle_sessions_take_little_memory_no_thread_and_no_place(
    start_server: StartServer, spoken: Spoken
) -> None:
    speech = to_pcm(spoken(TEXT)) + silence(1)
    with start_server("asr", **FAKE) as server:
        with listen(server) as session:  # so that there is an engine
            session.say(speech)
            session.until_heard(1)
        process = psutil.Process(server.process.pid)
        processes = [process, *process.children(recursive=True)]
        url = f"ws://127.0.0.1:{server.port}/v1/realtime?intent=transcription"
        async with AsyncExitStack() as stack:
            for count in range(1000):
                if count == 200:
                    threads, early = [process.num_threads() for process in processes], rss_mib(server)
                await stack.enter_async_context(connect(url, proxy=None, ping_interval=None, compression=None))
            late = rss_mib(server)
            each = [(there - here) * (1 << 20) / 800 for here, there in zip(early, late, strict=True)]
            print(f"API {each[0]:.0f} bytes each, engine {each[1]:.0f}")
            assert max(each) < IDLE_BYTES
            # The pool that reads files for all takes a thread more now and then.
            assert sum(process.num_threads() for process in processes) <= sum(threads) + MORE_THREADS
            with listen(server) as session:
                session.say(speech)
                assert len(session.until_heard(1)) == 1


async def test_clients_that_answer_pings_late_hear_all(start_server: StartServer, spoken: Spoken) -> None:
    sound = base64.b64encode(to_pcm(spoken(TEXT)) + silence(1)).decode()
    append = json.dumps({"type": "input_audio_buffer.append", "audio": sound})
    with start_server("asr", **FAKE) as server:
        url = f"ws://127.0.0.1:{server.port}/v1/realtime?intent=transcription"
        async with AsyncExitStack() as stack, asyncio.timeout(STALL_S + 60):
            sockets = [await stack.enter_async_context(connect(url, proxy=None, ping_interval=None)) for _ in range(16)]
            for socket in sockets:
                await socket.send(append)
            time.sleep(STALL_S)  # noqa: ASYNC251 - what their loop does meanwhile
            for socket in sockets:
                await socket.send(append)
            for socket in sockets:
                kinds = list[str]()
                while sum(kind.endswith(".completed") for kind in kinds) < 2:
                    kinds.append(json.loads(await socket.recv())["type"])
                assert "error" not in kinds


def test_who_is_silently_gone_is_noticed_and_was_heard(start_server: StartServer, spoken: Spoken) -> None:
    rules = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    update = text_frame({"type": "session.update", "session": rules})
    sound = base64.b64encode(to_pcm(spoken(TEXT))).decode()
    said = update + text_frame({"type": "input_audio_buffer.append", "audio": sound})
    with (
        start_server("asr", **FAKE) as server,
        listen(server) as other,
        raw(server.port, PATH, receive_buffer=4096) as still,
        raw(server.port, PATH, receive_buffer=4096) as babbling,
    ):
        other.say(to_pcm(spoken(TEXT)) + silence(1))
        other.until_heard(1)
        ids = [SESSION_ID.search(peer.recv(300)) for peer in (babbling, still)]
        for peer in (still, babbling):
            peer.sendall(said)
        babbling.settimeout(1)
        with suppress(TimeoutError):
            while True:  # each is answered, until nothing more is taken
                babbling.sendall(update * 50)
        begun, full = time.monotonic(), rss_mib(server)[0]
        other.say(to_pcm(spoken(TEXT)) + silence(1))  # whom it does not hold up
        other.until_heard(2, 10)
        for places, patience_s in ((1, 30), (2, 100)):
            ended = "path=/v1/realtime status=101"
            wait_until(lambda: server.log.read_text().count(ended) == places, patience_s, "a place is free")  # noqa: B023
            print(f"{places} noticed after {time.monotonic() - begun:.0f} s")
        assert sum(server.count_jobs()) == 1, "that of the other one"
        for session_id in ids:
            assert session_id
            with server.http() as client:
                heard = client.get(f"/v1/realtime/sessions/{session_id[0].decode()}/transcript").json()
            assert heard["text"].startswith("window")
        assert rss_mib(server)[0] - full < GROWTH_MIB


def text_frame(event: dict[str, object]) -> bytes:
    return frame(Opcode.TEXT, json.dumps(event).encode())


def test_an_engine_that_hangs_is_replaced_and_hears_again(
    start_server: StartServer, spoken: Spoken, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    with (
        start_server("asr", ASR_ENGINE_TIMEOUT_S="2", **FAKE) as server,
        listen(server, transcription={"prompt": f"until={go_on}"}) as session,
    ):
        session.say(silence(0.5) + to_pcm(spoken(TEXT)) + silence(1))
        wait_until(server.engine_pid, 20, "the engine has a process")
        first = server.engine_pid()
        wait_until(lambda: server.engine_pid() not in {None, first}, 20, "the engine is replaced")
        go_on.touch()
        assert len(session.until_heard(1)) == 1
        assert not session.of("error")
        assert not session.of("failed")
