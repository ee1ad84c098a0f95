"""Keeps one engine going over the lives of its links.

stopped --submit--> starting --Loaded--> ready --idle--> stopped; an engine that dies is replaced, its waiting jobs go
on in the next one, and a job it worked on is tried once more. A process that ended for being idle may be followed by a
spare one, which has imported what takes time, holds no model and waits for the next job.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from voice_stack.core.engine.crashes import CrashReview
from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineLink, EngineSpec, EngineWatch, ProcessLink, Stuck
from voice_stack.core.engine.queue import EngineWork
from voice_stack.core.engine.report import EngineReport, EvictionReason
from voice_stack.core.engine.task import TaskLink
from voice_stack.core.errors import EngineCrashedError, EngineUnavailableError, ShuttingDownError, VoiceStackError
from voice_stack.core.jobs import (
    BatchDone,
    Command,
    HostEvent,
    JobCancelled,
    JobDone,
    JobFailed,
    Load,
    Loaded,
    LoadFailed,
    Output,
    Preparing,
)
from voice_stack.core.settings import Patience
from voice_stack.core.system.memory import Footprint

State = Literal["stopped", "starting", "ready", "stopping"]
MAX_ATTEMPTS = 2


class EngineHost:
    """One engine with one model; lives on the event loop.

    Args:
        spec: How it is made.
        idle_timeout_s: Seconds without a job after which it ends; 0: at once, negative: never.
        on_idle: Called when the last job is over and when the engine has ended.
        patience: How long it may take until it is taken for stuck.

    Attributes:
        work: What is left of its jobs, and its speed.
        footprint: Memory that its process holds: as last measured, before that as expected.
        keeps_spare: Whether a spare process follows one that ends for being idle.
    """

    def __init__(
        self, spec: EngineSpec, idle_timeout_s: float, on_idle: Callable[[], None], patience: Patience
    ) -> None:
        self.spec = spec
        self.state: State = "stopped"
        self.load_error: VoiceStackError | None = None
        self._report = EngineReport(spec)
        self._idle_timeout_s = idle_timeout_s
        self._on_idle = on_idle
        self._link: EngineLink | None = None
        self._jobs: dict[str, JobHandle] = {}
        self._patience = patience
        self._watch: EngineWatch | None = None
        self._crashes = CrashReview(spec.name)
        self.work = EngineWork(self._jobs, spec)
        self.footprint = Footprint()
        self.keeps_spare = False
        self._spare: EngineLink | None = None
        self._stop_reason: EvictionReason | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._is_closed = False
        self._busy_before_s = 0.0  # of processes that are gone

    @property
    def job_count(self) -> int:
        """Jobs waiting and running, cancelled ones included until the engine has let go."""
        return len(self._jobs)

    @property
    def pid(self) -> int | None:
        """Process id; None while there is no process."""
        return self._link.pid if self._link else None

    @property
    def is_idle(self) -> bool:
        """Whether its model is loaded and nobody works with it."""
        return self.state == "ready" and not self._jobs

    @property
    def is_fed(self) -> bool:
        """Whether it has work whose end nobody knows: the input comes over time."""
        return any(handle.job.is_fed for handle in self._jobs.values())

    def note_memory(self, footprint: Footprint) -> None:
        """What its process was measured to hold; while the model is loading, what it is expected to hold counts."""
        loading = self.state == "starting" and footprint.memory_mb < self.footprint.memory_mb
        self.footprint = self.footprint if loading else footprint

    @property
    def outage(self) -> EngineUnavailableError | None:
        """Why no job is taken, and for how long; None where one is."""
        return self._crashes.outage

    def status(self) -> dict[str, object]:
        """State, process id, jobs and speed, for `/status`."""
        running = sum(handle.is_running for handle in self._jobs.values())
        beat = self._link.last_beat if self._link else None
        return {
            "engine": self.spec.name,
            "state": self.state,
            "pid": self.pid,
            "spare_pid": self._spare.pid if self._spare else None,
            "memory_mb": round(self.footprint.memory_mb, 1) if self._link else 0.0,
            "gpu_memory_mb": round(self.footprint.gpu_memory_mb, 1) if self._link else 0.0,
            "jobs_running": running,
            "jobs_waiting": len(self._jobs) - running,
            "lanes": beat.lanes if beat else 0,
            "lanes_busy": min(beat.lanes, beat.batches) if beat else 0,
            "busy_s": round(self._busy_before_s + (beat.busy_s if beat else 0.0), 3),
            **self.work.status(),
            "error": self.load_error.told if self.load_error else None,
        }

    def start(self) -> None:
        """Have a link, at once if none is there; in an outage there is none, and `load_error` says so."""
        self._stop_idle_timer()
        if self._link is None and not self._is_closed:
            if outage := self.outage:
                self.load_error = outage
                return
            self._report.starts()
            self.state = "starting"
            self.load_error = None
            self._link, self._spare = self._spare or self._open_link(), None
            self._link.send(Load())
            self._watch = EngineWatch(self._link, self._patience, lambda: self.state == "starting", self._on_stuck)

    def _open_link(self, *, stands_by: bool = False) -> EngineLink:
        if self.spec.link == "task":
            return TaskLink(self.spec, self._on_event, self._on_exit)
        is_wary = self._crashes.died_loading
        return ProcessLink(self.spec, self._on_event, self._on_exit, is_wary, stands_by=stands_by)

    def submit(self, handle: JobHandle) -> None:
        """Take a job; starts the engine if need be."""
        handle.connect(self._send, self._report.job_over)
        job = handle.job
        if self._is_closed:
            handle.fail(ShuttingDownError("the server is stopping"))
            return
        if outage := self._crashes.admit(job.id, has_other=handle.on_failure is not None):
            handle.fail_over(outage)
            return
        self._jobs[job.id] = handle
        if self.state != "stopping":
            self.start()
            self._send_all(handle.beginning)

    async def stop(self, reason: EvictionReason | None = None) -> None:
        """End the engine and give its memory back; jobs that came in meanwhile start a new one."""
        self._stop_idle_timer()
        self._stop_reason = reason
        if self._spare is not None and reason != "idle":
            self._spare.kill()  # there is nothing to lose
            await self._spare.stop()
        if self._link is not None:
            self._report.stops(reason)
            self.state = "stopping"
            await self._link.stop()

    async def close(self) -> None:
        """End for good: whatever is left fails with `ShuttingDownError`."""
        self._is_closed = True
        for handle in self._jobs.values():
            handle.fail(ShuttingDownError("the server is stopping"))
        self._jobs.clear()
        if self.state == "starting" and self._link is not None:
            self._link.kill()  # there is nothing to lose, and who loads a model hears nothing
        await self.stop()

    def _send(self, command: Command) -> None:
        if self._link is not None and self.state != "stopping":
            self._link.send(command)

    def _send_all(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self._send(command)

    def _on_event(self, event: HostEvent) -> None:
        self._report.note(event, self._jobs)
        match event:
            case Loaded(lanes=lanes):
                self.work.lanes = lanes
                self.state = "ready" if self.state == "starting" else self.state
                self._crashes.note_loaded()
                self._watch_idleness()
            case Preparing(job_id):
                self._crashes.preparing = job_id
            case BatchDone():
                self.work.learn(event)
            case LoadFailed(error):
                self.load_error = error
                self._crashes.note_load_failure(error)
                self._fail_all(error)
            case _:
                handle = self._jobs.get(event.job_id)
                if handle is None:
                    return
                if isinstance(event, JobFailed) and event.error.may_work_elsewhere:
                    self._crashes.note_answer(event.job_id)
                    self._fail_over(handle, event.error)
                else:
                    handle.accept(event)
                    is_over = isinstance(event, JobDone | JobFailed | JobCancelled)
                    # The end of what is fed may be an hour away.
                    if is_over or (handle.job.is_fed and isinstance(event, Output)):
                        self._crashes.note_end(event.job_id, is_done=not isinstance(event, JobCancelled))
                if isinstance(event, JobDone | JobFailed | JobCancelled):
                    del self._jobs[event.job_id]
                    self._watch_idleness()

    def _on_exit(self, exit_code: int | None) -> None:
        if self._spare is not None and not self._spare.is_alive:
            self._spare = None
            return
        was = self.state
        if self._link is not None and self._link.last_beat is not None:
            self._busy_before_s += self._link.last_beat.busy_s
        self._link = None
        self.state = "stopped"
        if self._watch is not None:
            self._watch.end()
        if was == "stopping" or self.load_error is not None or self._is_closed:
            self._report.stopped()
        else:
            self._report.died(exit_code, was)
            self._bury(was, exit_code)
        if self._jobs and (outage := self.outage):
            self._fail_all(outage)
        if self._jobs and not self._is_closed:
            self.start()
            for handle in self._jobs.values():
                self._send_all(handle.beginning)
        else:
            if self.keeps_spare and self._stop_reason == "idle" and was == "stopping" and not self._is_closed:
                self._spare = self._open_link(stands_by=True)
            self._on_idle()

    def _on_stuck(self, stuck: Stuck) -> None:
        self._crashes.note_stuck(stuck)
        if self._link is not None:
            self._link.kill()

    def _bury(self, was: State, exit_code: int | None) -> None:
        running = [job_id for job_id, handle in self._jobs.items() if handle.is_running]
        verdict = self._crashes.review(exit_code, running, was_loading=was == "starting")
        if verdict.load_error:
            self.load_error = verdict.load_error
            self._fail_all(verdict.load_error)
        for job_id, handle in list(self._jobs.items()):
            handle.survive(is_suspect=job_id in verdict.suspects)
            # Somebody speaks on meanwhile: what was said is worth one attempt more.
            is_tried = handle.job.attempt >= MAX_ATTEMPTS + int(handle.job.is_fed)
            if not handle.is_wanted or is_tried or not handle.can_resume:
                del self._jobs[job_id]
                self._fail_over(handle, EngineCrashedError(f"the engine process of {self.spec.name} {verdict.how}"))

    def _fail_all(self, error: VoiceStackError) -> None:
        """The engine cannot work; jobs that may go to another one do."""
        handles = list(self._jobs.values())
        self._jobs.clear()
        for handle in handles:
            self._fail_over(handle, error)

    def _fail_over(self, handle: JobHandle, error: VoiceStackError) -> None:
        if handle.on_failure is not None:
            self._crashes.note_failure(handle.job.id, error)
        if handle.fail_over(error):
            self._report.job_left()

    def _watch_idleness(self) -> None:
        if self._jobs:
            return
        self._on_idle()
        self._stop_idle_timer()
        if self._idle_timeout_s >= 0 and self.state == "ready":
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._idle_timeout_s, self._stop_idle)

    def _stop_idle(self) -> None:
        if not self._jobs and self.state == "ready":
            self._stopping = asyncio.get_running_loop().create_task(self.stop("idle"))

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
