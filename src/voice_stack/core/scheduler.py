"""Which units run next: a pure decision over the waiting units of all jobs.

No clock, no thread, no input or output: times come in as arguments. The job with the least work left goes first; a job
that has not been served for a while is treated as if it were shorter, so that a film goes on under constant short load.
"""

import heapq
from dataclasses import dataclass, field

from voice_stack.core.jobs import Unit

HALF_LIFE_S = 3.0
"""Waiting that halves the work a job seems to have left: an hour beats a 3-second clip after about 30 s."""


@dataclass(slots=True)
class _Line:
    """The waiting units of one job."""

    served_at: float
    alone: bool
    remaining_s: float = 0.0
    paused: bool = False
    units: list[tuple[int, Unit]] = field(default_factory=list)

    def score(self, now: float) -> float:
        waiting_s = sum(unit.cost_s for _, unit in self.units)
        left_s = max(self.remaining_s, waiting_s)
        # Beyond 200 half-lives everything is 0 anyway; the bound keeps the power in range.
        return left_s * float(0.5 ** min((now - self.served_at) / HALF_LIFE_S, 200.0))


class Scheduler:
    """The waiting units of all jobs of one engine process."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def open(self, job_id: str, now: float, *, alone: bool = False) -> None:
        """Begin a job; `alone` keeps its units out of batches with other jobs."""
        self._lines[job_id] = _Line(served_at=now, alone=alone)

    def close(self, job_id: str) -> None:
        """Forget a job with all its waiting units."""
        self._lines.pop(job_id, None)

    def expect(self, job_id: str, remaining_s: float) -> None:
        """Set how many seconds of audio a job still has before it, known units included."""
        if job_id in self._lines:
            self._lines[job_id].remaining_s = remaining_s

    def pause(self, job_id: str, paused: bool) -> None:
        """Hold a job's units back, or let them run again."""
        if job_id in self._lines:
            self._lines[job_id].paused = paused

    def add(self, unit: Unit) -> None:
        """Put a unit into the line of its job."""
        heapq.heappush(self._lines[unit.job_id].units, (unit.index, unit))

    def count(self, job_id: str) -> int:
        """Number of waiting units of a job."""
        return len(self._lines[job_id].units)

    def remaining_s(self, job_id: str) -> float:
        """Seconds of audio a job still has before it, as far as known."""
        return self._lines[job_id].remaining_s

    def next(self, now: float, limit: int) -> list[Unit]:
        """Take the next batch out of the lines.

        Args:
            now: Seconds on any steady clock, the same for all calls.
            limit: Largest batch the engine takes.

        Returns:
            At most `limit` units with equal batch keys, the most urgent job's first unit at the front; empty if
            nothing can run.
        """
        ready = [line for line in self._lines.values() if line.units and not line.paused]
        if not ready:
            return []
        ready.sort(key=lambda line: line.score(now))
        first = ready[0]
        if first.alone:
            return [self._take(first, now)]
        key = first.units[0][1].batch_key
        batch: list[Unit] = []
        # Round by round, one unit of each job: a batch is shared before it is filled by one job alone.
        while len(batch) < limit:
            fitting = [line for line in ready if line.units and not line.alone and line.units[0][1].batch_key == key]
            if not fitting:
                break
            batch.extend(self._take(line, now) for line in fitting[: limit - len(batch)])
        return batch

    @staticmethod
    def _take(line: _Line, now: float) -> Unit:
        unit = heapq.heappop(line.units)[1]
        line.served_at = now
        line.remaining_s = max(0.0, line.remaining_s - unit.cost_s)
        return unit
