"""Which units run next: a pure decision over the waiting units of all jobs.

No clock, no thread, no input or output: times come in as arguments. The job with the least work left goes first; a job
that has not been served for a while is treated as if it were shorter, so that a film goes on under constant short load.
"""

import math
from bisect import insort
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voice_stack.core.jobs import Job, Output, PlanStep, Unit, UnitDone, Urgency

if TYPE_CHECKING:
    from voice_stack.core.errors import VoiceStackError

HALF_LIFE_S = 3.0
"""Waiting that halves the work a job seems to have left: an hour beats a 3-second clip after about 30 s."""


SHORT_JOB_S = 30.0
"""A job with no more work than this is short: somebody waits for it right now."""


@dataclass(slots=True)
class _JobLine:
    """The waiting units of one job."""

    served_at: float
    alone: bool
    remaining_s: float = 0.0
    paused: bool = False
    took_sequential: bool = False
    units: list[Unit] = field(default_factory=list)

    @property
    def head(self) -> Unit:
        return self.units[0]

    @property
    def left_s(self) -> float:
        return max(self.remaining_s, sum(unit.cost_s for unit in self.units))

    @property
    def is_short(self) -> bool:
        return self.left_s <= SHORT_JOB_S

    def is_ready(self, *, is_running: bool) -> bool:
        if not self.units or self.paused:
            return False
        return not is_running or not (self.took_sequential or self.head.is_sequential)

    def find(self, key: Hashable) -> Unit | None:
        """The first unit that may join a batch with this key; a unit may overtake others of its job."""
        if self.alone or (self.units and self.head.is_sequential):
            return None
        return next((unit for unit in self.units if unit.batch_key == key and not unit.is_sequential), None)

    def score(self, now: float) -> float:
        # Beyond 200 half-lives everything is 0 anyway; the bound keeps the power in range.
        waited_for_s = self.head.cost_s if self.head.is_awaited else self.left_s
        return waited_for_s * float(0.5 ** min((now - self.served_at) / HALF_LIFE_S, 200.0))


class Scheduler:
    """The waiting units of all jobs of one engine process."""

    def __init__(self) -> None:
        self._lines: dict[str, _JobLine] = {}

    def open(self, job_id: str, now: float, *, alone: bool = False) -> None:
        """Begin a job; `alone` keeps its units out of batches with other jobs."""
        self._lines[job_id] = _JobLine(served_at=now, alone=alone)

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
        insort(self._lines[unit.job_id].units, unit, key=lambda unit: unit.index)

    def count(self, job_id: str) -> int:
        """Number of waiting units of a job."""
        return len(self._lines[job_id].units)

    def remaining_s(self, job_id: str) -> float:
        """Seconds of audio a job still has before it, as far as known."""
        return self._lines[job_id].remaining_s

    def is_short(self, job_id: str) -> bool:
        """Whether little work is left of a job, so that somebody waits for it; false for one that is gone."""
        return job_id in self._lines and self._lines[job_id].is_short

    def urgency(self, batch: Collection[str], running: Collection[str]) -> Urgency:
        """How urgent a batch is that has been taken."""
        if not any(map(self.is_short, batch)):
            return Urgency.LONG
        others = set(running) - set(batch)
        waits = any(line.units and line.is_short for job_id, line in self._lines.items() if job_id not in batch)
        if waits or any(map(self.is_short, others)):
            return Urgency.SHARED
        return Urgency.FIRST if others else Urgency.ALONE

    def next(
        self,
        now: float,
        limit: int,
        *,
        short_limit_s: float = math.inf,
        free_lanes: int = 1,
        running: Collection[str] = (),
        only_short: bool = False,
    ) -> list[Unit]:
        """Take the next batch out of the lines.

        Args:
            now: Seconds on any steady clock, the same for all calls.
            limit: Largest batch the engine takes.
            short_limit_s: Most work in a batch of several units of short jobs; long jobs do not share their batches.
            free_lanes: How many batches could start now; what waits is spread over them.
            running: Jobs of which a unit runs at this moment.
            only_short: Leave long jobs where they are.

        Returns:
            At most `limit` units with equal batch keys, the most urgent job's first unit at the front; empty if
            nothing can run.
        """
        if any(self._lines[job_id].alone for job_id in running if job_id in self._lines):
            return []
        lines = [line for job_id, line in self._lines.items() if line.is_ready(is_running=job_id in running)]
        lines = [line for line in lines if line.is_short or not only_short]
        if not lines:
            return []
        lines.sort(key=lambda line: line.score(now))
        first = lines[0]
        if first.alone:
            return [] if running else [self._take(first, first.head, now)]
        if first.head.is_sequential:
            return [self._take(first, first.head, now)]
        lines = [line for line in lines if line.is_short == first.is_short]
        share = -(-sum(len(line.units) for line in lines) // free_lanes)
        return self._fill(lines, min(limit, share), short_limit_s if first.is_short else math.inf, now)

    def _fill(self, lines: list[_JobLine], limit: int, limit_s: float, now: float) -> list[Unit]:
        """Round by round, one unit of each job: a batch is shared before it is filled by one job alone."""
        key = lines[0].head.batch_key
        batch: list[Unit] = []
        while True:
            found = len(batch)
            for line in lines:
                unit = line.find(key) if len(batch) < limit else None
                if unit and (not batch or sum(other.cost_s for other in batch) + unit.cost_s <= limit_s):
                    batch.append(self._take(line, unit, now))
            if len(batch) == found:
                return batch

    @staticmethod
    def _take(line: _JobLine, unit: Unit, now: float) -> Unit:
        line.units = [waiting for waiting in line.units if waiting is not unit]
        line.served_at = now
        line.took_sequential = unit.is_sequential
        line.remaining_s = max(0.0, line.remaining_s - unit.cost_s)
        return unit


class ActiveJob:
    """What the engine process keeps of a job; guarded by the worker's lock.

    Attributes:
        is_planned: All units are known.
        is_cancelled: Nothing more is done for it: nobody wants it, or it has failed.
        in_step: The preparing thread works on it.
        running: Indexes of the units that run.
    """

    def __init__(self, job: Job, plan: Iterator[PlanStep]) -> None:
        self.job = job
        self.plan = plan
        self.is_planned = False
        self.is_cancelled = False
        self.error: VoiceStackError | None = None
        self.in_step = False
        self.running: set[int] = set()
        self._next_index = job.first_unit
        self._held: dict[int, list[Output | UnitDone]] = {}

    def put_in_order(self, result: Output | UnitDone) -> list[Output | UnitDone]:
        """Take a result of a unit; returns what may leave now, in the order of the units."""
        self._held.setdefault(result.index, []).append(result)
        leaving: list[Output | UnitDone] = []
        while parts := self._held.pop(self._next_index, None):
            leaving += parts
            if not isinstance(parts[-1], UnitDone):
                break
            self._next_index += 1
        return leaving


def next_to_prepare(jobs: Iterable[ActiveJob], scheduler: "Scheduler", enough: int) -> ActiveJob | None:
    """The job of which the next unit is cut: the one with the fewest units waiting, then with the least work left.

    One that has `enough` of them waiting is left alone.
    """
    unplanned = [active for active in jobs if not active.is_planned and not active.is_cancelled]
    waiting = {active.job.id: scheduler.count(active.job.id) for active in unplanned}
    return min(
        (active for active in unplanned if waiting[active.job.id] < enough),
        key=lambda active: (waiting[active.job.id], scheduler.remaining_s(active.job.id)),
        default=None,
    )
