"""What becomes of jobs when their server dies, stops, or shares its folder, and when their time is over."""

import json
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from e2e.sound import tone
from e2e.test_jobs import FAKE, LONG_S, await_status, change, error, job, kept, submit
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]


def test_jobs_go_on_after_the_server_was_killed(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        done = submit(client, response_format="text")
        await_status(client, done, "completed")
        interrupted = submit(client, LONG_S, prompt="sleep=0.3", language="en")
        _, waiting = submit(client, prompt="sleep=5", language="en"), submit(client)
        await_status(client, interrupted, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    assert (tmp_path / "jobs" / f"{interrupted}.upload").exists()
    with start_server("asr", **folder) as server, server.http() as client:
        assert client.get(f"/v1/jobs/{done}/result").text == "window 2.0 s.\n"
        await_status(client, interrupted, "completed")
        text = client.get(f"/v1/jobs/{interrupted}/result", params={"response_format": "text"}).text
        fields = {"model": "whisper-1", "response_format": "text", "language": "en"}
        direct = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", tone(LONG_S))})
        assert text == direct.text
        assert text.count("window") >= LONG_S / 2
        await_status(client, waiting, "completed")
        names = {path.name for path in (tmp_path / "jobs").iterdir()}
        assert names == {".lock", "jobs.sqlite", "jobs.sqlite-wal"}


def test_damaged_jobs_do_not_keep_the_server_from_starting(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        blocking, _ = (submit(client, LONG_S, prompt="sleep=1", language="en") for _ in range(2))
        lost, torn = submit(client), submit(client)
        await_status(client, blocking, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    (tmp_path / "jobs" / f"{lost}.upload").unlink()
    record = json.dumps(kept(tmp_path / "jobs", blocking) | {"starts": 3})
    for job_id, content in ((torn, '{"id": "job_'), (blocking, record)):
        change(tmp_path / "jobs", "UPDATE jobs SET record = ? WHERE id = ?", content, job_id)
    with start_server("asr", **folder) as server, server.http() as client:
        assert "upload" in await_status(client, lost, "failed")["error"]["message"]  # type: ignore[index]
        assert client.get(f"/v1/jobs/{torn}").status_code == 404
        assert "3 times" in await_status(client, blocking, "failed")["error"]["message"]  # type: ignore[index]
        await_status(client, submit(client), "completed")


def test_stop_of_the_server_is_no_failure_of_its_jobs(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        job_id = submit(client, LONG_S, prompt="sleep=0.3", language="en")
        await_status(client, job_id, "running")
    record = kept(tmp_path / "jobs", job_id)
    assert (record["status"], record["starts"]) == ("queued", 0)
    with start_server("asr", **folder) as server, server.http() as client:
        await_status(client, job_id, "completed")


def test_second_server_on_the_folder_refuses_jobs(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as first, first.http() as client:
        job_id = submit(client)
        with start_server("asr", **folder) as second, second.http() as other:
            fields = {"model": "whisper-1", "background": "true"}
            answer = other.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", tone(1.0))})
            assert error(answer, 500)["code"] == "jobs_dir_in_use"
        await_status(client, job_id, "completed")


def test_finished_jobs_are_forgotten_after_their_time(start_server: StartServer, tmp_path: Path) -> None:
    settings = {"ASR_JOBS_KEEP_H": "0.0005", "ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **settings) as server, server.http() as client:
        job_id = submit(client)
        wait_until(lambda: client.get(f"/v1/jobs/{job_id}").status_code == 404, 20, "the job is forgotten")
        fresh = submit(client)
        await_status(client, fresh, "completed")
        with pytest.raises(ValueError, match="not enough values"):
            kept(tmp_path / "jobs", job_id)
        assert kept(tmp_path / "jobs", fresh)


def test_jobs_of_a_version_without_a_database_are_taken_over(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        done = submit(client, response_format="text")
        await_status(client, done, "completed")
        running = submit(client, prompt="sleep=600", language="en")
        waiting, bare, torn = submit(client), submit(client), submit(client)
        await_status(client, running, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    # As the earlier version kept them: a folder each.
    old = tmp_path / "jobs"
    for job_id, record, result in change(old, "SELECT id, CAST(record AS TEXT), result FROM jobs"):
        (place := old / str(job_id)).mkdir()
        fields = json.loads(str(record))
        del fields["result_bytes"]
        (place / "job.json").write_text(json.dumps(fields))
        if isinstance(result, bytes):
            (place / "result.json").write_bytes(result)
        else:
            (old / f"{job_id}.upload").rename(place / "upload")
    (old / "jobs.sqlite").unlink()
    record = old / running / "job.json"
    record.write_text(record.read_text().replace("sleep=600", "sleep=0"))
    (old / bare / "job.json").unlink()
    (old / torn / "job.json").write_text("{")
    # The same folder once more, as if the server had died when it had taken it over but not removed it yet.
    shutil.copytree(old / done, tmp_path / "again")
    with start_server("asr", **folder) as server, server.http() as client:
        assert client.get(f"/v1/jobs/{done}/result").text == "window 2.0 s.\n"
        for job_id in (running, waiting):
            await_status(client, job_id, "completed")
        assert {client.get(f"/v1/jobs/{job_id}").status_code for job_id in (bare, torn)} == {404}
    shutil.copytree(tmp_path / "again", old / done)
    with start_server("asr", **folder) as server, server.http() as client:
        assert [job(client, job_id)["status"] for job_id in (done, running, waiting)] == ["completed"] * 3
        assert client.get(f"/v1/jobs/{running}/result").status_code == 200
    assert {path.name for path in old.iterdir()} == {".lock", "jobs.sqlite", f"{torn}.unreadable"}
    assert {path.name for path in (old / f"{torn}.unreadable").iterdir()} == {"job.json", "upload"}
    assert (old / "jobs.sqlite").stat().st_mode & 0o777 == 0o600
