"""API processes that are killed in the midst of work: no process stays, no half is served, and jobs go on."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import psutil

from chaos.listening import FAKE_ASR, URL, check_windows, form
from chaos.speaking import FAKE_TTS, TEXTS, ask
from chaos.speaking import URL as SPEECH_URL
from e2e.test_jobs import change
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
ROUNDS = 2
JOBS = 4
JOB_S = 20.0
GONE_TIMEOUT_S = 30.0


def _kill(server: RunningServer) -> None:
    """Kill the API process; its engine processes must end by themselves."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    server.process.wait(10)
    _, alive = psutil.wait_procs(children, GONE_TIMEOUT_S)
    assert alive == [], "processes outlive their server"


def test_jobs_go_on_however_often_the_server_dies(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE_ASR, "ASR_JOBS_DIR": str(tmp_path / "jobs")}
    ids: list[str] = []
    for _ in range(ROUNDS):
        with start_server("asr", **settings) as server:
            with server.http() as client:
                for _ in range(JOBS // ROUNDS):
                    request = form(JOB_S, background="true", prompt="sleep=0.1", language="en")
                    ids.append(client.post(URL, **request).raise_for_status().json()["id"])  # type: ignore[arg-type]
                wait_until(lambda: server.count_jobs()[0], 30, "a job runs")
            _kill(server)
    with start_server("asr", **settings) as server, server.http() as client:
        for job_id in ids:
            wait_until(lambda: _is_over(client, job_id), 90, "the job is over")  # noqa: B023 - awaited in this round
            check_windows(client.get(f"/v1/jobs/{job_id}/result").raise_for_status().json()["text"], JOB_S)
        assert server.count_jobs() == (0, 0)
    left = {path.name for path in (tmp_path / "jobs").rglob("*") if path.is_file()}
    assert left <= {".lock", "jobs.sqlite"}


def _is_over(client: httpx2.Client, job_id: str) -> bool:
    return client.get(f"/v1/jobs/{job_id}").raise_for_status().json()["status"] in {"completed", "failed"}


def test_engine_that_is_busy_ends_with_its_server(start_server: StartServer) -> None:
    with start_server("asr", **FAKE_ASR) as server, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(_ask, server, form(1.0, prompt="sleep=600", language="en"))
        wait_until(lambda: server.count_jobs()[0], 30, "the job runs")
        _kill(server)
        assert asked.result() is None


def test_engine_that_stands_still_ends_with_its_server(start_server: StartServer) -> None:
    with start_server("asr", **FAKE_ASR) as server:
        with server.http() as client:
            client.post(URL, **form(1.0)).raise_for_status()  # type: ignore[arg-type]
        os.kill(server.engine_pid(), signal.SIGSTOP)
        _kill(server)


def _ask(server: RunningServer, request: dict[str, object]) -> httpx2.Response | None:
    """The answer; None where the server went away."""
    try:
        with server.http() as client:
            return client.post(URL, **request)  # type: ignore[arg-type]
    except httpx2.TransportError:
        return None


def test_no_half_speech_is_served_from_the_cache(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE_TTS, "TTS_CACHE_DIR": str(tmp_path / "cache")}
    text = " ".join(f"Sentence number {number} takes sleep=0.1 to say." for number in range(12))
    for round_number in range(ROUNDS):
        with (
            start_server("tts", **settings) as server,
            server.http() as client,
            client.stream("POST", SPEECH_URL, json=ask(text)) as answer,
        ):
            assert answer.headers["x-cache"] != "hit"
            pieces = answer.iter_bytes()  # an iterator that is forgotten closes the connection
            assert next(pieces)
            time.sleep(0.2 * round_number)
            _kill(server)
    with start_server("tts", **settings) as server, server.http() as client:
        right = client.post(SPEECH_URL, json=ask(text, cache=False)).content
        made = client.post(SPEECH_URL, json=ask(text))
        kept = client.post(SPEECH_URL, json=ask(text))
        assert (made.headers["x-cache"], kept.headers["x-cache"]) == ("miss", "hit")
        assert made.content == kept.content == right


def test_damaged_cache_is_made_anew(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE_TTS, "TTS_CACHE_DIR": str(tmp_path / "cache")}
    with start_server("tts", **settings) as server, server.http() as client:
        right = {text: client.post(SPEECH_URL, json=ask(text)).content for text in TEXTS}
        wait_until(lambda: len(list((tmp_path / "cache").glob("*.speech"))) == len(TEXTS), 10, "all are kept")
        _kill(server)
    for number, path in enumerate(sorted((tmp_path / "cache").glob("*.speech"))):
        data = bytearray(path.read_bytes())
        if number % 2:
            del data[len(data) // 2 :]
        else:
            data[len(data) // 3] ^= 0x10
        path.write_bytes(data)
    with start_server("tts", **settings) as server, server.http() as client:
        for text in TEXTS:
            answer = client.post(SPEECH_URL, json=ask(text))
            assert (answer.headers["x-cache"], answer.content) == ("miss", right[text])


def test_result_cut_short_is_no_answer(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE_ASR, "ASR_JOBS_DIR": str(tmp_path / "jobs")}
    with start_server("asr", **settings) as server, server.http() as client:
        job_id = client.post(URL, **form(2.0, background="true")).json()["id"]  # type: ignore[arg-type]
        wait_until(lambda: _is_over(client, job_id), 30, "the job is over")
        _kill(server)
    change(tmp_path / "jobs", "UPDATE jobs SET result = substr(result, 1, length(result) - 20) WHERE id = ?", job_id)
    with start_server("asr", **settings) as server, server.http() as client:
        answer = client.get(f"/v1/jobs/{job_id}/result")
        assert answer.status_code == 500
        assert json.loads(answer.text)["error"]["message"]
        assert client.get(f"/v1/jobs/{job_id}").status_code == 200
        assert "Traceback (most" not in server.log.read_text()
