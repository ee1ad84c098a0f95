"""The same text in the same voice again: from the disk, and two equal requests at once are one job."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from voice_stack.core.errors import ShuttingDownError
from voice_stack.core.logging import log_event
from voice_stack.core.telemetry.registry import CACHE
from voice_stack.tts.cache.entry import EntryData, SpeechFacts, SpeechFile, SpeechPiece
from voice_stack.tts.cache.folder import SpeechStore
from voice_stack.tts.cache.recording import Outcome, Recording, SpeechReader
from voice_stack.tts.cache.shared import SharedSpeech

logger = logging.getLogger(__name__)


class SpeechSource(Protocol):
    """A speech that is being made."""

    def pieces(self) -> AsyncGenerator[SpeechPiece, None]:
        """The encoded speech; closing the generator stops the work."""

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for."""

    def facts(self) -> SpeechFacts:
        """What is known when all pieces have come."""

    def cancel(self) -> None:
        """Nobody wants it any more; harmless when it is complete."""


Begin = Callable[[], Awaitable[SpeechSource]]


class SpeechCache:
    """Recordings under way by key, and the store behind them; lives on the event loop.

    Args:
        store: Where complete speech is kept; None: nothing is kept or shared.
        shared: Where replicas look for what others have made; None: each keeps its own.
    """

    def __init__(self, store: SpeechStore | None, shared: SharedSpeech | None = None) -> None:
        self._store, self._shared = store, shared
        self._under_way: dict[str, Recording] = {}
        self._tasks: dict[Recording, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._outcomes: Counter[Outcome] = Counter()
        self._is_closed = False

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._store is not None

    async def open(self, key: str | None, begin: Begin, *, is_patient: bool, is_fresh: bool = False) -> SpeechReader:
        """Find, join or make a speech; its reader belongs to the request, which closes it.

        Args:
            key: Equal for requests with equal answers; None: this one is neither shared nor kept.
            begin: Starts the work in the engine; called at most once, in a task of its own.
            is_patient: The speech is read when it is complete.
            is_fresh: Make it anew, and keep that in place of what is there.

        Raises:
            ShuttingDownError: The server is stopping.
        """
        if self._is_closed:
            raise ShuttingDownError("the server is stopping")
        recording, outcome = await self._find(None if is_fresh else key)
        if recording is None:
            recording = self._record(key, begin, is_fresh=is_fresh)
        self._outcomes[outcome] += 1
        if self.is_on:
            CACHE.labels("speech", outcome).inc()
        speech = recording
        return SpeechReader(speech, outcome, is_patient=is_patient, on_leave=lambda: self._leave(key, speech))

    def status(self) -> dict[str, object]:
        """How many requests found what, for `/status`."""
        counts = {"hits": self._outcomes["hit"], "joined": self._outcomes["joined"], "misses": self._outcomes["miss"]}
        return {**counts, **({"shared": self._shared.status()} if self._shared else {})}

    async def clean(self) -> None:
        """Remove what killed servers have left half written."""
        if self._store is not None:
            await asyncio.to_thread(self._store.remove_abandoned)

    async def close(self) -> None:
        """Stop what is under way, finish what is being kept, and take no more."""
        self._is_closed = True
        tasks = [*self._tasks.values()]
        for recording, task in self._tasks.items():
            if not recording.is_over:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._closing)
        if self._shared is not None:
            await asyncio.to_thread(self._shared.close)

    async def _find(self, key: str | None) -> tuple[Recording | None, Outcome]:
        if key is None or self._store is None:
            return None, "miss"
        if (shared := self._join(key))[0] is not None:
            return shared
        if (found := await asyncio.to_thread(self._store.find, key)) is not None:
            return Recording.of_entry(*found), "hit"
        if (elsewhere := await self._find_shared(key)) is not None:
            return Recording.of_entry(*elsewhere), "hit"
        # Meanwhile another request may have begun.
        return self._join(key)

    async def _find_shared(self, key: str) -> tuple[SpeechFile, EntryData] | None:
        shared = self._shared
        if shared is None or key in self._under_way:
            return None
        return await asyncio.get_running_loop().run_in_executor(shared.readers, shared.find, key)

    def _join(self, key: str) -> tuple[Recording | None, Outcome]:
        recording = self._under_way.get(key)
        if recording is None or not recording.can_be_joined:
            return None, "miss"
        return recording, "hit" if recording.facts else "joined"

    def _record(self, key: str | None, begin: Begin, *, is_fresh: bool) -> Recording:
        store = self._store
        if key is None or store is None:
            recording = Recording()
        else:
            recording = Recording(lambda: store.begin(key), store.warn, store.max_bytes)
            self._under_way[key] = recording
        task = asyncio.create_task(self._make(key, recording, begin, is_fresh=is_fresh))
        self._tasks[recording] = task
        task.add_done_callback(lambda _task: self._end(key, recording, task))
        return recording

    async def _make(self, key: str | None, recording: Recording, begin: Begin, *, is_fresh: bool) -> None:
        source = await begin()
        try:
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    recording.substitutes = source.substitutes
                    await recording.append(piece)
            recording.finish(source.facts())
        finally:
            source.cancel()
        # Another voice than the one that was asked for is not kept under its name.
        if key is not None and self._store is not None and not recording.substitutes:
            is_kept = await self._keep(key, recording, self._store)
            if is_kept and self._shared is not None:
                self._shared.share(key, replace=is_fresh)

    @staticmethod
    async def _keep(key: str, recording: Recording, store: SpeechStore) -> bool:
        spool = await recording.spool_tail()
        if spool is None:
            return False
        try:
            await asyncio.to_thread(store.keep, key, spool, recording.data)
        except OSError as error:
            store.warn(error)
            return False
        return True

    def _end(self, key: str | None, recording: Recording, task: asyncio.Task[None]) -> None:
        del self._tasks[recording]
        if task.cancelled():
            recording.fail(ShuttingDownError("the server is stopping"))
        elif (error := task.exception()) is not None:
            if not recording.readers:
                log_event(logger, logging.WARNING, "speech without a listener failed", reason=str(error))
            recording.fail(error)
        if key is not None and self._under_way.get(key) is recording:
            del self._under_way[key]
        self._close_if_unused(recording)

    def _leave(self, key: str | None, recording: Recording) -> None:
        if recording.readers:
            return
        task = self._tasks.get(recording)
        if task is None:
            self._close_if_unused(recording)
        elif not recording.is_over:
            # A new request must not join what is about to end.
            if key is not None and self._under_way.get(key) is recording:
                del self._under_way[key]
            task.cancel()

    def _close_if_unused(self, recording: Recording) -> None:
        if not recording.readers and recording not in self._tasks:
            closing = asyncio.get_running_loop().create_task(recording.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
