"""The engine process's way to speak: events to the API process, and once a second a sign of life.

A stopped process gives none; one that is in a long native call does, and says for how long.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from voice_stack.core.jobs import Beat, Event

BEAT_S = 1.0


class EventPipe:
    """Sends events; any thread may.

    Args:
        connection: This end of the pipe to the API process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, event: Event) -> None:
        """Send an event; the process ends where nobody is left to work for."""
        with self._sending:
            try:
                self._connection.send(event)
            except OSError:
                os._exit(0)


class WorkClock:
    """How long each thread has worked on what it has in hand, without a result."""

    def __init__(self) -> None:
        self._work: dict[int, tuple[float, tuple[str, ...]]] = {}

    @contextmanager
    def measure(self, job_ids: Iterable[str]) -> Iterator[None]:
        """This thread works on something of these jobs, one id for each unit, while the context lasts."""
        self._work[threading.get_ident()] = (time.monotonic(), tuple(job_ids))
        try:
            yield
        finally:
            del self._work[threading.get_ident()]

    def restart(self) -> None:
        """This thread has got somewhere."""
        self._work[threading.get_ident()] = (time.monotonic(), self._work[threading.get_ident()][1])

    def beat(self) -> Beat:
        """The longest work of the moment."""
        work = list(self._work.values())
        began, job_ids = min(work, default=(time.monotonic(), ()))
        return Beat(time.monotonic() - began, frozenset(job_ids), sum(len(ids) for _, ids in work))


def beat_forever(send: Callable[[Event], None], clock: WorkClock) -> None:
    """Give signs of life, from a thread of its own."""
    while True:
        send(clock.beat())
        time.sleep(BEAT_S)
