"""A job inside the engine process."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from voice_stack.core.jobs import Finished, Job, Output, PlanStep, Produced, UnitDone

if TYPE_CHECKING:
    from voice_stack.core.errors import VoiceStackError
    from voice_stack.core.scheduler import Scheduler


class ActiveJob:
    """What the engine process keeps of a job; guarded by the worker's lock.

    Attributes:
        job: As submitted.
        plan: Its units to come.
        is_planned: All units are known.
        is_cancelled: Nothing more is done for it: nobody wants it, or it has failed.
        error: Why it failed.
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
        self._held: dict[int, list[Produced | Finished]] = {}

    def put_in_order(self, index: int, part: Produced | Finished) -> list[Output | UnitDone]:
        """Take a result of a unit; returns the events of what may leave now, in the order of the units."""
        self._held.setdefault(index, []).append(part)
        leaving: list[Output | UnitDone] = []
        while parts := self._held.pop(self._next_index, None):
            leaving += [_event_of(self.job.id, self._next_index, part) for part in parts]
            if not isinstance(parts[-1], Finished):
                break
            self._next_index += 1
        return leaving


def _event_of(job_id: str, index: int, part: Produced | Finished) -> Output | UnitDone:
    return Output(job_id, index, part.payload) if isinstance(part, Produced) else UnitDone(job_id, index)


def next_to_prepare(jobs: Iterable[ActiveJob], scheduler: "Scheduler", enough: int) -> ActiveJob | None:
    """The job of which the next unit is cut: the one with the fewest units waiting, then with the least work left.

    Args:
        jobs: All jobs of the engine.
        scheduler: Knows their waiting units.
        enough: A job with so many is left alone.
    """
    unplanned = [active for active in jobs if not active.is_planned and not active.is_cancelled]
    waiting = {active.job.id: scheduler.count(active.job.id) for active in unplanned}
    return min(
        (active for active in unplanned if waiting[active.job.id] < enough),
        key=lambda active: (waiting[active.job.id], scheduler.remaining_s(active.job.id)),
        default=None,
    )
