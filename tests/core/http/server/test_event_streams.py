"""Event streams say something while nothing happens, and tell of a late failure; the same class for both servers."""

import asyncio
from collections.abc import AsyncGenerator

from voice_stack.core.errors import EngineError
from voice_stack.core.http.streaming import PING, KeptAliveEvents, encode_sse


async def test_pauses_have_comments_and_a_late_failure_is_an_event() -> None:
    error = EngineError("the voice broke")

    async def events() -> AsyncGenerator[dict[str, object], None]:
        yield {"type": "speech.audio.delta", "audio": "ä"}
        await asyncio.sleep(0.2)
        raise error

    first, *pings, last = [part async for part in KeptAliveEvents(events(), ping_interval_s=0.05)]
    assert first == 'data: {"type":"speech.audio.delta","audio":"ä"}\n\n'.encode()
    assert set(pings) == {PING}
    assert last == encode_sse(error.body())
