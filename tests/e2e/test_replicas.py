"""Replicas with names: ids say who knows them, and who does not know one says where it belongs."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2
from websockets.sync.client import connect

from e2e.sound import tone
from e2e.test_jobs import FAKE, await_status, submit
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
OF_R3 = re.compile("(job|sess)_r3_[0-9a-f]{32}")


def _expect_elsewhere(answer: httpx2.Response) -> None:
    assert answer.status_code == 404, answer.text
    assert "of replica 'eu-5', and this is replica 'r3'" in answer.json()["error"]["message"]


def _open_request(client: httpx2.Client) -> str:
    """The id of a request that somebody waits for, while it is at work."""
    found: list[str] = []

    def look() -> bool:
        jobs = client.get("/v1/jobs").json()["data"]
        found.extend(job["id"] for job in jobs if not job["background"])
        return bool(found)

    wait_until(look, 20, "it is listed")
    return found[0]


def test_ids_of_the_asr_server_name_its_replica(start_server: StartServer) -> None:
    with start_server("asr", REPLICA="r3", **FAKE) as server, server.http() as client:
        job_id = submit(client)
        assert OF_R3.fullmatch(job_id)
        await_status(client, job_id, "completed")
        with ThreadPoolExecutor(1) as threads:
            data = {"model": "whisper-1", "prompt": "sleep=60"}
            waiting = threads.submit(
                client.post, "/v1/audio/transcriptions", data=data, files={"file": ("a.wav", tone(1.0))}
            )
            request_id = _open_request(client)
            assert OF_R3.fullmatch(request_id)
            client.delete(f"/v1/jobs/{request_id}")
            assert waiting.result().headers["x-replica"] == "r3"
        with connect(f"ws://127.0.0.1:{server.port}/v1/realtime?intent=transcription") as socket:
            assert socket.response is not None
            assert socket.response.headers["x-replica"] == "r3"
            session_id = json.loads(socket.recv(20))["session"]["id"]
        assert OF_R3.fullmatch(session_id)

        for path in ("jobs/{}", "jobs/{}/result"):
            _expect_elsewhere(client.get("/v1/" + path.format(job_id.replace("r3", "eu-5"))))
        _expect_elsewhere(client.get(f"/v1/realtime/sessions/{session_id.replace('r3', 'eu-5')}/transcript"))
        own = client.get(f"/v1/jobs/job_r3_{'0' * 32}").json()["error"]
        assert (own["code"], "replica" in own["message"]) == ("job_not_found", False)
        assert client.get("/status").json()["replica"] == "r3"
