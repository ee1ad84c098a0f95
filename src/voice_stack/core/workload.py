"""What a server teaches its engine processes: how a job becomes units and what running them gives."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from logging import getLogger

from voice_stack.core.errors import InsufficientMemoryError, ModelLoadError, VoiceStackError
from voice_stack.core.jobs import Job, Loaded, LoadFailed, PlanStep, RunResult, Unit, Urgency

logger = getLogger(__name__)


class Workload(ABC):
    """What one kind of engine process does with a job; built once per process by the server's factory.

    `plan` and the steps of what it returns are called by the preparing thread, `load` by the first lane, `run` by every
    lane, so by several threads at once; `finish` and `forget` when nothing of the job runs.

    Attributes:
        lanes: How many batches may run at once; known after `load`, as the others are.
        max_batch: Most units of a batch.
        short_batch_s: Most work in a batch of several units of short jobs, as the sum of `Unit.cost_s`.
        has_express_lane: Whether one more batch may run, of short jobs, while long jobs hold all lanes.
    """

    lanes: int = 1
    max_batch: int = 1
    short_batch_s: float = math.inf
    has_express_lane: bool = False

    @abstractmethod
    def load(self) -> None:
        """Load the model."""

    @abstractmethod
    def plan(self, job: Job) -> Iterator[PlanStep]:
        """Cut a job into units, lazily: an `Outlook` when known, None now and then in long work without a unit."""

    @abstractmethod
    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[tuple[Unit, RunResult]]:
        """Run a batch of units with equal keys; each unit ends with `Finished` or `Again`."""

    @abstractmethod
    def finish(self, job: Job) -> object:
        """The closing statement of a job that is complete."""

    @abstractmethod
    def forget(self, job: Job) -> None:
        """Drop what is kept of a job; called once, however it ended."""


def load_outcome(workload: Workload) -> Loaded | LoadFailed:
    """Load the model; what the API process is told of it."""
    started = time.monotonic()
    try:
        workload.load()
    except MemoryError:
        logger.exception("the model does not load")
        return LoadFailed(InsufficientMemoryError("The model does not load: the system gives no more memory for it."))
    except Exception as error:
        logger.exception("the model does not load")
        known = error if isinstance(error, VoiceStackError) else ModelLoadError(f"the model does not load: {error}")
        return LoadFailed(known)
    return Loaded(time.monotonic() - started)
