"""The same text in the same voice again: from the disk, and two equal requests at once are one job.

A file's modification time says when the speech was made, its access time when it was last used.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from io import FileIO
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from voice_stack.core.errors import ShuttingDownError
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import claim
from voice_stack.core.telemetry.registry import CACHE
from voice_stack.tts.cache.entry import EntryData, SpeechFacts, SpeechFile, SpeechPiece, read_entry
from voice_stack.tts.cache.recording import Outcome, Recording, SpeechReader

logger = logging.getLogger(__name__)

_SUFFIX = ".speech"
_PART_SUFFIX = ".part"
_CLAIM_TIME_S = 60.0
"""A part that is younger may be about to be claimed by the server that has just made it."""
_ROOM_SHARE = 0.9
"""So full is the folder after tidying: the next speech need not tidy again."""
_MAX_CHECKED = 20_000
"""So many entries are remembered as undamaged: 5 MB."""
_LOOK_AGAIN_S = 60.0
"""Another server may fill the folder, too: so often its true size is read."""


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written to or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


TTL_S = 7 * 24 * 3600.0
"""What nobody has asked for in a week gives its room back, though the folder is not full."""


class SpeechStore:
    """Cached speech by key; the methods block, and may be called from any thread.

    Args:
        folder: Where entries lie; made when the first one comes.
        max_bytes: Room for all of them.
        ttl_s: Seconds after which an entry is not served any more.
    """

    def __init__(self, folder: Path, max_bytes: int, ttl_s: float = TTL_S) -> None:
        self._folder = folder.expanduser().absolute()
        self.max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._tidying = threading.Lock()
        self._size = 0
        self._looked_at: float | None = None
        self._is_failing = False
        self._checked: set[tuple[int, ...]] = set()

    def find(self, key: str) -> tuple[SpeechFile, EntryData] | None:
        """The entry of a key, open for reading; None if there is none that may be served."""
        path = self._path(key)
        try:
            file = path.open("rb", buffering=0)
            status = os.fstat(file.fileno())
            entry = self._read(file, status) if time.time() - status.st_mtime <= self._ttl_s else None
            if entry is None:
                file.close()
                self._drop(path, status)
                return None
            # A folder that can only be read serves, too; there nothing is ever removed, so the order means nothing.
            with contextlib.suppress(PermissionError):
                os.utime(file.fileno(), ns=(time.time_ns(), status.st_mtime_ns))
            return SpeechFile(file, path, is_temporary=False), entry
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.warn(error)
            return None

    def begin(self, key: str) -> SpeechFile:
        """A file for a speech that is being made.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{key}.{uuid4().hex}{_PART_SUFFIX}"
        file = path.open("x+b", buffering=0)
        claim(file.fileno())
        return SpeechFile(file, path, is_temporary=True)

    def remove_abandoned(self) -> None:
        """Remove what killed servers were writing; other servers may be at work in the folder."""
        try:
            for path in self._folder.glob(f"*{_PART_SUFFIX}"):
                _remove_if_abandoned(path)
        except OSError as error:
            self.warn(error)

    def keep(self, key: str, spool: SpeechFile, data: EntryData) -> None:
        """Make a complete speech the entry of its key, in place of another; the least recently used make room.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        status = spool.keep(self._path(key), data.facts, data.notes)
        self._is_failing = False
        self._checked.add(_identity(status))
        with self._tidying:
            self._size += status.st_size
            self._make_room()

    def warn(self, error: OSError) -> None:
        """Say once that speech is not cached, until it is again."""
        if not self._is_failing:
            log_event(
                logger, logging.WARNING, "speech is served but not cached", folder=str(self._folder), reason=str(error)
            )
        self._is_failing = True

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _read(self, file: FileIO, status: os.stat_result) -> EntryData | None:
        """What an entry says; its bytes are checked once for as long as this process sees the same file."""
        identity = _identity(status)
        entry = read_entry(file, is_checked=identity in self._checked)
        if len(self._checked) >= _MAX_CHECKED:
            self._checked.clear()
        if entry is not None:
            self._checked.add(identity)
        return entry

    def _drop(self, path: Path, status: os.stat_result) -> None:
        """Remove an entry that is old or damaged, if it has not been replaced meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == status.st_ino:
                log_event(logger, logging.INFO, "cached speech removed: old or damaged", file=path.name)
                path.unlink()

    def _make_room(self) -> None:
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < _LOOK_AGAIN_S and self._size <= self.max_bytes:
            return
        self._looked_at = now
        files = sorted(self._list_files(time.time()))
        self._size = sum(size for _used_at, size, _path in files)
        if self._size <= self.max_bytes:
            return
        # The newest stays, however large it is.
        for _used_at, size, path in files[:-1]:
            if self._size <= self.max_bytes * _ROOM_SHARE:
                return
            path.unlink(missing_ok=True)
            self._size -= size

    def _list_files(self, now: float) -> Iterator[tuple[float, int, Path]]:
        """Use, size and path of each entry; old ones, and parts that nobody writes any more, are removed."""
        with os.scandir(self._folder) as listing:
            for item in listing:
                path = Path(item.path)
                with contextlib.suppress(FileNotFoundError):  # another server removed it
                    status = item.stat()
                    if path.suffix == _PART_SUFFIX and now - status.st_mtime > _CLAIM_TIME_S:
                        _remove_if_abandoned(path)
                    elif path.suffix == _SUFFIX:
                        if now - status.st_mtime > self._ttl_s:
                            path.unlink()
                        else:
                            yield status.st_atime, status.st_size, path


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part unless a server has it open: its claim ends with the server, however that died."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        if claim(file.fileno()):
            path.unlink()


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
    """

    def __init__(self, store: SpeechStore | None) -> None:
        self._store = store
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
            recording = self._record(key, begin)
        self._outcomes[outcome] += 1
        if self.is_on:
            CACHE.labels("speech", outcome).inc()
        speech = recording
        return SpeechReader(speech, outcome, is_patient=is_patient, on_leave=lambda: self._leave(key, speech))

    def status(self) -> dict[str, int]:
        """How many requests found what, for `/status`."""
        return {"hits": self._outcomes["hit"], "joined": self._outcomes["joined"], "misses": self._outcomes["miss"]}

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

    async def _find(self, key: str | None) -> tuple[Recording | None, Outcome]:
        if key is None or self._store is None:
            return None, "miss"
        if (shared := self._join(key))[0] is not None:
            return shared
        if (found := await asyncio.to_thread(self._store.find, key)) is not None:
            return Recording.of_entry(*found), "hit"
        # Meanwhile another request may have begun.
        return self._join(key)

    def _join(self, key: str) -> tuple[Recording | None, Outcome]:
        recording = self._under_way.get(key)
        if recording is None or not recording.can_be_joined:
            return None, "miss"
        return recording, "hit" if recording.facts else "joined"

    def _record(self, key: str | None, begin: Begin) -> Recording:
        store = self._store
        if key is None or store is None:
            recording = Recording()
        else:
            recording = Recording(lambda: store.begin(key), store.warn, store.max_bytes)
            self._under_way[key] = recording
        task = asyncio.create_task(self._make(key, recording, begin))
        self._tasks[recording] = task
        task.add_done_callback(lambda _task: self._end(key, recording, task))
        return recording

    async def _make(self, key: str | None, recording: Recording, begin: Begin) -> None:
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
            await self._keep(key, recording, self._store)

    @staticmethod
    async def _keep(key: str, recording: Recording, store: SpeechStore) -> None:
        spool = await recording.spool_tail()
        if spool is not None:
            try:
                await asyncio.to_thread(store.keep, key, spool, recording.data)
            except OSError as error:
                store.warn(error)

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
