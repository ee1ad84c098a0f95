"""When an engine is left alone for a while: its processes died again and again, and not because of one job."""

import time
from collections.abc import Callable

MAX_CRASHES = 4
WINDOW_S = 120.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0


class Circuit:
    """A circuit breaker: closed, open for a while that doubles each time, then half-open for one job to try.

    Crashes count when they have nothing to do with each other: those of one job, which is tried twice, count once, and
    so does the crash of a batch and the crash of one job out of it. An engine that brings a job to its end is well.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._crashes: list[tuple[float, frozenset[str]]] = []
        self._pauses = 0
        self._open_until: float | None = None
        self._probe: str | None = None

    @property
    def wait_s(self) -> float:
        """Seconds until the next try; 0 where one is allowed."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def admit(self, job_id: str) -> float:
        """Let a job through: 0; or the seconds after which it may come again."""
        if self._open_until is None or self.wait_s:
            return self.wait_s
        if self._probe is not None:
            return FIRST_PAUSE_S
        self._probe = job_id
        return 0.0

    def note_crash(self, suspects: frozenset[str]) -> bool:
        """A process died, or its model did not load; returns whether the circuit opens.

        Args:
            suspects: Jobs that may be why; none: it was no job's fault.
        """
        now = self._clock()
        recent = [(at, jobs) for at, jobs in self._crashes if now - at <= WINDOW_S]
        if not suspects or all(suspects.isdisjoint(jobs) for _, jobs in recent):
            recent.append((now, suspects))
        self._crashes = recent
        if self._open_until is None and len(recent) < MAX_CRASHES:
            return False
        self._open_until = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._pauses)
        self._pauses += 1
        self._probe = None
        return True

    def note_end(self, job_id: str, *, is_done: bool) -> None:
        """A job is over, and the engine lives.

        Args:
            job_id: The job.
            is_done: The engine brought it to its end, with a result or with an error of its own; not so if nobody
                wanted it any more.
        """
        if is_done:
            self._crashes, self._pauses, self._open_until, self._probe = [], 0, None, None
        elif self._probe == job_id:
            self._probe = None
