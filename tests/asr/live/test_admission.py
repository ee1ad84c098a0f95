"""How many live sessions are let in before anything is known of the machine, and which places they take."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from voice_stack.asr.app import create_service
from voice_stack.asr.live.turns import LiveRequest
from voice_stack.asr.request import DecodeOptions
from voice_stack.asr.service import AsrService
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import QueueFullError

LEAST = 16


@pytest.fixture
async def service() -> AsyncIterator[AsrService]:
    service = create_service(AsrSettings.read(engine="fake", offline=True))
    yield service
    await service.pool.close()


async def speak(service: AsrService) -> float | None:
    """Open a session and begin at once; None, or when to come back."""
    try:
        promise = await service.admit_live("fake")
    except QueueFullError as error:
        return error.retry_after_s
    await service.listen("fake", LiveRequest(DecodeOptions()), promise)
    return None


async def test_a_crowd_that_comes_at_once_is_let_in_as_far_as_it_can_be_followed(service: AsrService) -> None:
    refused = [outcome for outcome in await asyncio.gather(*(speak(service) for _ in range(64))) if outcome]
    assert LEAST <= 64 - len(refused) < 32, "who speaks takes one place, not two"
    assert min(refused) > 5, "those who speak are in the way, and will be for a while"


async def test_who_says_nothing_takes_no_place_after_a_moment(service: AsrService) -> None:
    await asyncio.gather(*(service.admit_live("fake") for _ in range(2 * LEAST)))
    assert len([outcome for outcome in [await speak(service) for _ in range(LEAST)] if outcome is None]) == LEAST


async def test_who_leaves_without_a_word_takes_no_place_at_all(service: AsrService) -> None:
    begun = time.monotonic()
    for _ in range(8):
        for promise in [await service.admit_live("fake") for _ in range(LEAST)]:
            service.desk.end_promise(promise)
    assert time.monotonic() - begun < 4
