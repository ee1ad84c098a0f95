"""What servers keep: jobs when one client sends many and when the disk is full, records and keys that are damaged."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import psutil
import pytest

from cli.commands import doctor
from cli.conftest import environment as environment
from e2e.sound import tone
from e2e.test_jobs import FAKE, await_status, change, error, job, kept, submit
from running_server import RunningServer, wait_until
from voice_stack.core.http.keys import KeyFile, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
URL = "/v1/audio/transcriptions"
SLEEP = {"prompt": "sleep=600", "language": "en"}


def send(client: httpx2.Client, length_s: float = 1.0, key: str = "", **fields: str) -> httpx2.Response:
    form = {"model": "whisper-1", "background": "true", **fields}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return client.post(URL, data=form, files={"file": ("a.wav", tone(length_s))}, headers=headers)


def test_jobs_that_are_over_take_no_places(start_server: StartServer) -> None:
    with start_server("asr", ASR_MAX_JOBS="4", **FAKE) as server, server.http() as client:
        ids = []
        for _ in range(12):
            ids.append(submit(client))
            await_status(client, ids[-1], "completed")
        for _ in range(6):
            ids.append(submit(client, **SLEEP))
            assert client.delete(f"/v1/jobs/{ids[-1]}").json()["status"] == "cancelled"
        ids.append(submit(client))
        await_status(client, ids[-1], "completed")
        kept = [found["id"] for found in client.get("/v1/jobs").json()["data"]]
        # The oldest are forgotten when a job is taken; that one is over by now, too.
        assert kept == ids[: -len(kept) - 1 : -1]
        assert 4 <= len(kept) <= 5
        assert client.get(f"/v1/jobs/{ids[0]}").status_code == 404


def test_big_results_make_room_for_new_jobs(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), "ASR_MAX_JOBS_MB": "1", **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        big, small = submit(client), submit(client)
        for job_id in (big, small):
            await_status(client, job_id, "completed")
    change(tmp_path / "jobs", "UPDATE jobs SET result = CAST(result || ? AS BLOB) WHERE id = ?", " " * (1 << 20), big)
    with start_server("asr", **folder) as server, server.http() as client:
        assert client.get(f"/v1/jobs/{big}/result").status_code == 200
        await_status(client, submit(client), "completed")
        assert client.get(f"/v1/jobs/{big}").status_code == 404
        assert client.get(f"/v1/jobs/{small}/result").status_code == 200


def test_one_key_has_half_of_the_places(start_server: StartServer, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    keys = {}
    for name in ("ann", "bob"):
        keys[name], record = make_key(name, ["asr"])
        file.add(record)
    settings = {**FAKE, "ASR_MAX_JOBS": "6", "API_KEYS_FILE": str(file.path)}
    with start_server("asr", **settings) as server, server.http() as client:
        for _ in range(3):
            assert send(client, key=keys["ann"], **SLEEP).status_code == 202
        refused = send(client, key=keys["ann"], **SLEEP)
        assert error(refused, 429)["code"] == "too_many_jobs"
        assert int(refused.headers["retry-after"]) > 0
        answers = [send(client, key=keys["bob"], **SLEEP) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202] * 3
        assert "(ASR_MAX_JOBS)" in error(send(client, key=keys["bob"]), 507)["message"]
        bearer = {"authorization": f"Bearer {keys['ann']}"}
        client.delete(f"/v1/jobs/{answers[0].json()['id']}", headers=bearer)
        assert send(client, key=keys["bob"], **SLEEP).status_code == 202


def test_one_address_has_half_of_the_disk(start_server: StartServer) -> None:
    with start_server("asr", ASR_MAX_JOBS_MB="2", **FAKE) as server, server.http() as client:
        # The first may be larger than the half.
        assert send(client, 40.0, **SLEEP).status_code == 202
        assert error(send(client, 1.0), 429)["code"] == "too_many_jobs"


def test_results_are_not_lost_because_somebody_else_sends_much(start_server: StartServer, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    keys = {}
    for name in ("ann", "bob"):
        keys[name], record = make_key(name, ["asr"])
        file.add(record)
    settings = {**FAKE, "ASR_MAX_JOBS": "4", "API_KEYS_FILE": str(file.path)}
    with start_server("asr", **settings) as server, server.http() as client:
        client.headers["authorization"] = f"Bearer {keys['ann']}"
        first = submit(client)
        await_status(client, first, "completed")
        client.headers["authorization"] = f"Bearer {keys['bob']}"
        for _ in range(10):
            await_status(client, submit(client), "completed")
        assert client.get(f"/v1/jobs/{first}/result").status_code == 200


@pytest.mark.parametrize(("room_bytes", "length_s"), [(0, 2.0), (4 * 4120, 60.0)])
def test_end_on_a_full_disk_is_the_same_after_a_restart(
    start_server: StartServer, tmp_path: Path, room_bytes: int, length_s: float
) -> None:
    """Without room not even the record fits, with a little of it the result alone does not."""
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        failed = submit(client, length_s, prompt="sleep=0.05", language="en")
        cancelled = submit(client, 200.0, prompt="sleep=1", language="en")
        await_status(client, failed, "running")
        limit_bytes = (tmp_path / "jobs" / "jobs.sqlite-wal").stat().st_size + room_bytes
        # Nobody takes this limit back: the server is killed under it.
        psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        told = await_status(client, failed, "failed", "completed")
        assert told["status"] == "failed", told
        assert told["error"]["code"] == "storage_full"  # type: ignore[index]
        assert client.delete(f"/v1/jobs/{cancelled}").json()["status"] == "cancelled"
        server.process.kill()
        server.process.wait(10)
    with start_server("asr", **folder) as server, server.http() as client:
        assert await_status(client, failed, "failed", "completed")["status"] == "failed"
        again = await_status(client, cancelled, "failed", "cancelled", "completed", timeout_s=10)
        assert again["status"] in {"failed", "cancelled"}
        if room_bytes:
            assert again["status"] == "cancelled"
            assert job(client, failed)["error"]["code"] == "storage_full"  # type: ignore[index]
        await_status(client, submit(client), "completed")
        names = {path.name for path in (tmp_path / "jobs").rglob("*") if path.is_file()}
        assert names <= {".lock", "jobs.sqlite", "jobs.sqlite-wal"}


def test_end_is_written_when_the_disk_has_room_again(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        cancelled = submit(client, **SLEEP)
        await_status(client, cancelled, "running")
        with server.file_limit(10):
            client.delete(f"/v1/jobs/{cancelled}")
            assert job(client, cancelled)["status"] == "cancelled"
        assert kept(tmp_path / "jobs", cancelled)["status"] == "running"
    assert kept(tmp_path / "jobs", cancelled)["status"] == "cancelled"


@pytest.mark.parametrize("content", [b'{"id": "job_', b"\0" * 500, b"", b"[" * 100_000, b'{"id": "job_1"}', None])
def test_unreadable_record_keeps_its_upload(
    start_server: StartServer, environment: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        torn, other = submit(client, **SLEEP), submit(client)
        await_status(client, torn, "running")
        server.process.kill()
        server.process.wait(10)
    upload = (tmp_path / "jobs" / f"{torn}.upload").read_bytes()
    if content is None:
        content = json.dumps({**kept(tmp_path / "jobs", torn), "id": "job_" + "0" * 32}).encode()
    change(tmp_path / "jobs", "UPDATE jobs SET record = ? WHERE id = ?", content, torn)
    with start_server("asr", **folder, ASR_MAX_JOBS="1") as server, server.http() as client:
        await_status(client, other, "completed")
        assert client.get(f"/v1/jobs/{torn}").status_code == 404
        await_status(client, submit(client), "completed")
        assert torn in server.log.read_text()
    aside = tmp_path / "jobs" / f"{torn}.unreadable"
    assert (aside / "upload").read_bytes() == upload
    assert (aside / "job.json").read_bytes() == content
    _, rows = doctor(environment | folder)
    assert rows["background jobs"]["status"] == "WARN"
    assert rows["background jobs"]["detail"].startswith("1 jobs")


def _zeros(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 4096)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all, but long enough to be looked at" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        _zeros,
    ],
    ids=["other", "short", "zeros"],
)
def test_damaged_database_is_put_aside_with_the_uploads(
    start_server: StartServer, environment: dict[str, str], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        lost = submit(client, **SLEEP)
        await_status(client, lost, "running")
    upload = (tmp_path / "jobs" / f"{lost}.upload").read_bytes()
    damage(tmp_path / "jobs" / "jobs.sqlite")
    content = (tmp_path / "jobs" / "jobs.sqlite").read_bytes()
    for is_first in (True, False):
        with start_server("asr", **folder) as server, server.http() as client:
            assert client.get(f"/v1/jobs/{lost}").status_code == 404
            await_status(client, submit(client), "completed")
            assert ("database put aside" in server.log.read_text()) == is_first
    # But for the head, which has a counter.
    assert (tmp_path / "jobs" / "jobs.sqlite.unreadable").read_bytes()[100:] == content[100:]
    assert (tmp_path / "jobs" / f"{lost}.unreadable").read_bytes() == upload
    _, rows = doctor(environment | folder)
    assert rows["background jobs"]["status"] == "WARN"
    assert rows["background jobs"]["detail"].startswith("2 jobs or databases")


def test_database_of_a_newer_version_is_left_alone(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"ASR_JOBS_DIR": str(tmp_path / "jobs"), **FAKE}
    with start_server("asr", **folder) as server, server.http() as client:
        await_status(client, submit(client), "completed")
    change(tmp_path / "jobs", "PRAGMA user_version = 99")
    with start_server("asr", **folder) as server, server.http() as client:
        assert "newer version" in error(send(client), 500)["message"]
        server.expect_no_uploads()


def ask(client: httpx2.Client, key: str = "", path: str = "/v1/models") -> httpx2.Response:
    return client.get(path, headers={"authorization": f"Bearer {key}"} if key else {})


def test_a_first_file_of_keys_that_is_damaged_opens_nothing(
    start_server: StartServer, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    with start_server("asr", **FAKE, API_KEYS_FILE=str(path)) as server, server.http() as client:
        assert ask(client).status_code == 200
        path.write_text('{"version": 1,\n "keys": [\n  {"id": "key_0",,\n')
        wait_until(lambda: ask(client).status_code != 200, 5, "the file is seen")
        for answer in (ask(client), ask(client, "some-key"), send(client)):
            assert error(answer, 503)["code"] == "keys_unreadable"
            assert str(path) not in answer.text
        assert {client.get(open_path).status_code for open_path in ("/health", "/ready", "/docs")} == {200}
        code, rows = doctor(environment | {"API_KEYS_FILE": str(path)})
        told = rows["access (ASR_HOST)"]
        assert (code, told["status"]) == (1, "FAIL")
        assert str(path) in told["detail"]
        assert "line 3" in told["detail"]
        path.unlink()
        wait_until(lambda: ask(client).status_code == 401, 5, "the file is gone: keys are needed all the same")
        key, record = make_key("ann", ["asr"])
        KeyFile(path).add(record)
        wait_until(lambda: ask(client, key).status_code == 200, 5, "the key is known")
        assert ask(client).status_code == 401


def test_a_first_file_of_keys_that_cannot_be_read_opens_nothing(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with start_server("asr", **FAKE, API_KEYS_FILE=str(path)) as server, server.http() as client:
        path.mkdir()
        wait_until(lambda: ask(client).status_code == 503, 5, "it is seen")
        path.rmdir()
        key, record = make_key("ann", ["asr"])
        KeyFile(path).add(record)
        wait_until(lambda: ask(client, key).status_code == 200, 5, "the key is known")


def test_plain_keys_go_on_beside_a_damaged_file(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    settings = {"API_KEYS_FILE": str(path), "API_KEYS": "a-plain-key-of-the-environment", **FAKE}
    with start_server("asr", **settings) as server, server.http() as client:
        path.write_text("{")
        wait_until(lambda: "the keys stay as they were" in _seen(client, server), 5, "the damage is told")
        assert ask(client, settings["API_KEYS"]).status_code == 200
        assert ask(client).status_code == 401


def _seen(client: httpx2.Client, server: RunningServer) -> str:
    ask(client)
    return server.log.read_text()
