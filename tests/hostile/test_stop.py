"""A server that stops tells everybody so, at once: also who is still sending, and who waits for a model."""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import psutil
import pytest

from chaos.listening import FAKE_ASR, URL, form
from chaos.speaking import FAKE_TTS, ask
from chaos.speaking import URL as SPEECH_URL
from core.http.limits.raw_client import connect, read_error
from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
SOON_S = 8.0
"""The grace for running work is ten seconds."""
STOP_S = 15.0
MULTIPART = "multipart/form-data; boundary=BB"
MODEL = b'--BB\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
BACKGROUND = b'--BB\r\nContent-Disposition: form-data; name="background"\r\n\r\ntrue\r\n'
FILE = b'--BB\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + tone(200.0)
needs_hangup = pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals that hang up")


def _begin_upload(server: RunningServer, path: str, content_type: str, body: bytes) -> socket.socket:
    """An upload of which the last thousand bytes do not come."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body) + 1000}\r\n"
    sock = connect(server.port)
    sock.sendall(head.encode() + b"\r\n" + body)
    return sock


def _expect_refusal(sock: socket.socket) -> None:
    sock.settimeout(SOON_S)
    status, headers, error = read_error(sock)
    assert (status, error["code"]) == (503, "shutting_down")
    assert int(headers["retry-after"]) >= 1


def _expect_end(server: RunningServer, code: int = 0) -> None:
    assert server.process.wait(STOP_S) == code
    assert "Traceback" not in server.log.read_text()
    server.expect_no_uploads()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param("SIGHUP", marks=needs_hangup)])
def test_uploads_on_their_way_are_refused_at_once(start_server: StartServer, number: signal.Signals | str) -> None:
    with start_server("asr", **FAKE_ASR) as server:
        uploads = [
            _begin_upload(server, URL, MULTIPART, MODEL + FILE),
            _begin_upload(server, URL, MULTIPART, MODEL + BACKGROUND + FILE),
            _begin_upload(server, f"{URL}?model=whisper-1", "audio/wav", tone(200.0)),
            _begin_upload(server, URL, "application/json", json.dumps({"model": "whisper-1"}).encode()),
        ]
        wait_until(lambda: len(server.uploads()) >= 3, 10, "they arrive")
        server.process.send_signal(signal.Signals[number] if isinstance(number, str) else number)
        for sock in uploads:
            with sock:
                _expect_refusal(sock)
        _expect_end(server)


def test_a_speech_whose_text_is_on_its_way_is_refused_at_once(start_server: StartServer) -> None:
    with start_server("tts", **FAKE_TTS) as server:
        with _begin_upload(server, SPEECH_URL, "application/json", b'{"model": "tts-1", "input": "') as sock:
            time.sleep(0.3)
            server.process.terminate()
            _expect_refusal(sock)
        _expect_end(server)


def _listen(server: RunningServer, **fields: str) -> httpx2.Response:
    with server.http() as client:
        return client.post(URL, **form(1.0, **fields))  # type: ignore[arg-type]


def _speak(server: RunningServer, **fields: object) -> httpx2.Response:
    with server.http() as client:
        return client.post(SPEECH_URL, json=ask("sleep=60 It takes long.", **fields))


def _expect_answers(answers: list[Future[httpx2.Response]]) -> None:
    for answer in (future.result() for future in answers):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down"), answer.text
        assert int(answer.headers["retry-after"]) >= 1


def test_who_waits_for_a_model_is_told(start_server: StartServer) -> None:
    slow = {**FAKE_ASR, "ASR_MODEL": "sleep=60"}
    with start_server("asr", **slow) as server, ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(_listen, server, **fields) for fields in ({}, {"stream": "true"})]
        wait_until(lambda: sum(server.count_jobs()) == 2, 20, "they wait")
        server.process.terminate()
        wait_until(lambda: all(answer.done() for answer in answers), SOON_S, "at once, not after the grace")
        _expect_answers(answers)
        _expect_end(server)


def test_who_waits_for_the_first_sound_is_told(start_server: StartServer) -> None:
    with start_server("tts", "--shutdown-grace-s", "0.5", **FAKE_TTS) as server, ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(_speak, server, **fields) for fields in ({}, {"stream": False})]
        wait_until(lambda: sum(server.count_jobs()) >= 1, 20, "they wait")
        time.sleep(0.3)
        server.process.terminate()
        _expect_answers(answers)
        _expect_end(server)


@needs_hangup
def test_the_end_of_a_terminal_lets_running_work_end(start_server: StartServer) -> None:
    with start_server("asr", **FAKE_ASR) as server, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(_listen, server, prompt="sleep=2")
        wait_until(lambda: server.count_jobs()[0], 20, "it is at work")
        # The system tells the whole group, the shell tells the server once more.
        for process in (psutil.Process(server.engine_pid()), *[psutil.Process(server.process.pid)] * 2):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        assert answer.result().json()["text"] == "window 1.0 s."
        _expect_end(server)


def test_nohup_keeps_a_server(start_server: StartServer, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no terminals that hang up")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what a program inherits from nohup
    try:
        with start_server("asr", **FAKE_ASR) as server:
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            with server.http() as client:
                assert client.get("/ready").status_code == 200
    finally:
        signal.signal(signal.SIGHUP, before)
