"""Who gets which request: the replica that has the least to do, or the one that the request names."""

import httpx2
import pytest

from scale.balancers import COMMANDS, Balancer
from scale.conftest import IS_LONG
from scale.load import CLIP, UNIT_S, load
from scale.replicas import Replica

BUSY = "voice_stack_lane_busy_seconds_total"
LOAD_S = 60 if IS_LONG else 12
MAX_SPREAD = 0.15
NOWHERE = "0" * 32


async def _measure_spread(replicas: list[Replica], balancer: Balancer, addresses: list[str]) -> float:
    """How far apart the busy seconds of the replicas are under a mixed load, as a part of their mean."""
    before = {kind: [replica.metric(kind, BUSY) for replica in replicas] for kind in ("asr", "tts")}
    logs, spreads = await load(balancer.url, addresses, LOAD_S), []
    for kind, log in logs.items():
        assert not log.failed, log
        busy_s = [replica.metric(kind, BUSY) - was for replica, was in zip(replicas, before[kind], strict=True)]
        assert sum(busy_s) > log.done.total() * UNIT_S  # it was work
        spreads.append((max(busy_s) - min(busy_s)) * len(busy_s) / sum(busy_s))
        print(f"{balancer.name}, {kind}: {[round(value, 1) for value in busy_s]} s, {spreads[-1]:.0%} apart; {log}")
    return max(spreads)


@pytest.mark.parametrize("number", [0, 1], ids=["nginx", "envoy"])  # Traefik compares two of them only
async def test_all_replicas_are_busy_for_the_same_time(
    number: int, replicas: list[Replica], balancers: list[Balancer], addresses: list[str]
) -> None:
    spreads: list[float] = []
    # Where the machine has other things to do, replicas wait for the clients: that is not the balancer's doing.
    while not spreads or (spreads[-1] > MAX_SPREAD and len(spreads) < 3):
        spreads.append(await _measure_spread(replicas, balancers[number], addresses))
    assert spreads[-1] <= MAX_SPREAD, spreads


@pytest.mark.parametrize("number", range(3), ids=COMMANDS)
def test_what_has_an_id_leads_back_to_its_replica(
    number: int, replicas: list[Replica], balancers: list[Balancer]
) -> None:
    jobs: dict[str, str] = {}
    with httpx2.Client(base_url=balancers[number].url, timeout=60, trust_env=False) as client:
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
        # Three replicas have a Voice server; its own requests to the others go through a balancer.
        for _ in range(4):
            made = client.post("/v1/voice/sessions", json={})
            assert made.status_code == 201, made.text
            found = client.get(f"/v1/voice/sessions/{made.json()['id']}")
            assert (found.status_code, found.headers["x-replica"]) == (200, made.headers["x-replica"]), found.text
        assert client.get(f"/v1/jobs/{next(iter(jobs))}").status_code == 200
