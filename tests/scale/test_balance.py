"""Who gets which request: the replica that has the least to do, or the one that the request names."""

import httpx2
import pytest

from scale.balancers import Balancer
from scale.conftest import IS_LONG
from scale.load import CLIP, UNIT_S, load
from scale.replicas import Replica

BUSY = "voice_stack_lane_busy_seconds_total"
LOAD_S = 60 if IS_LONG else 14
MAX_SPREAD = 0.15
NOWHERE = "0" * 32


@pytest.mark.parametrize("name", ["nginx", "envoy"])
async def test_all_replicas_are_busy_for_the_same_time(
    name: str, replicas: list[Replica], balancers: dict[str, Balancer], addresses: list[str]
) -> None:
    before = {kind: [replica.metric(kind, BUSY) for replica in replicas] for kind in ("asr", "tts")}
    logs = await load(balancers[name].url, addresses, LOAD_S)
    for kind, log in logs.items():
        assert not log.failed, log
        busy_s = [replica.metric(kind, BUSY) - was for replica, was in zip(replicas, before[kind], strict=True)]
        print(f"{name}, {kind}: {[round(value, 1) for value in busy_s]} s; {log}")
        assert sum(busy_s) > log.done.total() * UNIT_S  # it was work
        assert max(busy_s) - min(busy_s) < MAX_SPREAD * sum(busy_s) / len(busy_s), (busy_s, log)


@pytest.mark.parametrize("name", ["nginx", "envoy", "traefik"])
def test_what_has_an_id_leads_back_to_its_replica(
    name: str, replicas: list[Replica], balancers: dict[str, Balancer]
) -> None:
    jobs: dict[str, str] = {}
    with httpx2.Client(base_url=balancers[name].url, timeout=60, trust_env=False) as client:
        while len(set(jobs.values())) < len(replicas):
            form = {"model": "whisper-1", "background": "true"}
            sent = client.post("/v1/audio/transcriptions", data=form, files={"file": ("clip.wav", CLIP)})
            assert sent.status_code == 202, sent.text
            jobs[sent.json()["id"]] = sent.headers["x-replica"]
        for job, replica in jobs.items():
            found = client.get(f"/asr/v1/jobs/{job}")
            assert (found.status_code, found.headers["x-replica"]) == (200, replica), found.text
        listed = client.get("/asr/v1/jobs", headers={"x-replica": "r7"})
        assert {job["id"] for job in listed.json()["data"]} >= {job for job, where in jobs.items() if where == "r7"}
        unknown = client.get(f"/asr/v1/jobs/job_r9_{NOWHERE}")
        assert unknown.status_code == 404
        assert "'r9'" in unknown.json()["error"]["message"]
