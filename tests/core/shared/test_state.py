"""What replicas share: it comes back as it was or not at all, and nobody fails where the store does."""

import asyncio
import secrets
import zlib
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr, TypeAdapter

from core.shared.conftest import REST_S, Pair
from redis_server import RedisServer
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.shared.state import SharedState
from voice_stack.core.shared.values import MAX_BYTES, MAX_PLAIN_BYTES, SharedLists, SharedValues

SHAPE = TypeAdapter(dict[str, int])


def values(state: SharedState, ttl_s: float = 60) -> SharedValues[dict[str, int]]:
    return SharedValues(state, "thing", SHAPE, ttl_s)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while True:
            if await holds():
                return
            await asyncio.sleep(REST_S / 4)


async def test_a_value_is_known_to_the_other_replica_for_its_time(pair: Pair, redis_server: RedisServer) -> None:
    one, other = map(values, pair)
    await one.keep("k", {"a": 1})
    await one.keep("brief", {"a": 2}, ttl_s=0.01)
    assert await other.find("k") == {"a": 1}
    await asyncio.sleep(0.05)
    assert await other.find("brief") is None
    elsewhere = SharedState(SecretStr(redis_server.url), "tts")
    assert await values(elsewhere).find("k") is None  # another kind of server
    await elsewhere.close()
    (name,) = redis_server.client().keys()
    assert name.startswith(b"voice-stack:asr:thing:")
    assert 0 < redis_server.client().ttl(name) <= 60


@pytest.mark.parametrize(
    "poison",
    [
        b"junk",
        b"\x80\x04K\x01.",
        zlib.compress(b'{"a": "b"}'),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"a": 1}')[:-3],
        zlib.compress(b'{"a":' + b" " * MAX_PLAIN_BYTES + b"1}"),
        bytes(MAX_BYTES + 10),
    ],
    ids=["junk", "pickle", "another shape", "deep", "cut", "a bomb", "too large"],
)
async def test_a_poisoned_entry_is_a_miss_and_removed(
    poison: bytes, pair: Pair, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    name, client = pair[0].name("thing", "k"), redis_server.client()
    client.set(name, poison)
    assert await values(pair[0]).find("k") is None
    assert not client.exists(name)
    assert [record.message for record in caplog.records] == ["shared entry is damaged: removed"]
    assert pair[0].describe()["state"] == "ok"


async def test_an_entry_of_another_kind_is_a_miss(pair: Pair, redis_server: RedisServer) -> None:
    redis_server.client().lpush(pair[0].name("thing", "k"), "x")
    assert await values(pair[0]).find("k") is None
    await values(pair[0]).keep("k", {"a": 1})
    assert await values(pair[1]).find("k") == {"a": 1}


async def test_what_is_too_large_is_not_shared(pair: Pair) -> None:
    texts = SharedValues(pair[0], "text", TypeAdapter(str), 60)
    await texts.keep("k", secrets.token_hex(MAX_BYTES + MAX_BYTES // 4))  # packed, half of it is left
    assert await texts.find("k") is None


async def test_a_list_grows_and_outlives_a_store_that_forgot_it(pair: Pair, redis_server: RedisServer) -> None:
    one, other = (SharedLists(state, "list", TypeAdapter(int), 60) for state in pair)
    known = await one.extend("k", [1, 2], 0)
    known = await one.extend("k", [1, 2, 3], known)
    assert (await other.find("k")).items == [1, 2, 3]
    redis_server.client().flushall()
    assert await other.find("k") is None
    assert await one.extend("k", [1, 2, 3, 4], known) == 4
    redis_server.client().rpush(pair[0].name("list", "k"), "x")
    assert await other.find("k") is None


async def test_a_store_that_is_killed_is_a_miss_until_it_is_back(
    pair: Pair, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    kept = values(pair[0])
    await kept.keep("k", {"a": 1})
    redis_server.kill()
    try:
        for _ in range(20):
            await kept.keep("k", {"a": 1})
            assert await kept.find("k") is None
        assert pair[0].describe()["state"] == "away"
        assert [record.message for record in caplog.records] == ["what replicas share is away: each goes by itself"]
    finally:
        redis_server.start()

    async def is_shared() -> bool:
        await kept.keep("k", {"a": 2})
        return await values(pair[1]).find("k") == {"a": 2}

    await until(is_shared)
    assert pair[0].describe() == {"state": "ok", "url": redis_server.url, "reason": None}


async def test_a_store_that_hangs_holds_up_nobody_for_long(pair: Pair, redis_server: RedisServer) -> None:
    kept = values(pair[0])
    await kept.keep("k", {"a": 1})
    redis_server.stop()
    try:
        async with asyncio.timeout(30):  # one wait for all, not one for each
            assert await asyncio.gather(*(kept.find("k") for _ in range(100))) == [None] * 100
            assert [await kept.find("k") for _ in range(100)] == [None] * 100
    finally:
        redis_server.go_on()

    async def is_found() -> bool:
        return await kept.find("k") == {"a": 1}

    await until(is_found)


async def test_a_store_that_takes_nothing_is_a_miss(pair: Pair, redis_server: RedisServer) -> None:
    client = redis_server.client()
    client.config_set("maxmemory", "1")
    try:
        await values(pair[0]).keep("k", {"a": 1})
        assert "memory" in str(pair[0].describe()["reason"])
    finally:
        client.config_set("maxmemory", "0")


def test_an_option_that_nobody_knows_is_told_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"SHARED_URL=redis://h:1/0: .*sparkle") as refused:
        SharedState(SecretStr(f"redis://user:{'hidden'}@h:1/0?sparkle=1"), "asr")
    assert "hidden" not in refused.value.message
