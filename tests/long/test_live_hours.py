"""A live session of an hour, at high speed; clients that stand still; and an engine that hangs in one."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path

import psutil
from websockets.asyncio.client import connect

from chaos.live import listen, silence, to_pcm
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake"}
TEXT = "The garden gate was open again."
GROWTH_MIB = 12
STALL_S = 45
"""Longer than uvicorn by itself would take a client for alive: 20 s to the ping, and as many for its answer."""


def rss_mib(server: RunningServer) -> list[float]:
    """Of the API process and of all others."""
    process = psutil.Process(server.process.pid)
    others = sum(child.memory_info().rss for child in process.children(recursive=True))
    return [process.memory_info().rss / (1 << 20), others / (1 << 20)]


def test_an_hour_of_speech_and_silence_take_no_more_memory_than_ten_minutes(
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
        for _ in range(100):
            session.say(part, piece_s=1.0)
        texts = session.until_heard(360, 120)
        late = rss_mib(server)
        print(f"API {early[0]:.0f} -> {late[0]:.0f} MiB, engine {early[1]:.0f} -> {late[1]:.0f} MiB")
        assert len(texts) == 360
        assert not session.of("error")
        last_ms = session.times()[-1][0]
        assert isinstance(last_ms, int)
        assert 3_570_000 < last_ms < 3_600_000, "times are those of all the sound"
        assert all(here - there < GROWTH_MIB for there, here in zip(early, late, strict=True))


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
