"""What crosses the border between API process and engine process, and what a server teaches its engine processes.

A job is one request; its units are the small pieces of work the engine process cuts it into. The API process sends
commands, the engine process answers with events. What a request, a unit's data and an output hold is each server's own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.feeds import Draft, Feed, Inbox, Notice, Settled, Starved, Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OptionsT = TypeVar("OptionsT", bound="DataclassInstance")


def options_from(kind: type[OptionsT], *sources: object, **own: object) -> OptionsT:
    """Options made of what has the same name elsewhere: each is declared once, and no line of its own copies it.

    Args:
        kind: A dataclass.
        sources: Settings, or the fields of a request: the first that has a name, and not None there, counts. Where none
            has, the class's own default does.
        own: What is not taken from the sources.
    """
    names = {field.name for field in fields(kind)} - own.keys()
    found = {
        name: value
        for source in reversed(sources)
        for name in names
        if (value := getattr(source, name, None)) is not None
    }
    return kind(**found, **own)


@dataclass(frozen=True, slots=True)
class Job:
    """One request on its way through an engine.

    Attributes:
        id: Unique in the server's life.
        request: The server's own picklable description of the work.
        request_id: The HTTP request it belongs to, for the logs.
        first_unit: Units before this one were delivered already, by a process that died since.
        attempt: How often an engine process died while it worked on this job.
        is_fed: Its input comes over time, as `Feed`s.
        mark: The workload's own note of where it stood when what was fed before was no longer needed.
    """

    id: str
    request: object
    request_id: str
    first_unit: int = 0
    attempt: int = 0
    is_fed: bool = False
    mark: object = None


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest work the scheduler knows: one window of speech, one clause of text.

    Attributes:
        job_id: The job it is a part of.
        index: Its place in the job, from 0; results leave in this order.
        cost_s: Expected length of its audio in seconds, the measure of work.
        batch_key: Units with equal keys may run in one batch.
        data: What the engine works on.
        is_sequential: It runs by itself, with no other unit of its job beside it: what it finds shapes the next, or it
            is wanted at once.
        is_awaited: Somebody waits for this very unit, not for the job: it goes by its own work.
        is_draft: Its results are provisional. The newest of a job takes the place of one that waits, the next unit that
            is none ends it; its index, below 0, has no order.
        is_tentative: Its results are held until a `Verdict`.
    """

    job_id: str
    index: int
    cost_s: float
    batch_key: Hashable
    data: object
    is_sequential: bool = False
    is_awaited: bool = False
    is_draft: bool = False
    is_tentative: bool = False

    def output(self, payload: object) -> "Output":
        """Running it gave a part of its output."""
        return Output(self.job_id, self.index, payload)

    def done(self) -> "UnitDone":
        """Running it is complete."""
        return UnitDone(self.job_id, self.index)


class Urgency(Enum):
    """What else there is to do while a batch of units runs."""

    ALONE = "a short job, nothing else"
    FIRST = "the only short job, beside long ones"
    SHARED = "short jobs beside other short ones"
    LONG = "long jobs: nobody waits for this batch"


@dataclass(frozen=True, slots=True)
class Again:
    """A unit must run once more, in another form: at a higher temperature, for example."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Submit:
    """Command: take this job."""

    job: Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """Command: nobody wants this job any more."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Command: the reader of this job is slow, run none of its units for now (or again, if not `paused`)."""

    job_id: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Command to a process that stands by: load the model."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Command: end the process."""


Command = Submit | Feed | Cancel | Pause | Load | Stop


@dataclass(frozen=True, slots=True)
class Loaded:
    """Event: the model is ready.

    Attributes:
        load_s: What that took, in seconds.
        lanes: Jobs that run at once, of which none holds up another; those of a model share what it computes with.
    """

    load_s: float
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """Event: the model cannot be loaded; the process ends."""

    error: VoiceStackError


@dataclass(frozen=True, slots=True)
class Preparing:
    """Event: from now on the preparing thread is busy with this job; with none, if it rests."""

    job_id: str | None


@dataclass(frozen=True, slots=True)
class BatchDone:
    """Event: the engine has run a batch.

    Attributes:
        work_s: What it ran to the end, by job: the sum of `Unit.cost_s`.
        busy_s: How long the engine was at work for it; time in which several batches ran is shared among them.
    """

    work_s: Mapping[str, float]
    busy_s: float


@dataclass(frozen=True, slots=True)
class Expected:
    """Step of a plan, and event: how much work a job is, in seconds of audio, as a first look at it says."""

    job_id: str
    work_s: float


@dataclass(frozen=True, slots=True)
class UnitStarted:
    """Event: the engine works on the unit.

    Attributes:
        batch_units: Units of the batch that it is the first of; 0 for the others of a batch.
    """

    job_id: str
    index: int
    batch_units: int = 0


@dataclass(frozen=True, slots=True)
class UnitPaused:
    """Event: the engine put the unit back to run it again."""

    job_id: str
    index: int


@dataclass(frozen=True, slots=True)
class Output:
    """Result of running a unit, and event: a part of the job's result, in order."""

    job_id: str
    index: int
    payload: object


@dataclass(frozen=True, slots=True)
class UnitDone:
    """Result of running a unit, and event: everything of it has been delivered."""

    job_id: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredWork:
    """A closing statement that metrics can read: audio heard and spoken, in seconds; characters of the text spoken."""

    audio_in_s: float = 0.0
    audio_out_s: float = 0.0
    characters_in: int = 0


@dataclass(frozen=True, slots=True)
class JobDone:
    """Event: the job is complete; `summary` is the server's own closing statement."""

    job_id: str
    summary: object


@dataclass(frozen=True, slots=True)
class JobFailed:
    """Event: the job ends with an error."""

    job_id: str
    error: VoiceStackError


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """Event: the engine has let go of a cancelled job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Event: a sign of life.

    Attributes:
        work_s: How long the longest work of the moment takes by now without a result, in seconds.
        job_ids: The jobs of that work.
        units: Units that all threads have in hand.
        lanes: Batches that may run at once; 0 before the model is loaded.
        batches: Those that run now.
        busy_s: Seconds that batches have run so far, of each one: two at once for a second are two seconds.
    """

    work_s: float
    job_ids: frozenset[str]
    units: int
    lanes: int = 0
    batches: int = 0
    busy_s: float = 0.0


RunResult = Output | UnitDone | Again
PlanStep = Unit | Expected | Starved | Notice | Settled | Verdict | None
JobEvent = (
    Expected
    | Starved
    | Notice
    | Settled
    | Draft
    | UnitStarted
    | UnitPaused
    | Output
    | UnitDone
    | JobDone
    | JobFailed
    | JobCancelled
)
HostEvent = Loaded | LoadFailed | Preparing | BatchDone | JobEvent
Event = Beat | HostEvent


class Workload(ABC):
    """What one kind of engine process does with a job; built once per process by the server's factory.

    `plan` and the steps of what it returns are called by the preparing thread, `load` by the first lane, `run` by every
    lane, so by several threads at once; `finish` and `forget` when nothing of the job runs.

    Attributes:
        lanes: How many batches may run at once; known after `load`, as the others are.
        max_batch: Most units of a batch.
        short_batch_s: Most work in a batch of several units of short jobs, as the sum of `Unit.cost_s`.
        has_express_lane: Whether one more batch may run, of short jobs, while long jobs hold all lanes.
        has_solo: Whether a batch that is `Urgency.ALONE` has all cores.
    """

    lanes: int = 1
    max_batch: int = 1
    short_batch_s: float = math.inf
    has_express_lane: bool = False
    has_solo: bool = False

    @abstractmethod
    def load(self) -> None:
        """Load the model."""

    @abstractmethod
    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        """Cut a job into units, lazily: `Expected` when known, None now and then in long work without a unit.

        Args:
            job: The job.
            fed: Its input, if that comes over time; the plan ends after it is closed.
        """

    @abstractmethod
    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        """Run a batch of units with equal keys; each unit ends with `UnitDone` or `Again`."""

    @abstractmethod
    def finish(self, job: Job) -> object:
        """The closing statement of a job that is complete."""

    @abstractmethod
    def forget(self, job: Job) -> None:
        """Drop what is kept of a job; called once, however it ended."""
