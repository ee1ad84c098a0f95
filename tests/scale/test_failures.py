"""Replicas come and go under load: nothing that was asked for is lost."""

import asyncio

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from running_server import wait_until
from scale.balancers import Balancer
from scale.conftest import IS_LONG
from scale.load import CLIP, expect_all_under_load
from scale.network import Machine
from scale.replicas import Replica

LOSSES = ["killed", "unplugged"] if IS_LONG else ["killed"]
RESTARTED = 8 if IS_LONG else 2


async def _open_session(balancer: Balancer, replica: str | None = None) -> tuple[ClientConnection, str]:
    """A live session, with the replica that has it."""
    url = f"{balancer.url.replace('http', 'ws')}/asr/v1/realtime?intent=transcription"
    socket = await connect(url, proxy=None, additional_headers={"x-replica": replica} if replica else None)
    assert socket.response is not None
    return socket, socket.response.headers["x-replica"]


async def test_no_client_notices_that_one_replica_after_the_other_is_restarted(
    replicas: list[Replica], balancers: list[Balancer], addresses: list[str]
) -> None:
    async def restart(replica: Replica) -> None:
        sessions = [await _open_session(balancer, replica.name) for balancer in balancers]
        assert {place for _, place in sessions} == {replica.name}
        replica.begin_stop()
        for balancer, (socket, _) in zip(balancers, sessions, strict=True):
            await asyncio.wait_for(socket.wait_closed(), 30)
            assert socket.close_code == 1001
            again, place = await _open_session(balancer)
            assert place != replica.name
            await again.close()
        await asyncio.to_thread(replica.wait_until_stopped)
        replica.start()
        await asyncio.to_thread(replica.wait_until_ready)

    async def restart_all() -> None:
        for replica in replicas[:RESTARTED]:
            await restart(replica)

    await expect_all_under_load(balancers, addresses, restart_all, retries=0)


def _lose(machine: Machine, how: str) -> None:
    if how == "unplugged":
        machine.unplug()  # so that nobody is told of the end of its connections
    machine.kill()


@pytest.mark.parametrize("how", LOSSES)
async def test_what_a_lost_replica_had_is_done_by_others_and_its_jobs_when_it_is_back(
    how: str, replicas: list[Replica], balancers: list[Balancer], addresses: list[str]
) -> None:
    lost, form = replicas[3], {"model": "whisper-1", "background": "true", "prompt": "sleep=3"}
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
        path, file = "/asr/v1/audio/transcriptions", ("clip.wav", CLIP)
        sent = await client.post(
            balancers[0].url + path, data=form, files={"file": file}, headers={"x-replica": lost.name}
        )
        assert sent.status_code == 202, sent.text
        job = f"/asr/v1/jobs/{sent.json()['id']}"

        async def lose() -> None:
            await asyncio.to_thread(_lose, lost.machine, how)
            for balancer in balancers:
                away = await client.get(balancer.url + job)
                assert away.status_code >= 500, (balancer.name, away.status_code, away.text)

        await expect_all_under_load(balancers, addresses, lose, retries=2)
        lost.machine.plug_in()
        lost.start()
        await asyncio.to_thread(lost.wait_until_ready)
        for balancer in balancers:

            def is_done(url: str = balancer.url + job) -> bool:
                found: dict[str, object] = httpx2.get(url, timeout=30, trust_env=False).json()
                return found.get("status") == "completed"

            await asyncio.to_thread(wait_until, is_done, 60, f"{job} is done, as {balancer.name} tells it")
