"""Clients that are slow or deaf lose their connection; everybody else does not notice them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from core.http.limits.conftest import StartServer
from core.http.limits.raw_client import ask_health, connect, read_error, send_slowly
from e2e.sound import tone
from running_server import RunningServer, wait_until

pytestmark = pytest.mark.alone

UPLOAD = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
    b"Content-Length: 1000000\r\n\r\n"
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
)


SLOW_HEAD = b"GET /health HTTP/1.1\r\nX-Slow: " + b"x" * 1000


def test_a_head_that_comes_byte_by_byte_is_given_up(strict: RunningServer) -> None:
    with connect(strict.port) as silent, connect(strict.port) as first, connect(strict.port) as second:
        assert ask_health(second) == 200
        with ThreadPoolExecutor(2) as threads:
            assert max(threads.map(lambda sock: send_slowly(sock, SLOW_HEAD, 0.05), (first, second))) < 1000
        for sock in (first, second):
            status, _, error = read_error(sock)
            assert (status, error["code"]) == (408, "request_timeout")
        assert silent.recv(1) == b""


def test_an_upload_that_stops_is_given_up(strict: RunningServer) -> None:
    with connect(strict.port) as sock:
        sock.sendall(UPLOAD)
        status, _, error = read_error(sock)
    assert (status, error["code"]) == (408, "request_timeout")
    assert "for 3 s" in str(error["message"])
    strict.expect_no_uploads()


def test_an_upload_that_creeps_is_given_up(strict: RunningServer) -> None:
    with connect(strict.port) as sock:
        sock.sendall(UPLOAD)
        send_slowly(sock, b"x" * 1000, 0.05)
        status, _, error = read_error(sock)
    assert status == 408
    assert "500 bytes a second is the least" in str(error["message"])
    strict.expect_no_uploads()


def test_many_slow_connections_do_not_keep_others_out(strict: RunningServer) -> None:
    process = psutil.Process(strict.process.pid)
    most = 0
    with ExitStack() as opened:
        for number in range(40):
            opened.enter_context(connect(strict.port)).sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
            most = max(most, sum(c.status == "ESTABLISHED" for c in process.net_connections("tcp")))
            if number % 10 == 9:
                assert httpx2.get(f"{strict.url}/health", timeout=20, trust_env=False).status_code == 200
    # One that is being let in, and one that has just been dropped, may be there for a moment.
    assert 8 <= most <= 12


def test_where_all_are_being_served_health_still_answers(strict: RunningServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    query = f"?output=txt&encode=true&initial_prompt=until={gate}"

    def post(number: int) -> int:
        with strict.http() as client:
            return client.post(f"/asr{query}", files={"audio_file": ("a.wav", tone(1 + number / 10))}).status_code

    with ThreadPoolExecutor(8) as threads:
        films = threads.map(post, range(8))
        try:
            # Asked sooner, the server would make room: a film whose head has not come yet gives its place.
            wait_until(lambda: strict.log.read_text().count("film accepted") == 8, 30, "all films are there")
            assert _status_of(strict, "/v1/models") == 503
            assert _status_of(strict, "/health") == 200
        finally:
            gate.touch()
        assert set(films) == {200}


def _status_of(server: RunningServer, path: str) -> int:
    return httpx2.get(f"{server.url}{path}", timeout=20, trust_env=False).status_code


@pytest.fixture(scope="module")
def impatient_tts(start_server: StartServer) -> Iterator[RunningServer]:
    settings = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_UPLOAD_TIMEOUT_S": "0.2", "TTS_CACHE_MB": "0"}
    with start_server("tts", **settings) as server:
        yield server


def test_who_does_not_read_a_speech_is_dropped_and_its_work_ends(impatient_tts: RunningServer) -> None:
    text = " ".join(["All work and no play makes Jack a dull boy."] * 1000)
    body = f'{{"model": "tts-1", "voice": "alloy", "response_format": "wav", "input": "{text}"}}'
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with connect(impatient_tts.port, receive_buffer=4096) as sock:
        sock.sendall(f"{head}\r\n\r\n{body}".encode())
        wait_until(lambda: sum(impatient_tts.count_jobs()), 30, "the speech is being made")
        started = time.monotonic()
        wait_until(lambda: not sum(impatient_tts.count_jobs()), 60, "the work has ended")
        assert time.monotonic() - started < 60
        wait_until(lambda: "aborted=True" in impatient_tts.log.read_text(), 10, "the log says so")
    assert "Traceback" not in impatient_tts.log.read_text()
