"""What an engine's host tells log, metrics and traces of loads, batches, jobs and ends."""

import time
from collections.abc import Mapping
from logging import ERROR, INFO, getLogger
from typing import Literal

from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.jobs import HostEvent, Loaded, LoadFailed, MeasuredWork, Preparing, UnitStarted
from voice_stack.core.logging import log_event
from voice_stack.core.telemetry import registry
from voice_stack.core.telemetry.registry import Attributes, active_traces, current_context, note_engine

logger = getLogger(__name__)

EvictionReason = Literal["idle", "room", "memory", "request"]


class EngineReport:
    """The metrics of one engine, and the spans of its jobs; lives on the event loop."""

    def __init__(self, spec: EngineSpec) -> None:
        self._name, self._labels = spec.name, spec.labels
        note_engine(self._name, self._labels)
        registry.show_zeros(self._labels)
        self._load_began_at = 0.0
        self._load_context: object = None
        self._prepared: JobHandle | None = None

    def starts(self) -> None:
        """A process is started, for the request that is being worked on if there is one."""
        log_event(logger, INFO, "engine starts", engine=self._name)
        self._load_began_at, self._load_context = time.monotonic(), current_context()

    def note(self, event: HostEvent, jobs: Mapping[str, JobHandle]) -> None:
        """Take an event of the process."""
        match event:
            case Loaded(load_s):
                self._loaded(load_s)
            case LoadFailed(error):
                self._load_failed(error.message)
            case UnitStarted(batch_units=units) if units:
                registry.BATCH.labels(*self._labels).observe(units)
            case Preparing(job_id):
                now = time.monotonic()
                if self._prepared is not None:
                    self._prepared.prepared_until = now
                self._prepared = jobs.get(job_id or "")
                if self._prepared is not None:
                    self._prepared.prepared_from = self._prepared.prepared_from or now

    def _loaded(self, load_s: float) -> None:
        log_event(logger, INFO, "engine ready", engine=self._name, load_s=round(load_s, 2))
        registry.LOADS.labels(*self._labels, "loaded").inc()
        registry.LOAD.labels(*self._labels).observe(load_s)
        self._trace_load({"voice_stack.load_s": round(load_s, 3)})

    def _load_failed(self, reason: str) -> None:
        registry.LOADS.labels(*self._labels, "failed").inc()
        self._trace_load({}, reason)

    def stops(self, reason: EvictionReason | None) -> None:
        """The process is told to end, though nothing is wrong with it; no reason: the server ends."""
        if reason is not None:
            registry.EVICTIONS.labels(*self._labels, reason).inc()

    def stopped(self) -> None:
        """The process has ended as it should."""
        log_event(logger, INFO, "engine stopped", engine=self._name)

    def died(self, exit_code: int | None, was: str) -> None:
        """The process has ended by itself."""
        log_event(logger, ERROR, "engine process died", engine=self._name, exit_code=exit_code, was=was)
        registry.CRASHES.labels(*self._labels).inc()
        self._prepared = None
        if was == "starting":
            self._load_failed(f"the process died (exit code {exit_code})")

    def job_left(self) -> None:
        """A job has failed here, and another engine takes it."""
        registry.JOBS.labels(*self._labels, "failed").inc()

    def job_over(self, handle: JobHandle) -> None:
        """A job has ended, however that came."""
        registry.JOBS.labels(*self._labels, handle.outcome).inc()
        if handle.started_at is not None:
            registry.QUEUE_WAIT.labels(*self._labels).observe(handle.queue_wait_s)
            registry.RUN.labels(*self._labels).inc(handle.run_s)
        if handle.outcome == "cancelled":
            registry.CANCELLED_RUN.labels(*self._labels).inc(handle.run_s)
        self._count_work(handle)
        self._trace_job(handle)

    def _count_work(self, handle: JobHandle) -> None:
        work = handle.summary
        if not isinstance(work, MeasuredWork):
            return
        registry.AUDIO_IN.labels(*self._labels).inc(work.audio_in_s)
        registry.AUDIO_OUT.labels(*self._labels).inc(work.audio_out_s)
        registry.CHARACTERS_IN.labels(*self._labels).inc(work.characters_in)
        if audio_s := work.audio_in_s + work.audio_out_s:
            registry.REAL_TIME_FACTOR.labels(*self._labels).observe(handle.run_s / audio_s)

    @property
    def _attributes(self) -> dict[str, str | float]:
        engine, model = self._labels
        return {"voice_stack.engine": engine, "voice_stack.model": model}

    def _trace_load(self, facts: Attributes, reason: str | None = None) -> None:
        if traces := active_traces():
            now = time.monotonic()
            attributes = {**self._attributes, **facts}
            began_at, parent = self._load_began_at, self._load_context
            traces.record("load model", began_at, now, parent=parent, attributes=attributes, error=reason)

    def _trace_job(self, handle: JobHandle) -> None:
        traces = active_traces()
        if traces is None or handle.finished_at is None:
            return
        reason = handle.error.message if handle.error else None
        attributes = self._attributes | {"voice_stack.job": handle.job.id, "voice_stack.outcome": handle.outcome}
        began_at, ended_at, parent = handle.submitted_at, handle.finished_at, handle.trace_context
        job = traces.record("job", began_at, ended_at, parent=parent, attributes=attributes, error=reason)
        traces.record("queue", began_at, handle.started_at or ended_at, parent=job, attributes={})
        if handle.prepared_from is not None:
            until = handle.prepared_until or ended_at
            traces.record("prepare", handle.prepared_from, until, parent=job, attributes={})
        if handle.started_at is not None:
            traces.record("run", handle.started_at, ended_at, parent=job, attributes={}, error=reason)
