"""Engines that hang, stand still, or die at every start: the server says so, ends them, and works on."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import httpx2
import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "ASR_WINDOW_S": "2"}
SOUND = tone(1.0)


def send(server: RunningServer, prompt: str = "") -> httpx2.Response:
    with server.http() as client:
        form = {"model": "whisper-1", "prompt": prompt, "language": "en"}
        return client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", SOUND)})


@pytest.fixture(scope="module")
def hasty(start_server: StartServer) -> Iterator[RunningServer]:
    """A server whose engine may take three seconds for a window, and be silent as long."""
    with start_server("asr", ASR_ENGINE_TIMEOUT_S="3", **FAKE) as server:
        send(server)
        yield server


def test_work_that_never_ends_fails_and_nobody_else_does(hasty: RunningServer) -> None:
    with ThreadPoolExecutor(2) as threads:
        stuck = threads.submit(send, hasty, "hang")
        wait_until(lambda: hasty.count_jobs()[0], 15, "the job runs")
        other = threads.submit(send, hasty, "another")
        assert other.result().json()["text"] == "window 1.0 s."
        answer = stuck.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_crashed")
    assert "stuck" in answer.json()["error"]["message"]
    assert send(hasty).status_code == 200


def test_an_engine_that_stands_still_is_replaced(hasty: RunningServer) -> None:
    before = hasty.engine_pid()
    assert before is not None

    def is_replaced() -> bool:
        pid = hasty.engine_pid()
        if pid == before:
            # It may be gone by now, and its server about to learn it.
            with suppress(ProcessLookupError):
                os.kill(before, signal.SIGSTOP)
        return pid not in {None, before}

    with ThreadPoolExecutor(1) as threads:
        os.kill(before, signal.SIGSTOP)
        answer = threads.submit(send, hasty)
        wait_until(is_replaced, 60, "another engine process")
        assert answer.result().json()["text"] == "window 1.0 s."
    assert "no sign of life" in hasty.log.read_text()


def test_what_kills_one_engine_twice_another_one_does(start_server: StartServer, tmp_path: Path) -> None:
    with start_server("asr", **(FAKE | {"ASR_FALLBACK_MODEL": "spare"})) as server:
        answer = send(server, f"crash-once={tmp_path}/first crash-once={tmp_path}/second")
        assert (answer.status_code, answer.headers["x-fallback-model"]) == (200, "spare"), answer.text
        assert answer.json()["text"] == "window 1.0 s."
        both = send(server, "fail")
        assert (both.status_code, both.json()["error"]["message"]) == (500, "The fake engine was told to fail.")
        assert server.log.read_text().count("the fall-back model does the job") == 2


def test_an_engine_that_dies_at_every_start_is_left_alone_until_it_is_well(
    start_server: StartServer, tmp_path: Path
) -> None:
    with start_server("asr", **(FAKE | {"ASR_MODEL": "broken", "MODEL_DIR": str(tmp_path)})) as server:
        with server.http() as client:
            answers = [send(server) for _ in range(5)]
            assert [answer.json()["error"]["code"] for answer in answers[:4]] == ["model_load_failed"] * 4
            refused = answers[4]
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_unavailable")
            assert "the fake model is broken" in refused.json()["error"]["message"]
            assert 1 <= int(refused.headers["retry-after"]) <= 5
            unready = client.get("/ready")
            assert unready.status_code == 503
            assert "fake/broken" in unready.json()["error"]["message"]
            (tmp_path / "repaired").touch()
            wait_until(lambda: client.get("/ready").status_code == 200, 30, "the pause is over")
        assert send(server).status_code == 200
        assert send(server).status_code == 200
