"""Requests that wait: heartbeats, breaks, uploads and detection beside a film that takes long."""

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from asr.bazarr.film import DETECT, FAKE, HEARTBEAT_S, asr_target, new_film
from asr.bazarr.wire import post, read_answer, sent, upload_s
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
MIB = 1 << 20
FILM_BYTES = 230 * MIB
BAZARR_LIMIT_S = 5.0
"""Bazarr's default response timeout: it holds for the whole upload."""
MAX_API_GROWTH = 60 * MIB


@contextmanager
def _busy(server: RunningServer) -> Iterator[None]:
    """While the engine works on a long film whose client waits."""
    with sent(server.port, asr_target(prompt="sleep=0.5"), new_film(120.0)):
        wait_until(lambda: server.count_jobs()[0], 15, "the film is worked on")
        yield


def test_heartbeats_keep_the_connection_until_the_subtitles_come(fake_bazarr: RunningServer) -> None:
    with sent(fake_bazarr.port, asr_target(prompt="sleep=2"), new_film(1.0)) as sock:
        started = time.monotonic()
        select.select([sock], [], [], 10)
        first_byte_s = time.monotonic() - started
        answer = read_answer(sock)
    assert HEARTBEAT_S / 2 < first_byte_s < 1.8
    assert (answer.status, answer.is_complete) == (200, True)
    beats = [piece for piece in answer.pieces if piece == b"\n"]
    assert 3 <= len(beats) <= 6
    assert answer.pieces[-1] == b"1\n00:00:00,000 --> 00:00:01,000\nwindow 1.0 s.\n\n"


@pytest.mark.parametrize("prompt", ["sleep=1.2 fail", "sleep=1.2 crash"])
def test_failure_after_the_first_byte_breaks_the_stream_off(fake_bazarr: RunningServer, prompt: str) -> None:
    answer = post(fake_bazarr.port, asr_target(prompt=prompt), new_film(1.0))
    assert (answer.status, answer.is_complete) == (200, False)
    # No JSON, no text: nothing that could be taken for subtitles.
    assert answer.body.strip() == b""
    fake_bazarr.expect_no_uploads()


def test_waiting_film_is_never_refused(fake_bazarr: RunningServer) -> None:
    films = [new_film(2.0) for _ in range(12)]
    with _busy(fake_bazarr), ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda film: post(fake_bazarr.port, asr_target(prompt="sleep=0.2"), film), films))
    assert [(answer.status, answer.is_complete) for answer in answers] == [(200, True)] * 12
    assert all(b"window 2.0 s." in answer.body for answer in answers)


def test_language_is_told_while_films_are_worked_on(fake_bazarr: RunningServer) -> None:
    with ExitStack() as films:
        for _ in range(3):
            films.enter_context(_busy(fake_bazarr))
        started = time.monotonic()
        answer = post(fake_bazarr.port, DETECT, new_film(7200.0))
        taken_s = time.monotonic() - started
        assert json.loads(answer.body)["language_code"] == "en"
        assert fake_bazarr.count_jobs()[0] >= 1
    # Each film alone would take half a minute.
    assert taken_s < 10


def test_silence_in_a_film_is_a_blank_subtitle(start_server: StartServer) -> None:
    with start_server("asr", **{**FAKE, "ASR_VAD_ENABLED": "true"}) as server:
        answer = post(server.port, asr_target(), new_film(20.0))
        assert (answer.status, answer.is_complete, answer.body) == (200, True, b"\n")
        # Whoever asks for the language of silence gets the best guess, and how little it is worth.
        found = json.loads(post(server.port, DETECT, new_film(20.0)).body)
        assert found["language_code"] == "en"
        assert found["confidence"] <= 0.1


@contextmanager
def _peak_growth(pid: int) -> Iterator[list[int]]:
    """By how many bytes a process grew while the context lasted; known after it."""
    process, growth = psutil.Process(pid), [0]
    before, stop = process.memory_info().rss, threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            growth[0] = max(growth[0], process.memory_info().rss - before)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield growth
    finally:
        stop.set()
        watching.join()


def test_four_films_at_once_are_taken_in_time_beside_a_running_one(start_server: StartServer) -> None:
    with start_server("asr", **FAKE, ASR_BAZARR_LINGER_S="0") as server:
        post(server.port, asr_target(), new_film(1.0))
        blocks = [bytes([number]) * MIB for number in range(1, 5)]

        def send(block: bytes) -> float:
            return upload_s(server.port, asr_target(prompt="sleep=0.2"), FILM_BYTES, block, then=1.0)

        with _busy(server), _peak_growth(server.process.pid) as growth, ThreadPoolExecutor(4) as threads:
            taken_s = list(threads.map(send, blocks))
            with server.http() as client:
                started = time.monotonic()
                assert client.get("/status").status_code == 200
                assert time.monotonic() - started < 5
        wait_until(lambda: server.count_jobs() == (0, 0), 20, "the films are dropped")
        server.expect_no_uploads()
    assert max(taken_s) < BAZARR_LIMIT_S, taken_s
    assert growth[0] < MAX_API_GROWTH


def test_language_of_a_crashing_engine_is_no_answer_that_bazarr_would_keep(
    start_server: StartServer, tmp_path: Path
) -> None:
    """An engine that does not load: Bazarr keeps any body as "no language", a broken one it forgets."""
    broken = tmp_path / "model"
    broken.mkdir()
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (broken / name).write_text("{}")
    with start_server("asr", ASR_MODEL=str(broken)) as server:
        answer = post(server.port, DETECT, new_film(1.0))
    assert not answer.is_complete
    assert answer.body.strip() == b""
