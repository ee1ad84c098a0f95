"""A film that comes again: joined to the job that runs, or answered from what is kept."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from asr.bazarr.film import DETECT, FAKE, asr_target, new_film
from asr.bazarr.wire import Answer, post, sent
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]


def _send_and_leave(server: RunningServer, target: str, film: bytes) -> None:
    """The client gives up while its film is worked on."""
    before = _count_films(server)
    with sent(server.port, target, film):
        wait_until(lambda: server.count_jobs()[0], 15, "the film is worked on")
    wait_until(lambda: "client left, the work goes on" in server.log.read_text(), 5, "the server sees it")
    assert _count_films(server) == before + 1


def _count_films(server: RunningServer) -> int:
    """Films so far that were neither joined to a job nor answered from what is kept."""
    lines = server.log.read_text().splitlines()
    return sum("film accepted" in line and "job=new" in line for line in lines)


def _count_done(server: RunningServer) -> int:
    return server.log.read_text().count("film done")


@pytest.fixture
def server(start_server: StartServer) -> "AbstractContextManager[RunningServer]":
    return start_server("asr", **FAKE, ASR_BAZARR_HEARTBEAT_S="0.4", ASR_IDLE_TIMEOUT_S="1")


def test_equal_films_at_once_are_one_job(server: AbstractContextManager[RunningServer]) -> None:
    film, target = new_film(4.0), asr_target(prompt="sleep=0.7")
    with server as running, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: post(running.port, target, film), range(4)))
        assert _count_done(running) == 1
    bodies = {answer.body.strip() for answer in answers}
    assert len(bodies) == 1
    assert bodies.pop().count(b"-->") >= 2


def test_retry_joins_the_job_its_client_left(server: AbstractContextManager[RunningServer]) -> None:
    film, target = new_film(8.0), asr_target(prompt="sleep=0.4")
    with server as running:
        _send_and_leave(running, target, film)
        answer = post(running.port, target, film)
        assert answer.body.count(b"-->") >= 4
        assert _count_done(running) == 1
        assert "job=joined" in running.log.read_text()
        running.expect_no_uploads()


def test_result_is_kept_after_client_and_engine_are_gone(server: AbstractContextManager[RunningServer]) -> None:
    film, target = new_film(3.0), asr_target(prompt="sleep=0.3")
    with server as running:
        _send_and_leave(running, target, film)
        wait_until(lambda: _count_done(running), 15, "the film is done without a client")
        wait_until(lambda: running.engine_pid() is None, 15, "the engine stops for being idle")
        answers = [post(running.port, asr_target(prompt="sleep=0.3", output=output), film) for output in ("srt", "vtt")]
        assert [answer.body.count(b"-->") for answer in answers] == [2, 2]
        # The engine was not even started.
        assert running.engine_pid() is None
        running.expect_no_uploads()


def test_job_without_a_client_ends_in_the_end(start_server: StartServer) -> None:
    film, target = new_film(60.0), asr_target(prompt="sleep=0.5")
    with start_server("asr", **FAKE, ASR_BAZARR_LINGER_S="0.5") as running:
        _send_and_leave(running, target, film)
        wait_until(lambda: running.count_jobs() == (0, 0), 10, "the job is dropped")
        assert _count_done(running) == 0
        running.expect_no_uploads()


@pytest.mark.parametrize(
    "other",
    [
        asr_target(output="json", task="translate"),
        asr_target(output="json", language="de"),
        asr_target(output="json", prompt="Amelie"),
        asr_target(output="json", extra="&vad_filter=true"),
        asr_target(output="json", extra="&word_timestamps=true"),
    ],
    ids=["task", "language", "prompt", "vad", "words"],
)
def test_what_shapes_the_answer_makes_it_another_job(fake_bazarr: RunningServer, other: str) -> None:
    film, target = new_film(1.0), asr_target(output="json")
    before = _count_films(fake_bazarr)
    first = post(fake_bazarr.port, target, film)
    second = post(fake_bazarr.port, other, film)
    assert _count_films(fake_bazarr) == before + 2
    assert (first.status, second.status) == (200, 200)
    # Asked once more, each gets its own answer again.
    assert post(fake_bazarr.port, target, film).body.strip() == first.body.strip()
    assert post(fake_bazarr.port, other, film).body.strip() == second.body.strip()


def test_translation_and_transcript_of_one_film_are_not_mixed_up(fake_bazarr: RunningServer) -> None:
    film = new_film(1.0)
    bodies = [post(fake_bazarr.port, asr_target(task=task), film).body for task in ("transcribe", "translate") * 2]
    assert [b"window" in body for body in bodies] == [True, False] * 2
    assert [b"translated" in body for body in bodies] == [False, True] * 2


def test_failed_film_is_tried_again(start_server: StartServer, tmp_path: Path) -> None:
    film, target = new_film(1.0), asr_target(prompt="fail")
    with start_server("asr", **FAKE) as server:
        answers = [post(server.port, target, film) for _ in range(2)]
        assert [answer.status for answer in answers] == [500, 500]
        assert [json.loads(answer.body)["error"]["type"] for answer in answers] == ["server_error"] * 2
        # A crash costs no more than a second try of the engine: the client does not notice.
        crashing = asr_target(prompt=f"crash-once={tmp_path}/crashed")
        assert post(server.port, crashing, film).body.strip().endswith(b"window 1.0 s.")
    assert (tmp_path / "crashed").exists()


def test_language_is_found_once_for_equal_films(fake_bazarr: RunningServer) -> None:
    film = new_film(100.0)
    answers: list[Answer] = []
    started = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        answers += threads.map(lambda _: post(fake_bazarr.port, DETECT, film), range(3))
    answers.append(post(fake_bazarr.port, DETECT, film))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert time.monotonic() - started < 20
    assert "job=cached" in fake_bazarr.log.read_text()


def test_a_film_is_among_the_jobs_and_can_be_cancelled(server: AbstractContextManager[RunningServer]) -> None:
    film, target = new_film(60.0), asr_target(prompt="sleep=1")
    with server as running, ThreadPoolExecutor(1) as threads, running.http() as client:
        answer = threads.submit(post, running.port, target, film)
        wait_until(lambda: client.get("/v1/jobs").json()["data"], 20, "the film is listed")
        (job,) = client.get("/v1/jobs").json()["data"]
        assert (job["background"], job["task"], job["response_format"]) == (False, "transcribe", "srt")
        assert job["bytes"] == len(film)
        assert client.delete(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
        told = answer.result(20)
        # By the status while it has not gone out, then by an end in the middle: never as subtitles.
        assert told.status == 409 or not told.is_complete
        assert client.get("/v1/jobs").json()["data"] == []
        running.expect_no_uploads()
