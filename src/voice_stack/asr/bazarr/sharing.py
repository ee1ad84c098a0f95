"""Equal uploads are worked on once: who sends a film again joins the job that runs, or gets the result that is kept."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from voice_stack.core.errors import ShuttingDownError
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.logging import log_event
from voice_stack.core.result_cache import ResultCache
from voice_stack.core.shared.values import SharedValues
from voice_stack.core.telemetry.registry import CACHE

T = TypeVar("T")


logger = logging.getLogger(__name__)

_OUTCOMES = {"joined": "joined", "cached": "hit", "new": "miss"}


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What a job made.

    Attributes:
        result: It.
        is_second_best: It was made in a way that is worth another try: its users get it, but it is not kept.
    """

    result: T
    is_second_best: bool


Work = Callable[[Path], Coroutine[object, object, Made[T]]]


@dataclass(slots=True)
class _Shared(Generic[T]):
    task: asyncio.Task[T]
    users: int = 0
    end: asyncio.TimerHandle | None = None


class SharedJobs(Generic[T]):
    """Jobs by what shapes their results; lives on the event loop.

    Args:
        linger_s: Seconds that a job goes on after its last user left.
        cache: Where results are kept.
        shared: Where replicas find them.
        name: Of all that shapes a result, by its key; the same for every replica.
    """

    def __init__(
        self, linger_s: float, cache: ResultCache[T], shared: SharedValues[T], name: Callable[[Hashable], str]
    ) -> None:
        self._linger_s, self._cache, self._shared, self._name = linger_s, cache, shared, name
        self._jobs: dict[Hashable, _Shared[T]] = {}
        self._outcomes: Counter[str] = Counter()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    @contextlib.asynccontextmanager
    async def join(self, key: Hashable, file: SpooledFile, work: Work[T]) -> AsyncIterator[asyncio.Task[T]]:
        """Use the job of that key while the context lasts; it is begun if there is none.

        Args:
            key: Equal for uploads with equal results.
            file: The upload. A job that begins takes the file away and removes it at its end.
            work: Makes the result of the file at the path it is given.

        Yields:
            The job's task, which must not be cancelled: wait for it with `asyncio.wait`.

        Raises:
            ShuttingDownError: The server is stopping.
        """
        outcome = _OUTCOMES[self.describe(key)]
        self._outcomes[outcome] += 1
        CACHE.labels("bazarr", outcome).inc()
        shared = self._jobs.get(key) or self._begin(key, file, work)
        shared.users += 1
        if shared.end is not None:
            shared.end.cancel()
            shared.end = None
        try:
            yield shared.task
        finally:
            shared.users -= 1
            if not shared.users and not shared.task.done():
                log_event(logger, logging.INFO, "client left, the work goes on", linger_s=self._linger_s)
                shared.end = asyncio.get_running_loop().call_later(self._linger_s, self._give_up, key, shared)

    async def close(self) -> None:
        """End all jobs and take no more."""
        self._is_closed = True
        tasks = [shared.task for shared in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def find(self, key: Hashable) -> T | None:
        """The kept result of that key; None if there is none. For small results: it is unpacked at once."""
        packed = self._cache.find(key)
        return None if packed is None else self._cache.unpack(packed)

    def status(self) -> dict[str, int]:
        """How many uploads found what, for `/status`."""
        return {"hits": self._outcomes["hit"], "joined": self._outcomes["joined"], "misses": self._outcomes["miss"]}

    def describe(self, key: Hashable) -> str:
        """What a request of that key comes to: `joined` to a job, `cached`, or `new`."""
        if key in self._jobs:
            return "joined"
        return "new" if self._cache.find(key) is None else "cached"

    def _begin(self, key: Hashable, file: SpooledFile, work: Work[T]) -> _Shared[T]:
        if self._is_closed:
            raise ShuttingDownError("the server is stopping")
        if (packed := self._cache.find(key)) is not None:
            return _Shared(asyncio.create_task(asyncio.to_thread(self._cache.unpack, packed)))
        # Under another name the file outlives the request that brought it.
        path = file.path.rename(file.path.with_suffix(".shared"))
        task = asyncio.create_task(self._run(key, path, work))
        shared = self._jobs[key] = _Shared(task)
        task.add_done_callback(lambda _task: self._end(key, shared, path))
        return shared

    async def _run(self, key: Hashable, path: Path, work: Work[T]) -> T:
        if (found := await self._shared.find(self._name(key))) is not None:
            made = Made(found, is_second_best=False)
        else:
            made = await work(path)
            if not made.is_second_best:
                await self._shared.keep(self._name(key), made.result)
        if not made.is_second_best:
            self._cache.keep(key, await asyncio.to_thread(self._cache.pack, made.result))
        return made.result

    def _end(self, key: Hashable, shared: _Shared[T], path: Path) -> None:
        if self._jobs.get(key) is shared:
            del self._jobs[key]
        if shared.end is not None:
            shared.end.cancel()
        path.unlink(missing_ok=True)
        if not shared.task.cancelled() and (error := shared.task.exception()) is not None and not shared.users:
            log_event(logger, logging.WARNING, "work without a client failed", reason=str(error))

    def _give_up(self, key: Hashable, shared: _Shared[T]) -> None:
        log_event(logger, logging.INFO, "nobody came back, the work is dropped")
        if self._jobs.get(key) is shared:
            del self._jobs[key]
        shared.task.cancel()
