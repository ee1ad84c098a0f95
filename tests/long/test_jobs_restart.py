"""What becomes of jobs when their server dies, stops, or shares its folder, and when their time is over."""

import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from e2e.sound import tone
from e2e.test_jobs import FAKE, LONG_S, ONE_AT_ONCE, await_status, error, submit
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]


def test_jobs_go_on_after_the_server_was_killed(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **ONE_AT_ONCE}
    with start_server("asr", **folder) as server, server.http() as client:
        done = submit(client, response_format="text")
        await_status(client, done, "completed")
        interrupted = submit(client, LONG_S, prompt="sleep=0.3", language="en")
        waiting = submit(client)
        await_status(client, interrupted, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    assert (tmp_path / "jobs" / interrupted / "upload").exists()
    with start_server("asr", **folder) as server, server.http() as client:
        assert client.get(f"/v1/jobs/{done}/result").text == "window 2.0 s.\n"
        await_status(client, interrupted, "completed")
        text = client.get(f"/v1/jobs/{interrupted}/result", params={"response_format": "text"}).text
        fields = {"model": "whisper-1", "response_format": "text", "language": "en"}
        direct = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", tone(LONG_S))})
        assert text == direct.text
        assert text.count("window") >= LONG_S / 2
        await_status(client, waiting, "completed")
        names = {path.name for path in (tmp_path / "jobs" / interrupted).iterdir()}
        assert names == {"job.json", "result.json"}


def test_damaged_jobs_do_not_keep_the_server_from_starting(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **ONE_AT_ONCE}
    with start_server("asr", **folder) as server, server.http() as client:
        blocking = submit(client, LONG_S, prompt="sleep=1", language="en")
        lost, torn = submit(client), submit(client)
        await_status(client, blocking, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    (tmp_path / "jobs" / lost / "upload").unlink()
    (tmp_path / "jobs" / torn / "job.json").write_text('{"id": "job_')
    record = tmp_path / "jobs" / blocking / "job.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"starts": 3}))
    with start_server("asr", **folder) as server, server.http() as client:
        assert "upload" in await_status(client, lost, "failed")["error"]["message"]  # type: ignore[index]
        assert client.get(f"/v1/jobs/{torn}").status_code == 404
        assert "3 times" in await_status(client, blocking, "failed")["error"]["message"]  # type: ignore[index]
        await_status(client, submit(client), "completed")


def test_stop_of_the_server_is_no_failure_of_its_jobs(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **ONE_AT_ONCE}
    with start_server("asr", **folder) as server, server.http() as client:
        job_id = submit(client, LONG_S, prompt="sleep=0.3", language="en")
        await_status(client, job_id, "running")
    kept = json.loads((tmp_path / "jobs" / job_id / "job.json").read_text())
    assert (kept["status"], kept["starts"]) == ("queued", 0)
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
        kept = submit(client)
        assert not (tmp_path / "jobs" / job_id).exists()
        assert (tmp_path / "jobs" / kept).exists()
