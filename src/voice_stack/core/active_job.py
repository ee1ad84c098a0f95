"""A job inside the engine process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from voice_stack.core.jobs import Finished, Job, PlanStep, Produced

if TYPE_CHECKING:
    from voice_stack.core.errors import VoiceStackError


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

    def put_in_order(self, index: int, part: Produced | Finished) -> list[tuple[int, Produced | Finished]]:
        """Take a result of a unit; returns what may leave now with its unit's index, in the order of the units."""
        self._held.setdefault(index, []).append(part)
        leaving: list[tuple[int, Produced | Finished]] = []
        while parts := self._held.pop(self._next_index, None):
            leaving += [(self._next_index, part) for part in parts]
            if not isinstance(parts[-1], Finished):
                break
            self._next_index += 1
        return leaving
