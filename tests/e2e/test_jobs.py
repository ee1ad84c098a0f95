"""Background jobs over HTTP: taken, watched, fetched, cancelled; and the requests that are waited for."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx2
import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
LONG_S = 40.0
"""More than half a MiB of WAV, so that the length is known from the start."""


def submit(client: httpx2.Client, length_s: float = 2.0, *, route: str = "transcriptions", **fields: str) -> str:
    answer = client.post(
        f"/v1/audio/{route}",
        data={"model": "whisper-1", "background": "true", **fields},
        files={"file": ("film.wav", tone(length_s))},
    )
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/jobs/{job_id}"
    return str(job_id)


def job(client: httpx2.Client, job_id: str) -> dict[str, object]:
    answer = client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def await_status(client: httpx2.Client, job_id: str, *wanted: str, timeout_s: float = 30) -> dict[str, object]:
    wait_until(lambda: job(client, job_id)["status"] in wanted, timeout_s, f"{job_id} is {wanted}")
    return job(client, job_id)


def error(answer: httpx2.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["error"])


def change(folder: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """What SQL gives on a server's database after it was killed or stopped."""
    with closing(sqlite3.connect(folder / "jobs.sqlite")) as database, database:
        return database.execute(statement, values).fetchall()


def kept(folder: Path, job_id: str) -> dict[str, object]:
    """The record of a job on disk; the server may be at work: its files are copied."""
    with tempfile.TemporaryDirectory() as copy:
        for path in folder.glob("jobs.sqlite*"):
            shutil.copy(path, copy)
        ((record,),) = change(Path(copy), "SELECT record FROM jobs WHERE id = ?", job_id)
    return dict(json.loads(str(record) if isinstance(record, str) else bytes(record)))  # type: ignore[call-overload]


def test_result_comes_in_every_format_asked_for(fake_asr: RunningServer) -> None:
    with fake_asr.http() as client:
        job_id = submit(client, 3.0, response_format="srt", language="en")
        done = await_status(client, job_id, "completed")
        assert done["object"] == "transcription.job"
        assert (done["percent"], done["eta_s"], done["total_s"]) == (100.0, 0.0, 3.0)
        assert done["filename"] == "film.wav"
        assert done["language"] == "en"
        result = str(done["result_url"])
        assert client.get(result).text.startswith("1\n00:00:00,000 --> ")
        assert client.get(result, params={"response_format": "vtt"}).text.startswith("WEBVTT\n")
        verbose = client.get(result, params={"response_format": "verbose_json"}).json()
        assert verbose["duration"] == 3.0
        assert verbose["text"] == client.get(result, params={"response_format": "text"}).text.strip()
        assert "tape" in error(client.get(result, params={"response_format": "tape"}), 400)["message"]


def test_result_is_what_the_same_request_answers_at_once(fake_asr: RunningServer) -> None:
    fields = {"model": "whisper-1", "response_format": "verbose_json", "language": "en"}
    words = fields | {"timestamp_granularities[]": "word"}
    with fake_asr.http() as client:
        direct = client.post("/v1/audio/transcriptions", data=words, files={"file": ("a.wav", tone(4.5))})
        job_id = submit(client, 4.5, **words)
        await_status(client, job_id, "completed")
        kept = client.get(f"/v1/jobs/{job_id}/result")
    assert kept.json()["words"]
    assert kept.json() == direct.json()
    assert kept.headers["content-type"] == direct.headers["content-type"]


def test_openai_s_sdk_can_send_jobs(fake_asr: RunningServer) -> None:
    with fake_asr.openai() as sdk, fake_asr.http() as client:
        answer = sdk.audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=("a.wav", tone(2.0)), extra_body={"background": "true"}
        )
        assert answer.status_code == 202
        await_status(client, json.loads(answer.text)["id"], "completed")


def test_translation_may_be_a_job(fake_asr: RunningServer) -> None:
    with fake_asr.http() as client:
        job_id = submit(client, route="translations")
        assert await_status(client, job_id, "completed")["task"] == "translate"


def test_progress_and_what_is_left_are_told(start_server: StartServer) -> None:
    with start_server("asr", **FAKE) as server, server.http() as client:
        job_id, _, waiting = (submit(client, LONG_S, prompt="sleep=0.06", language="en") for _ in range(3))
        wait_until(lambda: job(client, job_id)["eta_s"], 20, "an estimate")
        running = job(client, job_id)
        assert running["status"] == "running"
        assert running["total_s"] == LONG_S
        assert 0 < float(str(running["percent"])) < 100
        assert 0 < float(str(running["eta_s"])) < 60
        assert client.get(f"/v1/jobs/{waiting}").json()["queue_place"] == 1
        counted = [line for line in client.get("/metrics").text.splitlines() if "voice_stack_background_jobs{" in line]
        assert [line.split()[-1] for line in counted] == ["1.0", "2.0"], counted
        code = error(client.get(f"/v1/jobs/{job_id}/result"), 409)["code"]
        assert code == "job_running"
        seen = float(str(running["percent"]))
        wait_until(lambda: float(str(job(client, job_id)["percent"])) > seen, 20, "progress")
        await_status(client, waiting, "completed")


def test_cancelled_job_lets_the_next_one_run_and_can_be_removed(start_server: StartServer) -> None:
    with start_server("asr", **FAKE) as server, server.http() as client:
        endless, other = (submit(client, LONG_S, prompt="sleep=1", language="en") for _ in range(2))
        waiting, next_one = submit(client, prompt="sleep=1"), submit(client)
        await_status(client, endless, "running")
        for job_id in (waiting, endless, other):
            assert client.delete(f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
        await_status(client, next_one, "completed")
        assert server.count_jobs() == (0, 0)
        assert error(client.get(f"/v1/jobs/{endless}/result"), 409)["code"] == "job_cancelled"
        assert client.delete(f"/v1/jobs/{endless}").json() == {
            "id": endless,
            "object": "transcription.job",
            "deleted": True,
        }
        assert error(client.get(f"/v1/jobs/{endless}"), 404)["code"] == "job_not_found"
        client.delete(f"/v1/jobs/{other}")
        assert [found["id"] for found in client.get("/v1/jobs").json()["data"]] == [next_one, waiting]
        newest = client.get("/v1/jobs", params={"limit": 1}).json()
        assert [found["id"] for found in newest["data"]] == [next_one]
        assert newest["has_more"] is True


def test_failed_job_says_why(fake_asr: RunningServer) -> None:
    with fake_asr.http() as client:
        job_id = submit(client, prompt="fail")
        failed = await_status(client, job_id, "failed")
        assert failed["error"]["message"] == "The fake engine was told to fail."  # type: ignore[index]
        answer = error(client.get(f"/v1/jobs/{job_id}/result"), 409)
        assert answer["code"] == "job_failed"
        assert "told to fail" in answer["message"]


def test_file_without_sound_fails_as_it_does_at_once(fake_asr: RunningServer) -> None:
    fields = {"model": "whisper-1", "background": "true"}
    with fake_asr.http() as client:
        answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", b"no sound at all")})
        failed = await_status(client, answer.json()["id"], "failed")
        assert failed["error"]["param"] == "file"  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": "true", "stream": "true"}, "stream"),
        ({"background": "true", "model": "no-such-model"}, "model"),
        ({"background": "true", "response_format": "tape"}, "response_format"),
        ({"background": "true", "webhook_url": "http://127.0.0.1:9/"}, "webhook_url"),
        ({"webhook_url": "http://127.0.0.1:9/"}, "webhook_url"),
        ({"background": "perhaps"}, "background"),
    ],
)
def test_bad_request_is_refused_before_it_becomes_a_job(
    fake_asr: RunningServer, fields: dict[str, str], param: str
) -> None:
    with fake_asr.http() as client:
        before = client.get("/v1/jobs").json()["data"]
        sent = {"model": "whisper-1"} | fields
        answer = client.post("/v1/audio/transcriptions", data=sent, files={"file": ("a.wav", tone(1.0))})
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]["param"] == param
        assert client.get("/v1/jobs").json()["data"] == before
    fake_asr.expect_no_uploads()


@pytest.mark.parametrize("job_id", ["job_" + "0" * 32, "..", "%2e%2e%2f%2e%2e", "job_x", "job_" + "Z" * 32, ".lock"])
def test_unknown_id_is_404(fake_asr: RunningServer, job_id: str) -> None:
    with fake_asr.http() as client:
        for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/result"):
            assert client.get(path).status_code == 404
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 404


def test_full_folder_is_507_with_the_setting_and_frees_up(start_server: StartServer) -> None:
    with start_server("asr", ASR_MAX_JOBS="1", ASR_MAX_JOBS_MB="1", **FAKE) as server, server.http() as client:
        form = {"model": "whisper-1", "background": "true"}

        def refusal(length_s: float) -> str:
            files = {"file": ("a.wav", tone(length_s))}
            return error(client.post("/v1/audio/transcriptions", data=form, files=files), 507)["message"]

        assert "ASR_MAX_JOBS_MB" in refusal(40.0)
        job_id = submit(client, prompt="sleep=2")
        assert "(ASR_MAX_JOBS)" in refusal(1.0)
        await_status(client, job_id, "completed")
        submit(client)


def test_requests_that_are_waited_for_are_seen_and_can_be_cancelled(start_server: StartServer) -> None:
    with start_server("asr", **FAKE) as server, server.http() as client, ThreadPoolExecutor(1) as thread:

        def send() -> httpx2.Response:
            fields = {"model": "whisper-1", "prompt": "sleep=0.2", "language": "en"}
            with server.http() as other:
                files = {"file": ("long.wav", tone(LONG_S))}
                return other.post("/v1/audio/transcriptions", data=fields, files=files)

        answer = thread.submit(send)
        wait_until(lambda: client.get("/v1/jobs").json()["data"], 20, "the request is seen")
        (seen,) = client.get("/v1/jobs").json()["data"]
        assert seen["background"] is False
        assert seen["filename"] == "long.wav"
        wait_until(lambda: (job(client, seen["id"])["percent"] or 0) > 0, 20, "its progress")  # type: ignore[operator]
        assert client.delete(f"/v1/jobs/{seen['id']}").json()["status"] == "cancelled"
        assert error(answer.result(20), 409)["code"] == "job_cancelled"
        assert client.get("/v1/jobs").json()["data"] == []


def test_speech_becomes_text_in_the_background(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    speech = spoken("The weather is nice today.")
    fields = {"model": "whisper-1", "background": "true", "response_format": "text"}
    with asr_server.http() as client:
        answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", speech)})
        await_status(client, answer.json()["id"], "completed", timeout_s=60)
        assert "weather is nice today" in client.get(f"/v1/jobs/{answer.json()['id']}/result").text.lower()
