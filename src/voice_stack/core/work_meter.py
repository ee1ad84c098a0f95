"""How long an engine is at work for what it does, whatever runs side by side."""

import threading
import time
from collections.abc import Callable, Iterator

from voice_stack.core.jobs import BatchDone, Finished, RunResult, Unit


class WorkMeter:
    """Measures the batches of all lanes; lives in the engine process.

    Time counts once however many batches run in it, and not at all while none does: work divided by time is then what
    the engine gets done, not how long one batch takes.

    Args:
        report: Called after each batch that brought a unit to its end.
    """

    def __init__(self, report: Callable[[BatchDone], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._running = 0
        self._counted_until = 0.0

    def watch(self, results: Iterator[tuple[Unit, RunResult]]) -> Iterator[tuple[Unit, RunResult]]:
        """The results of a batch as they come, measured."""
        done: dict[str, float] = {}
        self._begin()
        try:
            for unit, result in results:
                if isinstance(result, Finished):
                    done[unit.job_id] = done.get(unit.job_id, 0.0) + unit.cost_s
                yield unit, result
        finally:
            busy_s = self._end()
            if done:
                self._report(BatchDone(done, busy_s))

    def _begin(self) -> None:
        with self._lock:
            if not self._running:
                self._counted_until = time.monotonic()
            self._running += 1

    def _end(self) -> float:
        """Seconds since the last batch began or ended, which nobody has counted yet."""
        with self._lock:
            self._running -= 1
            since, self._counted_until = self._counted_until, time.monotonic()
            return self._counted_until - since
