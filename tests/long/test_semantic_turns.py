"""Turns that end when what was said is complete: with the network that tells it, as users fetch it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from e2e.realtime import encode, live, quiet
from running_server import RunningServer
from voice_stack.asr.models import SMART_TURN_CATALOGUE
from voice_stack.core.models.store import ModelStore

StartServer = Callable[..., AbstractContextManager[RunningServer]]
WHOLE = "Please water the plants in the kitchen before you leave."
HALF = "My number is, um,"


@pytest.fixture(scope="module")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("models")
    ModelStore(SMART_TURN_CATALOGUE, folder, offline=False).resolve("smart-turn")
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", MODEL_DIR=str(folder)) as server:
        yield server


async def pause_s(server: RunningServer, sound: bytes, eagerness: str) -> float:
    """The silence after which the turn ended."""
    async with live(server) as session:
        await session.set(turn_detection={"type": "semantic_vad", "eagerness": eagerness})
        await session.say(sound + quiet(10), step=48_000)
        await session.wait_for(".completed")
        (stopped,) = session.of("speech_stopped")
    return float(stopped["audio_end_ms"]) / 1000 - len(sound) / 48_000


async def test_a_sentence_that_is_whole_ends_a_turn_at_once(
    server: RunningServer, spoken: Callable[[str], bytes]
) -> None:
    whole, half = (encode(spoken(text)) for text in (WHOLE, HALF))
    assert await pause_s(server, whole, "medium") < 0.6
    waits = [await pause_s(server, half, eagerness) for eagerness in ("high", "low")]
    assert waits[0] <= 2.1
    assert 2.1 < waits[1] <= 8.1
    assert "semantic" not in server.log.read_text()
