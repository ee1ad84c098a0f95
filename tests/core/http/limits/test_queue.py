"""A full queue says so at once, when to come back, and whom it does not concern."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest

from core.http.limits.raw_client import connect, read_error
from e2e.sound import tone
from running_server import RunningServer, wait_until

JS = Path(__file__).parents[3] / "js"
FILM = tone(100.0)
CLIP = tone(1.0)
SLOW = "sleep=0.03"


def _post(server: RunningServer, sound: bytes, **fields: str) -> httpx2.Response:
    with server.http() as client:
        data = {"model": "whisper-1", "language": "en", **fields}
        return client.post("/v1/audio/transcriptions", files={"file": ("a.wav", sound)}, data=data)


@contextmanager
def _film_runs(server: RunningServer, folder: Path) -> Iterator[Future[httpx2.Response]]:
    """A film is at work, and comes no further while the context lasts."""
    gate = folder / "gate"
    with ThreadPoolExecutor(1) as threads:
        film = threads.submit(_post, server, FILM, prompt=f"until={gate} {SLOW}")
        try:
            wait_until(lambda: server.count_jobs()[0], 30, "the film is at work")
            yield film
        finally:
            gate.touch()
        assert film.result().status_code == 200


@pytest.fixture(scope="module")
def busy(strict: RunningServer) -> RunningServer:
    """A server that has learned that a film takes it some seconds, and a batch much less than half of one."""
    assert _post(strict, FILM, prompt=SLOW).status_code == 200
    return strict


def test_both_sdks_come_back_in_time(busy: RunningServer, tmp_path: Path) -> None:
    sound = tmp_path / "film.wav"
    sound.write_bytes(FILM)
    command = ["node", "retry.mjs", f"{busy.url}/v1", str(sound)]
    node = subprocess.Popen(command, cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with node, ThreadPoolExecutor(1) as threads, busy.openai() as client:
        assert node.stdout
        assert node.stdout.readline() == "ready\n"
        transcriptions = client.with_options(max_retries=6).audio.transcriptions.with_raw_response
        with _film_runs(busy, tmp_path):
            python = threads.submit(transcriptions.create, model="whisper-1", file=sound, language="en")
            wait_until(lambda: "status=429" in busy.log.read_text(), 60, "the Python SDK has been refused")
            assert node.stdin
            node.stdin.write("go\n")
            node.stdin.flush()
            assert node.stdout.readline() == "429\n"
        answer = python.result()
        *retried, last, text = node.stdout.read().splitlines()
    assert answer.retries_taken >= 1
    assert answer.parse().text.count("window") >= 20
    assert set(retried) <= {"429"}
    assert last == "200"
    assert text.count("window") >= 20


def test_an_upload_is_refused_before_it_is_received(busy: RunningServer, tmp_path: Path) -> None:
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
        "Content-Length: 1000000000\r\n\r\n"
    )
    part = '--XX\r\nContent-Disposition: form-data; name="file"; filename="film.mkv"\r\n\r\n'
    with _film_runs(busy, tmp_path):
        with connect(busy.port) as sock:
            sock.sendall((head + part).encode() + b"x" * 65_536)
            status, headers, error = read_error(sock)
        # This client sends everything before it reads a word, and still learns why.
        with busy.openai() as client, pytest.raises(openai.RateLimitError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=("film.mkv", FILM + bytes(60 << 20)))
    assert (status, error["code"], caught.value.code) == (429, "queue_full", "queue_full")
    assert int(headers["retry-after"]) >= 1
    busy.expect_no_uploads()


def test_who_would_wait_too_long_is_told_when_to_come_back(busy: RunningServer, tmp_path: Path) -> None:
    path = "/asr?task=transcribe&language=en&output=srt&encode=true"
    with ThreadPoolExecutor(2) as threads, busy.http() as client:
        with _film_runs(busy, tmp_path):
            refused = _post(busy, FILM)
            # A short clip waits for a batch of the film, not for all of it.
            clip = threads.submit(_post, busy, CLIP)
            wait_until(lambda: sum(busy.count_jobs()) == 2, 30, "the clip is let in")
            (engine,) = busy.engines()
            # Background jobs have a line of their own, Bazarr's connection is held.
            job = _post(busy, FILM, background="true")
            bazarr = threads.submit(client.post, path, files={"audio_file": ("a.wav", FILM)})
            wait_until(lambda: sum(busy.count_jobs()) == 4, 30, "both are let in")
        assert [clip.result().status_code, job.status_code, bazarr.result().status_code] == [200, 202, 200]
        assert "window" in bazarr.result().text
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (429, "rate_limit_error", "queue_full")
    assert "0.5 s is the most" in error["message"]
    assert int(refused.headers["retry-after"]) >= 1
    assert int(refused.headers["retry-after-ms"]) >= 1000
    assert float(refused.headers["x-queue-wait-s"]) > 0.5
    assert (refused.headers["x-queue-jobs"], clip.result().headers["x-queue-jobs"]) == ("1", "1")
    assert float(clip.result().headers["x-queue-wait-s"]) <= 0.5
    assert float(str(engine["queue_s"])) > 0.5
    assert 0 < float(str(engine["speed"])) < 10
    wait_until(lambda: sum(busy.count_jobs()) == 0, 30, "everything is done")
    later = _post(busy, FILM)
    assert (later.status_code, later.headers["x-queue-jobs"]) == (200, "0")
