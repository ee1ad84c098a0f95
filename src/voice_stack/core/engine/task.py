"""A link to a task in the API process: for work that is done elsewhere, and only has to be waited for."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import Context
from dataclasses import dataclass, field
from importlib import import_module
from logging import getLogger

from voice_stack.core.engine.link import EngineLink, EngineSpec
from voice_stack.core.errors import EngineError, ModelLoadError, UnsupportedValueError, VoiceStackError
from voice_stack.core.feeds import Feed, Inbox, Starved
from voice_stack.core.jobs import (
    BatchDone,
    Beat,
    Cancel,
    Command,
    Expected,
    HostEvent,
    Job,
    JobCancelled,
    JobDone,
    JobFailed,
    Loaded,
    LoadFailed,
    MeasuredWork,
    Output,
    Pause,
    Stop,
    Submit,
    UnitDone,
    UnitStarted,
)
from voice_stack.core.logging import logged_for

logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Closing:
    """The last that `AsyncWorkload.run` gives: everything of the job is out; `summary` becomes `JobDone.summary`."""

    summary: object


class AsyncWorkload(ABC):
    """What a task does with a job: it has the work done elsewhere. Built by `EngineSpec.factory`, once for each life.

    All of it runs on the event loop of the API process, so nothing in it may compute for more than a few milliseconds:
    that goes into a thread. It sets its own limits of time; nobody else ends a job that takes long.

    Attributes:
        lanes: Jobs that run at once, of which none holds up another; others wait for their turn, in order.
    """

    lanes: int = 1

    @abstractmethod
    async def load(self) -> None:
        """Get ready, in a moment.

        Raises:
            VoiceStackError: It cannot work: every job that waits fails with this, or goes to the fall-back model.
        """

    @abstractmethod
    def run(self, job: Job) -> AsyncGenerator[object, None]:
        """Do a job: an asynchronous generator that is closed where nobody wants the job any more.

        Between two steps it may be kept waiting, while who reads the outputs is slow.

        Yields:
            The parts of the result, in order; `Expected`, when it is known how much work it is; last a `Closing`.

        Raises:
            VoiceStackError: The job fails with it. Any other error is a fault of the workload: it is logged, and the
                job fails with an `EngineError` that does not repeat what it says.
        """

    def follow(self, job: Job, fed: AsyncGenerator[object, None]) -> AsyncGenerator[object, None]:
        """Do a job whose input comes over time; otherwise as `run`.

        Args:
            job: The job.
            fed: Its input, as it comes; ends where there is no more.

        Raises:
            UnsupportedValueError: It does none of these; so where a workload says nothing else.
        """
        message = "The model takes whole requests only, none whose input comes over time."
        raise UnsupportedValueError(message, param="model")

    @abstractmethod
    async def close(self) -> None:
        """Give back what is held; no job runs any more."""


@dataclass(slots=True, eq=False)
class _Running:
    """A job that waits for its lane or has it, and its input, if that comes over time."""

    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    inbox: Inbox = field(default_factory=Inbox)
    is_fed: asyncio.Event = field(default_factory=asyncio.Event)
    is_cancelled: bool = False
    task: asyncio.Task[None] = field(init=False)


class TaskLink(EngineLink):
    """A task that owns an `AsyncWorkload`, and a task for each job.

    Args:
        spec: What to start.
        on_event: See `EngineLink`.
        on_exit: See `EngineLink`.
    """

    pid: int | None = None
    last_beat: Beat | None = None

    def __init__(
        self, spec: EngineSpec, on_event: Callable[[HostEvent], None], on_exit: Callable[[int | None], None]
    ) -> None:
        super().__init__(on_event, on_exit)
        self._spec = spec
        self._jobs: dict[str, _Running] = {}
        self._lanes = asyncio.Semaphore(0)
        self._ready: asyncio.Future[AsyncWorkload] = self._loop.create_future()
        self._is_ending = False
        nobody = Context()  # not the request that happened to come first: it would be named in each line of the log
        self._life = self._loop.create_task(self._live(), name=spec.name, context=nobody)
        self._life.add_done_callback(lambda _life: self._end(None), context=nobody)

    @property
    def last_sign_at(self) -> float:
        """Now: whoever asks runs on the same event loop."""
        return time.monotonic()

    def send(self, command: Command) -> None:
        """See `EngineLink`."""
        if self._is_ending:
            return
        match command:
            case Submit(job):
                self._jobs[job.id] = running = _Running()
                running.may_go_on.set()
                running.task = self._loop.create_task(self._run(job, running), name=job.id)
            case Feed(job_id):
                if known := self._jobs.get(job_id):
                    known.inbox.put(command)
                    known.is_fed.set()
            case Cancel(job_id):
                if known := self._jobs.get(job_id):
                    known.is_cancelled = True
                    known.task.cancel()
            case Pause(job_id, paused):
                if known := self._jobs.get(job_id):
                    (known.may_go_on.clear if paused else known.may_go_on.set)()
            case Stop():
                self._is_ending = True
                self._life.cancel()

    def kill(self) -> None:
        """See `EngineLink`; what it holds is given back behind that."""
        self._is_ending = True
        self._life.cancel()
        self._loop.call_soon(self._end, None)

    async def _live(self) -> None:
        began_at = time.monotonic()
        workload: AsyncWorkload | None = None
        try:
            workload = _build(self._spec)
            await workload.load()
            self._lanes = asyncio.Semaphore(workload.lanes)
            self._ready.set_result(workload)
            self._tell(Loaded(time.monotonic() - began_at, workload.lanes))
            await self._loop.create_future()  # until it is cancelled
        except Exception as error:  # the border to the workload
            logger.exception("the engine does not start")
            own = ModelLoadError(f"the engine {self._spec.name} does not start: {type(error).__name__}")
            self._tell(LoadFailed(error if isinstance(error, VoiceStackError) else own))
        finally:
            self._is_ending = True
            await self._give_back(workload)

    async def _give_back(self, workload: AsyncWorkload | None) -> None:
        tasks = [running.task for running in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if workload is not None:
                await workload.close()
        except Exception:  # nobody waits for it any more
            logger.exception("the engine does not end as it should")

    async def _run(self, job: Job, running: _Running) -> None:
        try:
            with logged_for([job.request_id]):
                ending: HostEvent = await self._work(job, running)
        except asyncio.CancelledError:
            if not running.is_cancelled:  # the engine ends; that is told as such
                raise
            ending = JobCancelled(job.id)
        finally:
            del self._jobs[job.id]
        self._tell(ending)

    async def _work(self, job: Job, running: _Running) -> JobDone | JobFailed:
        try:
            workload = await asyncio.shield(self._ready)
            steps = workload.follow(job, self._input(job, running)) if job.is_fed else workload.run(job)
            async with self._lanes, aclosing(steps):
                return JobDone(job.id, await self._take_steps(steps, job, running))
        except VoiceStackError as error:
            return JobFailed(job.id, error)
        except Exception as error:  # a fault of the workload; what it says may hold what nobody should read
            logger.exception("job failed")
            return JobFailed(job.id, EngineError(f"the engine {self._spec.name} failed: {type(error).__name__}"))

    async def _input(self, job: Job, running: _Running) -> AsyncGenerator[object, None]:
        """What is fed to a job, as it comes."""
        inbox = running.inbox
        while inbox or not inbox.is_closed:
            for data in inbox.take():
                yield data
            self._tell(Starved(job.id, inbox.taken))
            if not (inbox or inbox.is_closed):
                running.is_fed.clear()
                await running.is_fed.wait()

    async def _take_steps(self, steps: AsyncGenerator[object, None], job: Job, running: _Running) -> object:
        began_at, work_s = time.monotonic(), 0.0
        self._tell(UnitStarted(job.id, 0, batch_units=1))
        async for step in steps:
            match step:
                case Closing(summary):
                    break
                case Expected():
                    work_s = step.work_s
                    self._tell(step)
                case _:
                    self._tell(Output(job.id, 0, step))
            await running.may_go_on.wait()
        else:
            raise EngineError(f"the engine {self._spec.name} stopped without an end")
        if isinstance(summary, MeasuredWork):
            work_s = summary.audio_in_s + summary.audio_out_s
        self._tell(UnitDone(job.id, 0))
        self._tell(BatchDone({job.id: work_s}, time.monotonic() - began_at))
        return summary

    def _tell(self, event: HostEvent) -> None:
        if self.is_alive:
            self._on_event(event)


def _build(spec: EngineSpec) -> AsyncWorkload:
    module, _, function = spec.factory.partition(":")
    workload = getattr(import_module(module), function)(spec.config)
    assert isinstance(workload, AsyncWorkload), f"{spec.factory} builds no AsyncWorkload"
    return workload
