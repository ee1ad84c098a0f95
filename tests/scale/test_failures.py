"""Replicas come and go under load: nothing that was asked for is lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from running_server import wait_until
from scale.balancers import Balancer
from scale.conftest import IS_LONG
from scale.load import CLIP, Log, load
from scale.replicas import Replica

LOAD_S = 60 if IS_LONG else 12
BEFORE_S = 2
"""Of load before anything happens."""
RESTARTED = 8 if IS_LONG else 2


async def _under_load(
    balancers: dict[str, Balancer], addresses: Sequence[str], retries: int, happen: Callable[[], Awaitable[None]]
) -> dict[str, Log]:
    """Let something happen while nginx and Envoy each have half of the clients; their logs, `nginx asr` and so on."""
    half, is_over = len(addresses) // 2, asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = {
            name: group.create_task(load(balancers[name].url, some, LOAD_S, retries=retries, is_over=is_over))
            for name, some in (("nginx", addresses[:half]), ("envoy", addresses[half:]))
        }
        await asyncio.sleep(BEFORE_S)
        await happen()
        is_over.set()
    return {f"{name} {kind}": log for name, task in tasks.items() for kind, log in task.result().items()}


def _expect_all(logs: dict[str, Log]) -> None:
    for name, log in logs.items():
        print(f"{name}: {log}")
    assert not [failed for log in logs.values() for failed in log.failed], {
        name: str(log) for name, log in logs.items()
    }


async def test_no_client_notices_a_restart(
    replicas: list[Replica], balancers: dict[str, Balancer], addresses: list[str]
) -> None:
    async def restart_one_after_the_other() -> None:
        for replica in replicas[:RESTARTED]:
            replica.begin_stop()
            await asyncio.to_thread(replica.wait_until_stopped)
            replica.start()
            await asyncio.to_thread(replica.wait_until_ready)

    logs = await _under_load(balancers, addresses, 0, restart_one_after_the_other)
    _expect_all(logs)


async def test_what_a_killed_replica_had_is_done_by_others(
    replicas: list[Replica], balancers: dict[str, Balancer], addresses: list[str]
) -> None:
    killed = replicas[3]

    async def kill() -> None:
        await asyncio.to_thread(killed.kill)
        await asyncio.sleep(4)

    logs = await _under_load(balancers, addresses, 2, kill)
    _expect_all(logs)
    killed.start()
    killed.wait_until_ready()


async def test_a_job_waits_for_its_replica(replicas: list[Replica], balancers: dict[str, Balancer]) -> None:
    form = {"model": "whisper-1", "background": "true", "prompt": "sleep=3"}
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
        sent = await client.post(
            f"{balancers['nginx'].url}/v1/audio/transcriptions", data=form, files={"file": ("clip.wav", CLIP)}
        )
        assert sent.status_code == 202, sent.text
        replica, job = replicas[int(sent.headers["x-replica"][1:])], f"/asr/v1/jobs/{sent.json()['id']}"
        replica.kill()
        for balancer in balancers.values():
            away = await client.get(balancer.url + job)
            assert away.status_code in {502, 503}, (balancer.name, away.status_code, away.text)
        replica.start()
        await asyncio.to_thread(replica.wait_until_ready)
        for balancer in balancers.values():

            def is_done(url: str = balancer.url + job) -> bool:
                found: dict[str, object] = httpx2.get(url, timeout=30, trust_env=False).json()
                return found.get("status") == "completed"

            await asyncio.to_thread(wait_until, is_done, 60, f"{job} is done, as {balancer.name} tells it")


async def _replica_of(socket: ClientConnection) -> str:
    await asyncio.wait_for(socket.recv(), 30)
    assert socket.response is not None
    return socket.response.headers["x-replica"]


@pytest.mark.parametrize("name", ["nginx", "envoy"])
async def test_a_socket_ends_with_1001_and_the_next_is_with_another_replica(
    name: str, replicas: list[Replica], balancers: dict[str, Balancer]
) -> None:
    url = f"{balancers[name].url.replace('http', 'ws')}/asr/v1/realtime?intent=transcription"
    sockets = [await connect(url, proxy=None) for _ in replicas]
    places = [await _replica_of(socket) for socket in sockets]
    assert max(Counter(places).values()) <= 2  # one that was just started may not be asked yet
    stopped = replicas[int(places[0][1:])]
    stopped.begin_stop()
    for socket, place in zip(sockets, places, strict=True):
        if place == stopped.name:
            await asyncio.wait_for(socket.wait_closed(), 30)
            assert socket.close_code == 1001
            again = await connect(url, proxy=None)
            assert await _replica_of(again) != stopped.name
            await again.close()
        else:
            await socket.ping()
            await socket.close()
    await asyncio.to_thread(stopped.wait_until_stopped)
    stopped.start()
    await asyncio.to_thread(stopped.wait_until_ready)
