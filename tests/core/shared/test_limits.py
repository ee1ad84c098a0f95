"""Limits that count over all replicas, and over one where the store is away."""

import asyncio

import httpx2
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from core.shared.conftest import Pair
from redis_server import RedisServer
from voice_stack.core.http.limits import Allowance, RequestLimits
from voice_stack.core.shared.limits import Lease, SharedLimits
from voice_stack.core.shared.state import SharedState


class Replica:
    """A replica behind limits, whose requests last until they are let go."""

    def __init__(self, state: SharedState, allowance: Allowance) -> None:
        self.may_end, self.began = asyncio.Event(), asyncio.Event()
        self.limits = RequestLimits(self._answer, allowance, lambda _path: True, state)
        transport = httpx2.ASGITransport(app=self._serve, client=("192.0.2.1", 1))
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://x")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {}
        await self.limits(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/long":
            self.began.set()
            await self.may_end.wait()
        await PlainTextResponse("served")(scope, receive, send)

    async def status(self, path: str = "/") -> int:
        return (await self.client.get(path)).status_code


async def test_requests_a_minute_are_counted_over_all_replicas(pair: Pair) -> None:
    one, other = (Replica(state, Allowance(per_minute=3)) for state in pair)
    assert [await replica.status() for replica in (one, other, one, other)] == [200, 200, 200, 429]
    refused = await one.client.get("/")
    assert (refused.status_code, "Limit 3" in refused.json()["error"]["message"]) == (429, True)
    assert 0 < int(refused.headers["retry-after"]) <= 20


async def test_requests_at_once_are_counted_over_all_replicas(pair: Pair) -> None:
    one, other = (Replica(state, Allowance(at_once=1)) for state in pair)
    long = asyncio.create_task(one.status("/long"))
    await one.began.wait()
    refused = await other.client.get("/")
    assert refused.json()["error"]["code"] == "too_many_open_requests"
    one.may_end.set()
    assert await long == 200
    # The next one is let in as soon as the last is over, wherever it comes.
    assert [await replica.status() for replica in (other, one, other)] == [200, 200, 200]


async def test_what_a_dead_replica_had_open_counts_no_longer(pair: Pair) -> None:
    dead, living = (SharedLimits(state, lease_s=0.3) for state in pair)
    held = await living.open("a", 2)
    assert isinstance(held, Lease)
    assert isinstance(await dead.open("a", 2), Lease)
    assert await living.open("a", 2) == 2
    await pair[0].close()
    dead._renewing.cancel()  # as a kill does
    async with asyncio.timeout(60):
        lease: Lease | int | None = 2
        while not isinstance(lease, Lease):
            await asyncio.sleep(0.05)
            lease = await living.open("a", 2)
    # Its own are renewed meanwhile.
    assert await living.open("a", 2) == 2
    await living.release(lease)
    await living.release(held)


async def test_without_the_store_each_replica_counts_by_itself(pair: Pair, redis_server: RedisServer) -> None:
    one, other = (Replica(state, Allowance(per_minute=2, at_once=1)) for state in pair)
    redis_server.kill()
    try:
        assert [await one.status() for _ in range(3)] == [200, 200, 429]
        assert await other.status() == 200
        long = asyncio.create_task(other.status("/long"))
        await other.began.wait()
    finally:
        redis_server.start()
    other.may_end.set()
    assert await long == 200


async def test_a_spoiled_count_begins_anew(pair: Pair, redis_server: RedisServer) -> None:
    client, name = redis_server.client(), pair[0].name("rate", "a")
    limits = SharedLimits(pair[0])
    for tokens in ("nan", "-5", "1e300", "many"):
        client.hset(name, mapping={"tokens": tokens, "at_s": "soon"})
        assert await limits.take("a", 10) == (True, 9.0)
    client.set(pair[0].name("open", "a"), "text")
    assert await limits.open("a", 1) is None
    assert pair[0].describe()["state"] == "ok"
