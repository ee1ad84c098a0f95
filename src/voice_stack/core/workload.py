"""What a server teaches its engine processes: how a job becomes units and what running them gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from voice_stack.core.jobs import Job, PlanStep, RunResult, Unit


class Workload(ABC):
    """What one kind of engine process does with a job; built once per process by the server's factory.

    `load` and `run` are called by the running thread, `plan` and the steps of what it returns by the preparing thread.
    """

    max_batch: int = 1

    @abstractmethod
    def load(self) -> None:
        """Load the model."""

    @abstractmethod
    def plan(self, job: Job) -> Iterator[PlanStep]:
        """Cut a job into units, lazily: an `Outlook` when known, None now and then in long work without a unit."""

    @abstractmethod
    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, RunResult]]:
        """Run a batch of units with equal keys; each unit ends with `Finished` or `Again`."""

    @abstractmethod
    def finish(self, job: Job) -> object:
        """The closing statement of a job that is complete."""

    @abstractmethod
    def forget(self, job: Job) -> None:
        """Drop what is kept of a job; called once, however it ended."""
