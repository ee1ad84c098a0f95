"""The engine process: the loop that owns the model, and its signs of life.

A stopped process gives none; one that is in a long native call does, and says for how long.

Its threads share one lock. The main thread reads commands; a preparing thread cuts jobs into units, a step of one job
at a time, the job with the fewest units waiting first; the first lane loads the model, then every lane runs batches.
Results leave in the order of each job's units, whatever order they were made in.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from logging import getLogger
from multiprocessing.connection import Connection
from multiprocessing.process import current_process

from voice_stack.core.errors import EngineError, InsufficientMemoryError, ModelLoadError, VoiceStackError
from voice_stack.core.feeds import Draft, Feed, Inbox, Notice, Settled, Starved, Verdict
from voice_stack.core.jobs import (
    Again,
    Cancel,
    Command,
    Event,
    Expected,
    JobCancelled,
    JobDone,
    JobFailed,
    Load,
    Loaded,
    LoadFailed,
    Output,
    Pause,
    PlanStep,
    Preparing,
    RunResult,
    Submit,
    Unit,
    UnitPaused,
    UnitStarted,
    Urgency,
    Workload,
)
from voice_stack.core.logging import configure_logging, logged_for
from voice_stack.core.models.repair import verify_before_loading
from voice_stack.core.system.memory import freeze_living_objects, give_memory_back, pause_collections, use_one_heap
from voice_stack.core.system.side_process import NICENESS, end_with_parent
from voice_stack.core.worker.scheduler import ActiveJob, Scheduler, WorkClock, WorkMeter, next_to_prepare

BEAT_S = 1.0


logger = getLogger(__name__)

PREPARED_BATCHES, MIN_PREPARED = 2, 4
QUIET_S = 1.0
"""Without a job for so long, memory that is not in use goes back to the system."""
EXPRESS_LANE = "express lane"
LIVE_S = 10.0
"""So long after somebody spoke whose words come over time, long jobs keep one lane free together."""


class Worker:
    """The state of one engine process."""

    def __init__(self, connection: Connection, workload: Workload, *, stands_by: bool) -> None:
        self._connection = connection
        self._is_wanted = threading.Event()
        if not stands_by:
            self._is_wanted.set()
        self._sending = threading.Lock()
        self._clock = WorkClock()
        self._workload = workload
        self._scheduler = Scheduler()
        self._jobs: dict[str, ActiveJob] = {}
        self._changed = threading.Condition()
        self._lanes = self._free_lanes = 0
        self._meter = WorkMeter(self._send)
        self._heard_live_at = -LIVE_S
        self._is_solo = False

    @property
    def _enough(self) -> int:
        """Units that one job may have waiting: the engine is never idle, and memory stays flat."""
        return max(MIN_PREPARED, PREPARED_BATCHES * self._workload.lanes * self._workload.max_batch)

    def serve(self) -> None:
        """Read commands until told to stop or until the API process is gone."""
        for target in (self._beat_forever, self._prepare_forever, self._run_first_lane):
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True).start()
        with contextlib.suppress(EOFError, OSError):
            while self._obey(self._next_command()):
                pass

    def _send(self, event: Event) -> None:
        """Send an event; any thread may. The process ends where nobody is left to work for."""
        with self._sending:
            try:
                self._connection.send(event)
            except OSError:
                os._exit(0)

    def _beat_forever(self) -> None:
        self._is_wanted.wait()
        while True:
            batches, busy_s = self._meter.busy
            self._send(replace(self._clock.beat(), lanes=self._lanes, batches=batches, busy_s=busy_s))
            time.sleep(BEAT_S)

    def _next_command(self) -> Command:
        while not self._connection.poll(QUIET_S):
            if not self._jobs:
                give_memory_back()
                break
        return self._connection.recv()  # type: ignore[no-any-return]  # the pipe carries commands only

    def _obey(self, command: Command) -> bool:
        with self._changed:
            match command:
                case Submit(job):
                    self._jobs[job.id] = ActiveJob(job, fed := Inbox(), self._workload.plan(job, fed))
                    # What is fed keeps its time: it shares the engine even where it may have broken it.
                    self._scheduler.open(job.id, time.monotonic(), alone=job.attempt > 0 and not job.is_fed)
                case Feed(job_id):
                    if active := self._jobs.get(job_id):
                        active.fed.put(command)
                        active.is_starved = False
                case Cancel(job_id):
                    if active := self._jobs.get(job_id):
                        active.is_cancelled = True
                        self._scheduler.close(job_id)
                        self._end_if_over(active)
                case Pause(job_id, paused):
                    self._scheduler.pause(job_id, paused)
                case Load():
                    self._is_wanted.set()
                case _:
                    return False
            self._changed.notify_all()
            return True

    def _prepare_forever(self) -> None:
        announced: str | None = None
        while True:
            with self._changed:
                while (active := next_to_prepare(self._jobs.values(), self._scheduler, self._enough)) is None:
                    if announced is not None:
                        announced = None
                        self._send(Preparing(None))
                    self._changed.wait()
                active.in_step = True
            # A step of what is fed is short, and there are many of them.
            if announced != active.job.id and not active.job.is_fed:
                announced = active.job.id
                self._send(Preparing(announced))
            with logged_for([active.job.request_id]):
                self._prepare_step(active)

    def _prepare_step(self, active: ActiveJob) -> None:
        job, step = active.job, None
        try:
            with self._clock.measure([job.id]):
                step = next(active.plan)
        except StopIteration:
            active.is_planned = True
        except Exception as error:  # noqa: BLE001 - the border of the preparing thread: logged, and answered below
            self._fail([active], error)
        with self._changed:
            active.in_step = False
            if not active.is_cancelled:
                self._take_step(active, step)
            self._end_if_over(active)
            self._changed.notify_all()

    def _take_step(self, active: ActiveJob, step: PlanStep) -> None:
        match step:
            case Unit(index=index, is_draft=is_draft) if is_draft or index >= active.job.first_unit:
                active.note(step)
                self._scheduler.add(step, time.monotonic())
                self._heard_live_at = time.monotonic() if active.job.is_fed else self._heard_live_at
            case Expected(work_s=work_s):
                self._scheduler.expect(active.job.id, work_s)
                self._send(step)
            case Starved():
                # What was fed since the plan looked is not overlooked.
                if not active.fed and not active.fed.is_closed:
                    active.is_starved = True
                    if active.fed.is_worth_telling():
                        self._send(step)
            case Notice():
                self._send(step)
            case Verdict(index, is_kept):
                (self._scheduler.keep if is_kept else self._scheduler.drop)(active.job.id, index)
                self._send_all(active.judge(step))
            case Settled():
                self._send_all(active.settle(step))

    def _run_first_lane(self) -> None:
        self._is_wanted.wait()
        outcome = _load(self._workload)
        self._send(outcome)
        if isinstance(outcome, LoadFailed):
            os._exit(1)
        self._lanes = self._free_lanes = self._workload.lanes
        names = [f"lane {lane}" for lane in range(1, self._workload.lanes)]
        for name in [*names, EXPRESS_LANE] if self._workload.has_express_lane else names:
            threading.Thread(target=self._run_lane, args=(name,), name=name, daemon=True).start()
        self._run_lane("lane 0")

    def _run_lane(self, name: str) -> None:
        is_express = name == EXPRESS_LANE
        while True:
            with self._changed:
                while not (batch := self._next_express_batch() if is_express else self._next_batch()):
                    self._changed.wait()
                urgency = self._choose_urgency(batch)
                # Beside threads that share a batch, others make each of them wait for the slowest.
                self._is_solo = is_solo = self._workload.has_solo and self._is_live(batch) and urgency is Urgency.ALONE
                self._free_lanes -= int(not is_express)
                jobs = {unit.job_id: self._jobs[unit.job_id] for unit in batch}
                for unit in batch:
                    jobs[unit.job_id].running.add(unit.index)
                    self._send(UnitStarted(unit.job_id, unit.index, len(batch) if unit is batch[0] else 0))
                self._changed.notify_all()
            with logged_for(active.job.request_id for active in jobs.values()):
                self._run_batch(batch, jobs, urgency)
            with self._changed:
                self._free_lanes += int(not is_express)
                self._is_solo &= not is_solo
                self._changed.notify_all()

    def _is_live(self, batch: Sequence[Unit]) -> bool:
        return self._jobs[batch[0].job_id].job.is_fed

    def _choose_urgency(self, batch: Sequence[Unit]) -> Urgency:
        """How urgent a batch is. What is live has one core, but for a final that has all of them to itself."""
        urgency = self._scheduler.urgency({unit.job_id for unit in batch}, self._running_jobs())
        is_crowd = batch[0].is_draft or self._scheduler.is_crowd(time.monotonic())
        return Urgency.SHARED if self._is_live(batch) and (is_crowd or urgency is not Urgency.ALONE) else urgency

    def _next_batch(self, *, is_express: bool = False) -> list[Unit]:
        if self._is_solo:
            return []
        now, running = time.monotonic(), self._running_jobs()
        has_long = not all(map(self._scheduler.is_short, running))
        return self._scheduler.next(
            now,
            self._workload.max_batch,
            short_limit_s=self._workload.short_batch_s,
            free_lanes=max(1, self._free_lanes),
            running=running,
            drafting={job_id for job_id, active in self._jobs.items() if active.is_drafting},
            # No final waits for drafts, which cannot be stopped: a lane is left to it, if there are several.
            may_draft=self._workload.lanes == 1 or (self._free_lanes > (0 if has_long else 1)),
            only_short=is_express or (has_long and now - self._heard_live_at < LIVE_S),
        )

    def _next_express_batch(self) -> list[Unit]:
        """A batch of short jobs, while long ones hold the lanes: the cores are shared then, but nobody waits."""
        holds_up = self._free_lanes == 0 and not all(map(self._scheduler.is_short, self._running_jobs()))
        return self._next_batch(is_express=True) if holds_up else []

    def _running_jobs(self) -> set[str]:
        return {job_id for job_id, active in self._jobs.items() if active.is_at_work}

    def _run_batch(self, batch: list[Unit], jobs: dict[str, ActiveJob], urgency: Urgency) -> None:
        mine = {(unit.job_id, unit.index) for unit in batch}  # what went back may run in another lane by now
        try:
            with self._clock.measure(unit.job_id for unit in batch):
                for result in self._meter.watch(batch, self._workload.run(batch, urgency)):
                    self._clock.restart()
                    part = result.unit if isinstance(result, Again) else result
                    if self._accept(jobs[part.job_id], result):  # it went back
                        mine.discard((part.job_id, part.index))
                    if all(active.is_cancelled for active in jobs.values()):
                        break
        except Exception as error:  # noqa: BLE001 - the border of a lane: logged, and answered below
            if batch[0].is_draft:  # the next draft, or the final text, makes up for it
                logger.warning("a draft failed: %s", error)
                self._send_all(unit.done() for unit in batch)
            else:
                self._fail(list(jobs.values()), error)
        with self._changed:
            for job_id, index in mine:
                jobs[job_id].running.discard(index)
            for active in jobs.values():
                self._end_if_over(active)
            self._changed.notify_all()

    def _accept(self, active: ActiveJob, result: RunResult) -> bool:
        with self._changed:
            if active.is_cancelled:
                return False
            if isinstance(result, Again):
                active.running.discard(result.unit.index)
                self._send(UnitPaused(active.job.id, result.unit.index))
                self._scheduler.add(result.unit, time.monotonic())
                self._changed.notify_all()
                return True
            if result.index >= 0:
                self._send_all(active.put_in_order(result))
            else:
                self._send(Draft(result.job_id, result.payload) if isinstance(result, Output) else result)
            return False

    def _send_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._send(event)

    def _fail(self, jobs: list[ActiveJob], error: Exception) -> None:
        """Let jobs end with an error as soon as nothing of them runs any more."""
        known = error if isinstance(error, VoiceStackError) else EngineError(f"the engine failed: {error}")
        with self._changed:
            for active in jobs:
                if not isinstance(error, VoiceStackError):
                    with logged_for([active.job.request_id]):
                        logger.error("job failed", exc_info=error)
                active.error = active.error or known
                active.is_cancelled = True
                self._scheduler.close(active.job.id)

    def _end_if_over(self, active: ActiveJob) -> None:
        job = active.job
        if active.in_step or active.running or job.id not in self._jobs:
            return
        if active.error:
            self._send(JobFailed(job.id, active.error))
        elif active.is_cancelled:
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


def serve_engine(
    connection: Connection,
    factory: str,
    config: object,
    log_level: str,
    log_format: str,
    is_wary: bool,
    stands_by: bool = False,
) -> None:
    """Entry point of an engine process; one that stands by waits for `Load`."""
    # Ctrl-C and the end of a terminal go to its whole group; the API process decides when its engines stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    current_process().daemon = False  # it may have a process of its own, which ends with it
    end_with_parent()
    configure_logging(log_level, log_format, "engine")
    if sys.platform != "win32":
        # Below the API process: a model on all cores must not slow down the reading of uploads and the health checks.
        os.nice(NICENESS)
    # numpy's products are small here: a second thread costs them more than it brings, and takes a core from the model.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if is_wary:
        verify_before_loading()
    use_one_heap()
    pause_collections()
    module, _, function = factory.partition(":")
    workload = getattr(import_module(module), function)(config)
    if stands_by:
        with contextlib.suppress(VoiceStackError, ImportError, OSError):  # whoever loads the model says it
            import_module(module).stand_by(config)
    freeze_living_objects()
    Worker(connection, workload, stands_by=stands_by).serve()
    # Threads may be inside native code; a normal interpreter exit would wait for or crash in it.
    os._exit(0)


def _load(workload: Workload) -> Loaded | LoadFailed:
    """Load the model; what the API process is told of it."""
    started = time.monotonic()
    try:
        workload.load()
    except MemoryError:
        logger.exception("the model does not load")
        return LoadFailed(InsufficientMemoryError("The model does not load: the system gives no more memory for it."))
    except Exception as error:  # the border to the libraries of models
        logger.exception("the model does not load")
        known = error if isinstance(error, VoiceStackError) else ModelLoadError(f"the model does not load: {error}")
        return LoadFailed(known)
    return Loaded(time.monotonic() - started)
