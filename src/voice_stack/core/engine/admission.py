"""Who is let in: a ticket for each request whose work no engine has yet, and 429 for one that would wait too long."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import EnginePool
from voice_stack.core.engine.queue import EngineQueue
from voice_stack.core.errors import QueueFullError

MAX_LIVE_LOAD = 0.7
"""Beyond it results of live jobs come later and later: by a model of the queue, between 0.7 and 0.9."""
RETRY_LIVE_S = 30.0
PROMISED_S = 0.5
"""So long a live job that was let in counts before it has begun: whoever connects and says nothing takes no place."""
DOOR_S = 5.0
"""How long one waits for others to begin or to say nothing; clients wait for a WebSocket for 10 s and more."""


@dataclass(slots=True, eq=False)
class Ticket:
    """The place of one request in the queue, from its arrival until an engine has its job.

    Attributes:
        tell: Takes headers that go with whatever answer the request gets.
        work_s: Its work as far as known, in seconds of audio: it counts for those that come after.
        is_admitted: Whether it was let in, with this work.
    """

    desk: "AdmissionDesk"
    tell: "Callable[[Mapping[str, str]], None]"
    work_s: float = 0.0
    is_admitted: bool = False

    def reserve(self, work_s: float) -> None:
        """Count with so much work, without having been let in."""
        self.work_s = work_s

    def admit(
        self, work_s: float, replicas: Sequence[EngineSpec] | None = None, *, at_least_s: float | None = None
    ) -> None:
        """Let the request in, or refuse it; what was let in is only asked again if it has become more work.

        Args:
            work_s: Its work, as far as known.
            replicas: The engines that could do it; None where the model is not known yet.
            at_least_s: Its work if it is as little as it can be: by this it is refused.

        Raises:
            QueueFullError: It would be held up for too long.
        """
        queue = self.desk.queue(replicas, self)
        headers = {"x-queue-wait-s": f"{queue.wait_s(work_s):.1f}", "x-queue-jobs": str(len(queue.lefts_s))}
        self.tell(headers)
        if not self._is_good_for(work_s):
            self.desk.check(queue, work_s if at_least_s is None else at_least_s)
        self.work_s, self.is_admitted = work_s, True

    def fits(self, work_s: float, replicas: Sequence[EngineSpec]) -> bool:
        """Whether the request would be let in with so much work."""
        return self._is_good_for(work_s) or self.desk.has_room(self.desk.queue(replicas, self), work_s)

    def _is_good_for(self, work_s: float) -> bool:
        return self.is_admitted and work_s <= self.work_s

    def close(self) -> None:
        """The engine has the job, or the request is over; harmless when done before."""
        self.desk.tickets.discard(self)


class AdmissionDesk:
    """Lets requests in; lives on the event loop, one per application.

    Args:
        pool: Where the engines are.
        max_wait_s: Longest time that a request may be held up by others; 0: no limit.
        advice: What the refused can do besides coming back later, to go at the end of the message.
    """

    def __init__(self, pool: EnginePool, max_wait_s: float, advice: str = "") -> None:
        self._pool, self._max_wait_s, self._advice = pool, max_wait_s, advice
        self.tickets: set[Ticket] = set()
        self._promised = set[asyncio.Future[None]]()
        self._door = asyncio.Lock()

    @contextmanager
    def open(self, tell: Callable[[Mapping[str, str]], None]) -> Iterator[Ticket]:
        """A ticket for a request that arrives; it is closed with the context.

        Args:
            tell: Takes headers that go with whatever answer the request gets.
        """
        ticket = Ticket(self, tell)
        self.tickets.add(ticket)
        try:
            yield ticket
        finally:
            ticket.close()

    def queue(self, replicas: Sequence[EngineSpec] | None, ticket: Ticket) -> EngineQueue:
        """What is before a ticket: the jobs of the engine, and requests that were let in and are still arriving."""
        return self._pool.queue(replicas).joined_by(
            other.work_s for other in self.tickets if other is not ticket and other.work_s
        )

    def check_place(self, replicas: Sequence[EngineSpec]) -> None:
        """Raise `QueueFullError` if no model is unloaded for these engines as long as others are fed."""
        if self._pool.is_held(replicas):
            message = "As many models as may be loaded at once listen already, none of them this one. Try again later."
            raise QueueFullError(message, retry_after_s=RETRY_LIVE_S)

    async def admit_live(self, replicas: Sequence[EngineSpec]) -> asyncio.Future[None]:
        """Promise a place to one more job whose input comes over time, if it gets its results in time.

        Where only promises are in the way it waits, in the order of arrival, until they are kept or over. Returns the
        promise, for `end_promise`.

        Raises:
            QueueFullError: It would not, and neither would the others.
        """
        load_of = partial(self._pool.live_load, replicas)
        with suppress(TimeoutError):
            async with asyncio.timeout(DOOR_S), self._door:
                while load_of(1) <= MAX_LIVE_LOAD < load_of(1 + len(self._promised)):
                    await asyncio.wait(self._promised, return_when=asyncio.FIRST_COMPLETED)
        self.check_place(replicas)
        if (load := load_of(1 + len(self._promised))) > MAX_LIVE_LOAD:
            raise QueueFullError(
                f"The server listens to as many as it can follow: one more would take {100 * load:.0f} % of its time, "
                f"{100 * MAX_LIVE_LOAD:.0f} % is the most. Try again later.",
                retry_after_s=RETRY_LIVE_S if load_of(1) > MAX_LIVE_LOAD else PROMISED_S,
            )
        loop = asyncio.get_running_loop()
        self._promised.add(promise := loop.create_future())
        loop.call_later(PROMISED_S, self.end_promise, promise)
        return promise

    def end_promise(self, promise: asyncio.Future[None]) -> None:
        """The job has begun and counts as what it is, or never will; harmless when the promise is over."""
        self._promised.discard(promise)
        if not promise.done():
            promise.set_result(None)

    def has_room(self, queue: EngineQueue, work_s: float) -> bool:
        """Whether a request of so much work would not wait too long."""
        return not self._max_wait_s or queue.wait_s(work_s) <= self._max_wait_s

    def check(self, queue: EngineQueue, work_s: float) -> None:
        """Do nothing if there is room.

        Raises:
            QueueFullError: There is none.
        """
        if self.has_room(queue, work_s):
            return
        retry_after_s = max(1.0, queue.seconds_until(self._max_wait_s, work_s))
        raise QueueFullError(
            f"The queue is full: the {len(queue.lefts_s)} before this request would hold it up for about "
            f"{queue.wait_s(work_s):.0f} s; {self._max_wait_s:g} s is the most. "
            f"Try again in about {retry_after_s:.0f} s{self._advice}.",
            retry_after_s=retry_after_s,
        )
