"""Which units run next, and how long they take.

The choice is a pure decision over the waiting units of all jobs; times come in as arguments. The job with the least
work left goes first; a job that has not been served for a while is treated as if it were shorter, so that a film goes
on under constant short load.
"""

import math
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voice_stack.core.feeds import Inbox, Settled, Verdict
from voice_stack.core.jobs import BatchDone, Beat, Job, Output, PlanStep, RunResult, Unit, UnitDone, Urgency

if TYPE_CHECKING:
    from voice_stack.core.errors import VoiceStackError

DRAFT_DELAY = 10.0
"""A draft goes behind what has so many times its work: behind finals and clips, before films."""
MAX_DRAFTS = 2
"""In a batch, which cannot be stopped: more are done in less time, and hold up what comes meanwhile."""
TENTATIVE_DELAY = 2.0
"""What may turn out to be of no use goes behind what has so many times its work."""
HALF_LIFE_S, AWAITED_HALF_LIFE_S = 3.0, 0.5
"""Waiting that halves the work a job seems to have left: an hour beats a 3-second clip after about 30 s. Of units that
are awaited themselves, all as good as equally short, the one that waits longest goes first."""
CROWD, SPEAKING_S = 3, 1.0
"""More jobs than this with a draft in so many seconds are a crowd."""
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
    draft: Unit | None = None
    asked_at: float = 0.0  # since when the first of them waits
    drafted_at: float = -math.inf  # when there was a draft last

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
        if not self.head.is_awaited:
            return self.left_s * float(0.5 ** min((now - self.served_at) / HALF_LIFE_S, 200.0))
        delay = TENTATIVE_DELAY if self.head.is_tentative else 1.0
        return self.head.cost_s * delay * float(0.5 ** min((now - self.asked_at) / AWAITED_HALF_LIFE_S, 200.0))


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

    def add(self, unit: Unit, now: float) -> None:
        """Put a unit into the line of its job; what is drafted there ends with it."""
        line = self._lines[unit.job_id]
        line.draft = unit if unit.is_draft else None
        if unit.is_draft:
            line.drafted_at = now
            return
        line.asked_at = line.asked_at if line.units else now
        insort(line.units, unit, key=lambda unit: unit.index)

    def drop(self, job_id: str, index: int) -> None:
        """Take a unit out again, if it waits."""
        line = self._lines[job_id]
        line.units = [unit for unit in line.units if unit.index != index]

    def keep(self, job_id: str, index: int) -> None:
        """A tentative unit is wanted for sure, if it still waits."""
        line = self._lines[job_id]
        line.units = [replace(unit, is_tentative=unit.is_tentative and unit.index != index) for unit in line.units]

    def is_crowd(self, now: float) -> bool:
        """Whether so many speak at once that a core each does more for them than all cores for one after the other."""
        return sum(now - line.drafted_at < SPEAKING_S for line in self._lines.values()) > CROWD

    def count(self, job_id: str) -> int:
        """Number of waiting units of a job, drafts not among them."""
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
        drafting: Collection[str] = (),
        may_draft: bool = True,
        only_short: bool = False,
    ) -> list[Unit]:
        """Take the next batch out of the lines.

        Args:
            now: Seconds on any steady clock, the same for all calls.
            limit: Largest batch the engine takes.
            short_limit_s: Most work in a batch of several units of short jobs; long jobs do not share their batches.
            free_lanes: How many batches could start now; what waits is spread over them.
            running: Jobs of which a unit runs at this moment.
            drafting: Jobs of which a draft does.
            may_draft: Drafts may be taken.
            only_short: Leave long jobs where they are.

        Returns:
            At most `limit` units with equal batch keys, the most urgent job's first unit at the front; empty if
            nothing can run.
        """
        if any(self._lines[job_id].alone for job_id in running if job_id in self._lines):
            return []
        lines = [line for job_id, line in self._lines.items() if line.is_ready(is_running=job_id in running)]
        lines = sorted((line for line in lines if line.is_short or not only_short), key=lambda line: line.score(now))
        drafted = [line for job_id, line in self._lines.items() if line.draft and job_id not in drafting]
        drafted = drafted if may_draft else []
        if batch := self._next_drafts(drafted, min(limit, MAX_DRAFTS, -(-len(drafted) // free_lanes)), lines, now):
            return batch
        if not lines:
            return []
        first = lines[0]
        if first.alone:
            return [] if running else [self._take(first, first.head, now)]
        if first.head.is_sequential:
            return [self._take(first, first.head, now)]
        lines = [line for line in lines if line.is_short == first.is_short]
        share = -(-sum(len(line.units) for line in lines) // free_lanes)
        if first.head.is_awaited and short_limit_s < math.inf:  # in a batch the first would wait for the last
            share = 1
        return self._fill(lines, min(limit, share), short_limit_s if first.is_short else math.inf, now)

    @staticmethod
    def _next_drafts(drafted: list[_JobLine], limit: int, others: list[_JobLine], now: float) -> list[Unit]:
        """A batch of drafts, the oldest turn's last, unless something else goes before them."""
        drafts = sorted((line.draft for line in drafted if line.draft), key=lambda draft: draft.cost_s)
        if not drafts or (others and others[0].score(now) <= DRAFT_DELAY * drafts[0].cost_s):
            return []
        batch: list[Unit] = []
        for line in drafted:
            joins = line.draft and line.draft.batch_key == drafts[0].batch_key and not line.alone
            if line.draft and joins and len(batch) < limit:
                batch.append(line.draft)
                line.draft = None
        return batch

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


Leaving = Output | UnitDone | Settled


class ActiveJob:
    """What the engine process keeps of a job; guarded by the worker's lock.

    Attributes:
        fed: Its input, if that comes over time.
        is_planned: All units are known.
        is_starved: Its plan waits for input.
        is_cancelled: Nothing more is done for it: nobody wants it, or it has failed.
        in_step: The preparing thread works on it.
        running: Indexes of the units that run.
    """

    def __init__(self, job: Job, fed: Inbox, plan: Iterator[PlanStep]) -> None:
        self.job, self.fed, self.plan = job, fed, plan
        self.is_planned = self.is_starved = self.is_cancelled = False
        self.error: VoiceStackError | None = None
        self.in_step = False
        self.running: set[int] = set()
        self._next_index = self._units = job.first_unit
        self._held: dict[int, list[Output | UnitDone]] = {}
        self._tentative: set[int] = set()
        self._revoked: set[int] = set()
        self._marks: deque[tuple[int, Settled]] = deque()

    @property
    def is_drafting(self) -> bool:
        """Whether a draft of it runs."""
        return any(index < 0 for index in self.running)

    @property
    def is_at_work(self) -> bool:
        """Whether a unit that is no draft runs."""
        return any(index >= 0 for index in self.running)

    def note(self, unit: Unit) -> None:
        """A unit was planned."""
        if not unit.is_draft:
            self._units = unit.index + 1
        if unit.is_tentative:
            self._tentative.add(unit.index)

    def put_in_order(self, result: Output | UnitDone) -> list[Leaving]:
        """Take a result of a unit; returns what may leave now, in the order of the units."""
        if result.index in self._revoked:
            return []
        self._held.setdefault(result.index, []).append(result)
        return self._release()

    def judge(self, verdict: Verdict) -> list[Leaving]:
        """A tentative unit is to be one, or has never been; returns what may leave now."""
        self._tentative.discard(verdict.index)
        if not verdict.is_kept:
            self._revoked.add(verdict.index)
            self._held[verdict.index] = [UnitDone(self.job.id, verdict.index)]
        return self._release()

    def settle(self, settled: Settled) -> list[Leaving]:
        """What was fed before is known as soon as the units so far are delivered; returns what may leave now."""
        self._marks.append((self._units, settled))
        return self._release()

    def _release(self) -> list[Leaving]:
        leaving = self._pass_marks()
        while self._next_index not in self._tentative and (parts := self._held.pop(self._next_index, None)):
            leaving += parts
            if not isinstance(parts[-1], UnitDone):
                break
            self._next_index += 1
            leaving += self._pass_marks()
        return leaving

    def _pass_marks(self) -> list[Leaving]:
        passed: list[Leaving] = []
        while self._marks and self._marks[0][0] <= self._next_index:
            passed.append(self._marks.popleft()[1])
        return passed


def next_to_prepare(jobs: Iterable[ActiveJob], scheduler: "Scheduler", enough: int) -> ActiveJob | None:
    """The job of which the next unit is cut: the one with the fewest units waiting, then with the least work left.

    One that has `enough` of them waiting is left alone.
    """
    unplanned = [active for active in jobs if not (active.is_planned or active.is_cancelled or active.is_starved)]
    waiting = {active.job.id: scheduler.count(active.job.id) for active in unplanned}
    return min(
        (active for active in unplanned if waiting[active.job.id] < enough),
        key=lambda active: (waiting[active.job.id], scheduler.remaining_s(active.job.id)),
        default=None,
    )


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
        self._busy_s, self._busy_until = 0.0, 0.0

    @property
    def busy(self) -> tuple[int, float]:
        """Batches that run now, and the seconds that batches have run so far, of each one."""
        with self._lock:
            self._count()
            return self._running, self._busy_s

    def watch(self, batch: Sequence[Unit], results: Iterator[RunResult]) -> Iterator[RunResult]:
        """The results of a batch as they come, measured."""
        costs_s = {(unit.job_id, unit.index): unit.cost_s for unit in batch if not unit.is_draft}
        done: dict[str, float] = {}
        self._begin()
        try:
            for result in results:
                # Drafts are no work that must be done: where there is no time for them there are none.
                if isinstance(result, UnitDone) and result.index >= 0:
                    done[result.job_id] = done.get(result.job_id, 0.0) + costs_s[result.job_id, result.index]
                yield result
        finally:
            busy_s = self._end()
            if done:
                self._report(BatchDone(done, busy_s))

    def _begin(self) -> None:
        with self._lock:
            self._count()
            if not self._running:
                self._counted_until = time.monotonic()
            self._running += 1

    def _end(self) -> float:
        """Seconds since the last batch began or ended, which nobody has counted yet."""
        with self._lock:
            self._count()
            self._running -= 1
            since, self._counted_until = self._counted_until, time.monotonic()
            return self._counted_until - since

    def _count(self) -> None:
        since, self._busy_until = self._busy_until, time.monotonic()
        self._busy_s += self._running * (self._busy_until - since)
