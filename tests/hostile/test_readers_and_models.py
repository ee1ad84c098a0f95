"""Event streams that nobody reads, models that are cut short, memory that the system does not give."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pytest

from chaos.listening import FAKE_ASR, URL, form
from chaos.speaking import FAKE_TTS, ask
from chaos.speaking import URL as SPEECH_URL
from core.http.limits.raw_client import connect
from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
READER_TIMEOUT_S = 5.0
READERS = 10
MOST_MIB_PER_READER = 6.0
"""At most 1 MiB of sound waits for each, what was being made then, and all of it as text; the whole is 46 MiB."""
LONG_TEXT = " ".join(f"Sentence number {number} goes on and on." for number in range(300))


def _send(port: int, request: httpx2.Request) -> socket.socket:
    """A connection on which a request was sent and nothing will be read, with a buffer that is full at once."""
    sock, body = connect(port, receive_buffer=4096), request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name != "host")
    sock.sendall(f"POST {request.url.raw_path.decode()} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body)
    return sock


def _established(process: psutil.Process) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections("tcp"))


def test_speech_events_that_nobody_reads(start_server: StartServer) -> None:
    settings = {**FAKE_TTS, "TTS_CACHE_MB": "0", "TTS_UPLOAD_TIMEOUT_S": str(READER_TIMEOUT_S / 5)}
    with start_server("tts", **settings) as server, server.http() as client, ExitStack() as socks:
        client.post(SPEECH_URL, json=ask("Hello."))
        process = psutil.Process(server.process.pid)
        before, most = process.memory_info().rss, 0
        body = ask(LONG_TEXT, stream_format="sse", timestamps="word")
        for _ in range(READERS):
            socks.enter_context(_send(server.port, httpx2.Request("POST", f"http://x{SPEECH_URL}", json=body)))
        wait_until(lambda: sum(server.count_jobs()) == READERS, 10, "all of them are taken")
        # A speech is not made further than somebody reads it.
        time.sleep(READER_TIMEOUT_S / 2)
        assert sum(server.count_jobs()) == READERS, "none is made to its end"
        started = time.monotonic()
        while _established(process) > 1:
            assert time.monotonic() - started < 20, "they are dropped"
            asked = time.monotonic()
            answer = client.post(SPEECH_URL, json=ask("Somebody else."))
            assert (answer.status_code, time.monotonic() - asked < 5) == (200, True)
            most = max(most, process.memory_info().rss)
            time.sleep(0.1)
        wait_until(lambda: server.count_jobs() == (0, 0), 10, "their places are given back")
        assert (most - before) / (1 << 20) < READERS * MOST_MIB_PER_READER
        assert "Traceback (most" not in server.log.read_text()


def test_transcripts_that_nobody_reads(start_server: StartServer) -> None:
    settings = {**FAKE_ASR, "ASR_UPLOAD_TIMEOUT_S": str(READER_TIMEOUT_S / 5)}
    with start_server("asr", **settings) as server, server.http() as client, ExitStack() as socks:
        fields = {"model": "whisper-1", "stream": "true", "prompt": "sleep=0.05"}
        stream = partial(httpx2.Request, "POST", f"http://x{URL}", data=fields)
        film = partial(httpx2.Request, "POST", "http://x/asr?output=srt&encode=true")
        for number in range(READERS):
            sound = tone(10.0) + bytes([number])  # films of their own: equal ones are one job
            socks.enter_context(_send(server.port, stream(files={"file": ("a.wav", sound)})))
            socks.enter_context(_send(server.port, film(files={"audio_file": ("a.wav", sound)})))
        # A transcript is small: it is made to its end whether it is read or not, and holds no place.
        wait_until(lambda: server.count_jobs() == (0, 0) and server.uploads() == [], 40, "all is done")
        assert client.post(URL, **form(2.0)).json()["text"] == "window 2.0 s."  # type: ignore[arg-type]
        assert "Traceback (most" not in server.log.read_text()


@pytest.fixture(scope="module")
def listener(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a model folder of its own, which may be damaged."""
    with start_server("asr", MODEL_DIR=str(tmp_path_factory.mktemp("damaged"))) as server:
        yield server


@pytest.fixture(scope="module")
def folder(listener: RunningServer, spoken: Callable[[str], bytes]) -> Path:
    """The folder of its model, loaded."""
    assert _hear(listener, spoken).status_code == 200
    (weights,) = Path(psutil.Process(listener.process.pid).environ()["MODEL_DIR"]).rglob("model.bin")
    return weights.parent


def _hear(server: RunningServer, spoken: Callable[[str], bytes]) -> httpx2.Response:
    with server.http() as client:
        data = {"model": "whisper-1", "language": "en"}
        return client.post(URL, data=data, files={"file": ("a.wav", spoken("Please water the plants."))})


def _unload(server: RunningServer, folder: Path) -> None:
    with server.http() as client:
        assert client.delete(f"/v1/models/{folder.name}").status_code == 200


def _expect_words(answer: httpx2.Response) -> None:
    assert answer.status_code == 200, answer.text
    assert "water" in answer.json()["text"].lower()


def test_a_model_that_is_cut_short(listener: RunningServer, folder: Path, spoken: Callable[[str], bytes]) -> None:
    weights, whole = folder / "model.bin", (folder / "model.bin").read_bytes()
    os.truncate(weights, len(whole) // 3)
    _expect_words(_hear(listener, spoken))  # the engine that runs read it when it was whole
    _unload(listener, folder)
    _expect_words(_hear(listener, spoken))  # put together again from its package
    assert weights.stat().st_size == len(whole)
    (folder / "manifest.json").unlink()  # now it is the operator's own, which nobody can fetch
    for cut in (len(whole) // 3, 0):
        weights.write_bytes(whole)
        _unload(listener, folder)
        _expect_words(_hear(listener, spoken))
        os.truncate(weights, cut)
        _unload(listener, folder)
        for _ in range(2):
            error = _hear(listener, spoken).json()["error"]
            assert (error["type"], error["code"]) == ("server_error", "model_load_failed")
            assert str(folder.parent) not in error["message"]
            assert "damaged files: model.bin" in error["message"]
            assert f"voice-stack models remove {folder.name}" in error["message"]
        with listener.http() as client:
            assert client.get("/health").status_code == 200
    weights.write_bytes(whole)
    _await_words(listener, spoken)


def _await_words(server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    """What was wrong is right again: so is the server, after the pause that it takes after several failures."""
    for _ in range(4):
        answer = _hear(server, spoken)
        if answer.status_code == 200:
            break
        time.sleep(float(answer.headers.get("retry-after", 1)))
    _expect_words(answer)


@contextmanager
def _no_memory(server: RunningServer, spare_mib: int) -> Iterator[None]:
    """The next engine gets so much more address space than the one that runs has; the API process keeps its own."""
    process, engine = psutil.Process(server.process.pid), psutil.Process(server.engine_pid())
    soft, hard = process.rlimit(psutil.RLIMIT_AS)
    own_bytes, engine_bytes = process.memory_info().vms + (40 << 20), engine.memory_info().vms + spare_mib * (1 << 20)
    process.rlimit(psutil.RLIMIT_AS, (max(own_bytes, engine_bytes), hard))
    engine.kill()
    wait_until(lambda: server.engine_pid() is None, 10, "the engine is gone")
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_AS, (soft, hard))


def test_a_model_that_finds_no_memory(listener: RunningServer, spoken: Callable[[str], bytes]) -> None:
    _await_words(listener, spoken)
    with _no_memory(listener, -100):
        for _ in range(2):
            refused = _hear(listener, spoken)
            error = refused.json()["error"]
            assert (refused.status_code in {500, 503}, error["type"]) == (True, "server_error"), refused.text
            assert "memory" in error["message"]
            with listener.http() as client:
                assert client.get("/health").status_code == 200
    _await_words(listener, spoken)


def test_a_voice_that_finds_no_memory(start_server: StartServer, tmp_path: Path) -> None:
    with start_server("tts", MODEL_DIR=str(tmp_path)) as server, server.http() as client:

        def speak() -> httpx2.Response:
            return client.post(SPEECH_URL, json=ask("Hello.", cache=False))

        assert speak().status_code == 200
        with _no_memory(server, -100):
            refused = speak()
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (503, "insufficient_memory"), refused.text
            assert client.get("/health").status_code == 200
        wait_until(lambda: speak().status_code == 200, 30, "it speaks again")


def test_work_that_finds_no_memory(start_server: StartServer) -> None:
    with start_server("asr", **FAKE_ASR) as server, server.http() as client:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        with _no_memory(server, 500):
            for _ in range(2):
                refused = client.post(URL, **form(1.0, prompt="memory=3000"))  # type: ignore[arg-type]
                assert (refused.status_code, refused.json()["error"]["type"]) == (500, "server_error")
                assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]


def test_an_engine_that_dies_of_a_file_cut_short_under_it(start_server: StartServer) -> None:
    """As where a library maps its model into memory: the system ends the process with SIGBUS."""
    with start_server("asr", **FAKE_ASR) as server, server.http() as client:
        for _ in range(2):
            with ThreadPoolExecutor(1) as threads:
                asked = threads.submit(client.post, URL, **form(1.0, prompt="sleep=1"))  # type: ignore[arg-type]
                wait_until(lambda: server.count_jobs() == (1, 0), 20, "it is at work")
                pid = server.engine_pid()
                assert pid is not None
                os.kill(pid, signal.SIGBUS)
                assert asked.result().json()["text"] == "window 1.0 s.", "another process takes the work up"
        assert client.get("/health").status_code == 200
        assert "exit_code=-7" in server.log.read_text()
