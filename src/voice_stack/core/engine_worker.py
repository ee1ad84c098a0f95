"""The engine process: the loop that owns the model.

Three threads share one lock. The main thread reads commands; a preparing thread cuts jobs into units, a step of one job
at a time, the job with the fewest units waiting first; the running thread loads the model and then runs batches.
Results leave in the order of each job's units, whatever order they were made in.
"""

import os
import threading
import time
from collections.abc import Iterator
from logging import getLogger
from multiprocessing.connection import Connection

from voice_stack.core.errors import EngineError, ModelLoadError, VoiceStackError
from voice_stack.core.jobs import (
    Again,
    Cancel,
    Command,
    Event,
    Finished,
    Job,
    JobCancelled,
    JobDone,
    JobFailed,
    Loaded,
    LoadFailed,
    Outlook,
    Output,
    Pause,
    PlanStep,
    Preparing,
    Produced,
    RunResult,
    Submit,
    Unit,
    UnitDone,
    UnitPaused,
    UnitStarted,
)
from voice_stack.core.scheduler import Scheduler
from voice_stack.core.workload import Workload

logger = getLogger(__name__)

PREPARED_UNITS = 4
"""Units of one job that may wait: enough to keep the engine busy, few enough to keep memory flat."""


class _ActiveJob:
    """A job inside the engine process."""

    def __init__(self, job: Job, plan: Iterator[PlanStep]) -> None:
        self.job = job
        self.plan = plan
        self.is_planned = False
        self.is_cancelled = False
        self.in_step = False
        self.running: set[int] = set()
        self.next_index = job.first_unit
        self.held: dict[int, list[Produced | Finished]] = {}


class Worker:
    """The state of one engine process."""

    def __init__(self, connection: Connection, workload: Workload) -> None:
        self._connection = connection
        self._workload = workload
        self._scheduler = Scheduler()
        self._jobs: dict[str, _ActiveJob] = {}
        self._changed = threading.Condition()
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Read commands until told to stop or until the API process is gone."""
        for target in (self._prepare_forever, self._run_forever):
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True).start()
        while True:
            try:
                command: Command = self._connection.recv()
            except (EOFError, OSError):
                return
            if not self._obey(command):
                return

    def _obey(self, command: Command) -> bool:
        with self._changed:
            match command:
                case Submit(job):
                    self._jobs[job.id] = _ActiveJob(job, self._workload.plan(job))
                    self._scheduler.open(job.id, time.monotonic(), alone=job.attempt > 0)
                case Cancel(job_id):
                    if active := self._jobs.get(job_id):
                        active.is_cancelled = True
                        self._scheduler.close(job_id)
                        self._end_if_over(active)
                case Pause(job_id, paused):
                    self._scheduler.pause(job_id, paused)
                case _:
                    return False
            self._changed.notify_all()
            return True

    def _send(self, event: Event) -> None:
        with self._sending:
            try:
                self._connection.send(event)
            except OSError:
                # The API process is gone: nobody is left to work for.
                os._exit(0)

    def _prepare_forever(self) -> None:
        announced: str | None = None
        while True:
            with self._changed:
                while (active := self._next_to_prepare()) is None:
                    if announced is not None:
                        announced = None
                        self._send(Preparing(None))
                    self._changed.wait()
                active.in_step = True
            if announced != active.job.id:
                announced = active.job.id
                self._send(Preparing(announced))
            self._prepare_step(active)

    def _next_to_prepare(self) -> _ActiveJob | None:
        unplanned = [active for active in self._jobs.values() if not active.is_planned and not active.is_cancelled]
        open_jobs = [active for active in unplanned if self._scheduler.count(active.job.id) < PREPARED_UNITS]
        return min(
            open_jobs,
            key=lambda active: (self._scheduler.count(active.job.id), self._scheduler.remaining_s(active.job.id)),
            default=None,
        )

    def _prepare_step(self, active: _ActiveJob) -> None:
        job = active.job
        try:
            step = next(active.plan)
        except StopIteration:
            active.is_planned = True
            step = None
        except Exception as error:  # noqa: BLE001 - the border of the preparing thread: logged, and answered below
            self._fail([active], error)
            return
        with self._changed:
            active.in_step = False
            if not active.is_cancelled:
                match step:
                    case Unit(index=index) if index >= job.first_unit:
                        self._scheduler.add(step)
                    case Outlook(remaining_s):
                        self._scheduler.expect(job.id, remaining_s)
            self._end_if_over(active)
            self._changed.notify_all()

    def _run_forever(self) -> None:
        started = time.monotonic()
        try:
            self._workload.load()
        except Exception as error:
            logger.exception("the model does not load")
            known = error if isinstance(error, VoiceStackError) else ModelLoadError(f"the model does not load: {error}")
            self._send(LoadFailed(known))
            os._exit(1)
        self._send(Loaded(time.monotonic() - started))
        while True:
            with self._changed:
                while not (batch := self._scheduler.next(time.monotonic(), self._workload.max_batch)):
                    self._changed.wait()
                for unit in batch:
                    self._jobs[unit.job_id].running.add(unit.index)
                self._changed.notify_all()
            self._run_batch(batch)

    def _run_batch(self, batch: list[Unit]) -> None:
        for unit in batch:
            self._send(UnitStarted(unit.job_id, unit.index))
        jobs = {unit.job_id: self._jobs[unit.job_id] for unit in batch}
        try:
            for unit, result in self._workload.run(batch):
                self._accept(jobs[unit.job_id], unit, result)
                if all(active.is_cancelled for active in jobs.values()):
                    break
        except Exception as error:  # noqa: BLE001 - the border of the running thread: logged, and answered below
            self._fail(list(jobs.values()), error)
        with self._changed:
            for unit in batch:
                jobs[unit.job_id].running.discard(unit.index)
            for active in jobs.values():
                self._end_if_over(active)
            self._changed.notify_all()

    def _accept(self, active: _ActiveJob, unit: Unit, result: RunResult) -> None:
        if active.is_cancelled:
            return
        if isinstance(result, Again):
            with self._changed:
                active.running.discard(unit.index)
                self._send(UnitPaused(unit.job_id, unit.index))
                if not active.is_cancelled:
                    self._scheduler.add(result.unit)
            return
        active.held.setdefault(unit.index, []).append(result)
        while held := active.held.pop(active.next_index, None):
            for part in held:
                self._deliver(active, part)
            if not isinstance(held[-1], Finished):
                return

    def _deliver(self, active: _ActiveJob, part: Produced | Finished) -> None:
        job_id, index = active.job.id, active.next_index
        self._send(Output(job_id, index, part.payload) if isinstance(part, Produced) else UnitDone(job_id, index))
        active.next_index += int(isinstance(part, Finished))

    def _fail(self, jobs: list[_ActiveJob], error: Exception) -> None:
        known = error if isinstance(error, VoiceStackError) else EngineError(f"the engine failed: {error}")
        with self._changed:
            for active in jobs:
                if not isinstance(error, VoiceStackError):
                    logger.error("job failed", exc_info=error, extra={"fields": {"job_request": active.job.request_id}})
                active.in_step = False
                active.is_cancelled = True
                active.running.clear()
                self._scheduler.close(active.job.id)
                if self._jobs.pop(active.job.id, None) is not None:
                    self._workload.forget(active.job)
                    self._send(JobFailed(active.job.id, known))
            self._changed.notify_all()

    def _end_if_over(self, active: _ActiveJob) -> None:
        job = active.job
        if active.in_step or active.running or job.id not in self._jobs:
            return
        if active.is_cancelled:
            self._send(JobCancelled(job.id))
        elif active.is_planned and self._scheduler.count(job.id) == 0:
            self._send(JobDone(job.id, self._workload.finish(job)))
            self._scheduler.close(job.id)
        else:
            return
        del self._jobs[job.id]
        if hasattr(active.plan, "close"):
            active.plan.close()
        self._workload.forget(job)
