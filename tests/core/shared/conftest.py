"""Two replicas and the Redis that they share."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from redis_server import RedisServer, run_redis
from voice_stack.core.shared.state import SharedState
from voice_stack.core.system import breaker

REST_S = 0.2
Pair = tuple[SharedState, SharedState]


@pytest.fixture(scope="package")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with run_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def pair(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """What each of two replicas knows of the same store, which is empty."""
    monkeypatch.setattr(breaker, "PAUSE_S", REST_S)
    redis_server.client().flushall()
    one, other = (SharedState(SecretStr(redis_server.url), "asr") for _ in range(2))
    yield one, other
    await one.close()
    await other.close()
