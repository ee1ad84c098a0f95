"""A speech that is read while it is made: who sets the pace, and who hears what."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from voice_stack.core.errors import EngineError
from voice_stack.tts.cache.entry import SpeechFacts, SpeechPiece
from voice_stack.tts.cache.folder import SpeechStore
from voice_stack.tts.cache.recording import BLOCK_BYTES, LEAD_BYTES, SpeechReader
from voice_stack.tts.cache.speech_cache import SpeechCache

PIECE_BYTES = 50_000
COUNT = 60
SPEECH = b"".join(bytes([index]) * PIECE_BYTES for index in range(COUNT))


class Numbers:
    """A speech of 3 MB whose pieces are numbers; made as fast as it is taken."""

    substitutes: tuple[str, ...] = ()

    def __init__(self, fails_at: int | None = None) -> None:
        self.made = 0
        self.is_cancelled = False
        self._fails_at = fails_at

    async def begin(self) -> "Numbers":
        return self

    async def pieces(self) -> AsyncGenerator[SpeechPiece, None]:
        for index in range(COUNT):
            if index == self._fails_at:
                raise EngineError("the engine has had enough")
            self.made += 1
            yield SpeechPiece(bytes([index]) * PIECE_BYTES, {"piece": index}, is_last=index == COUNT - 1)
            await asyncio.sleep(0)

    def facts(self) -> SpeechFacts:
        return SpeechFacts(audio_s=60.0)

    def cancel(self) -> None:
        self.is_cancelled = True


async def settle() -> None:
    """Until nothing moves any more."""
    for _ in range(50):
        await asyncio.sleep(0.002)


async def hear_into(heard: list[bytes], speech: SpeechReader) -> None:
    async for block in speech.audio():
        heard.append(block)  # noqa: PERF401 - what came before a failure counts


async def hear(speech: SpeechReader) -> bytes:
    heard = list[bytes]()
    await hear_into(heard, speech)
    speech.close()
    return b"".join(heard)


def suffixes(folder: Path) -> list[str]:
    return [path.suffix for path in folder.iterdir()]


def open_cache(folder: Path, *, max_bytes: int = 100_000_000) -> SpeechCache:
    return SpeechCache(SpeechStore(folder, max_bytes, 3600.0))


async def test_the_fastest_listener_sets_the_pace_where_there_is_a_disk(tmp_path: Path) -> None:
    cache, numbers = open_cache(tmp_path), Numbers()
    slow = await cache.open("key", numbers.begin, is_patient=False)
    await slow.start()
    await settle()
    assert numbers.made * PIECE_BYTES <= LEAD_BYTES + 2 * PIECE_BYTES
    fast = await cache.open("key", Numbers().begin, is_patient=False)
    assert fast.outcome == "joined"
    assert await hear(fast) == SPEECH
    assert await hear(slow) == SPEECH
    await cache.close()
    assert suffixes(tmp_path) == [".speech"]


@pytest.mark.parametrize("key", [None, "key"])
async def test_the_slowest_sets_the_pace_where_memory_holds_it(tmp_path: Path, key: str | None) -> None:
    folder = tmp_path / "a file"
    folder.write_bytes(b"")
    cache, numbers = open_cache(folder), Numbers()
    slow = await cache.open(key, numbers.begin, is_patient=False)
    others = [await cache.open(key, numbers.begin, is_patient=False)] if key else []
    hearing = [asyncio.create_task(hear(other)) for other in others]
    await slow.start()
    await settle()
    # Up to a block it is not known yet that there is no disk.
    assert numbers.made * PIECE_BYTES <= BLOCK_BYTES + LEAD_BYTES + 2 * PIECE_BYTES
    assert await hear(slow) == SPEECH
    assert [await task for task in hearing] == [SPEECH] * len(others)
    await cache.close()


async def test_a_speech_larger_than_the_cache_is_heard_and_not_kept(tmp_path: Path) -> None:
    cache, numbers = open_cache(tmp_path, max_bytes=1_000_000), Numbers()
    first = await cache.open("key", numbers.begin, is_patient=False)
    patient = await cache.open("key", numbers.begin, is_patient=True)
    await patient.start()
    assert patient.exact_bytes == len(SPEECH)
    assert b"".join([block async for block in patient.exact()]) == SPEECH
    patient.close()
    assert await hear(first) == SPEECH
    await cache.close()
    assert suffixes(tmp_path) == []


async def test_notes_come_at_their_places_live_and_later(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    for outcome in ("miss", "hit"):
        speech = await cache.open("key", Numbers().begin, is_patient=False)
        assert speech.outcome == outcome
        heard, places = 0, dict[object, int]()
        async for piece in speech.pieces():
            heard += len(piece.audio)
            if piece.note:
                places[piece.note["piece"]] = heard
        assert places == {index: (index + 1) * PIECE_BYTES for index in range(COUNT)}
        speech.close()
        await settle()
    await cache.close()


async def test_work_ends_with_its_last_listener(tmp_path: Path) -> None:
    cache, numbers = open_cache(tmp_path), Numbers()
    both = [await cache.open("key", numbers.begin, is_patient=False) for _ in range(2)]
    for speech in both:
        await speech.start()
    both[0].close()
    await settle()
    assert not numbers.is_cancelled
    both[1].close()
    await settle()
    assert numbers.is_cancelled
    assert numbers.made < COUNT
    again = await cache.open("key", Numbers().begin, is_patient=False)
    assert again.outcome == "miss"
    assert await hear(again) == SPEECH
    await cache.close()


async def test_a_failure_reaches_all_and_the_next_request_begins_anew(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    early = await cache.open("key", Numbers(fails_at=20).begin, is_patient=False)
    patient = await cache.open("key", Numbers().begin, is_patient=True)
    with pytest.raises(EngineError, match="had enough"):
        await patient.start()
    heard = list[bytes]()
    with pytest.raises(EngineError, match="had enough"):
        await hear_into(heard, early)
    assert b"".join(heard) == SPEECH[: 20 * PIECE_BYTES]
    early.close()
    patient.close()
    again = await cache.open("key", Numbers().begin, is_patient=False)
    assert (again.outcome, await hear(again)) == ("miss", SPEECH)
    await cache.close()
    assert suffixes(tmp_path) == [".speech"]
