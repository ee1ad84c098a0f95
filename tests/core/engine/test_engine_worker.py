"""The loop of an engine process, with a workload that makes what is rare happen every time."""

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence

from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import (
    Again,
    Event,
    Job,
    JobDone,
    JobFailed,
    Output,
    PlanStep,
    RunResult,
    Submit,
    Unit,
    Urgency,
    Workload,
)
from voice_stack.core.worker.loop import serve_engine

TIMEOUT_S = 30.0
WORK_S = 0.5


class HandedOn(Workload):
    """One unit that goes back once; the lane that had it first is at its end when another one is at work on it."""

    lanes = 2

    def __init__(self, _config: object) -> None:
        self.is_at_work = threading.Event()

    def load(self) -> None:
        pass

    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        yield Unit(job.id, 0, 1.0, "key", "first")

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        (unit,) = units
        if unit.data == "first":
            yield Again(Unit(unit.job_id, 0, 1.0, "key", "second"))
            assert self.is_at_work.wait(TIMEOUT_S)
            return
        self.is_at_work.set()
        time.sleep(WORK_S)
        yield unit.output("all of it")
        yield unit.done()

    def finish(self, job: Job) -> object:
        return "complete"

    def forget(self, job: Job) -> None:
        pass


def test_job_is_not_over_while_another_lane_works_on_it() -> None:
    spawn = multiprocessing.get_context("spawn")
    api, far_end = spawn.Pipe()
    arguments = (far_end, f"{__name__}:HandedOn", None, "INFO", "text", False)
    process = spawn.Process(target=serve_engine, args=arguments, daemon=True)
    process.start()
    events: list[Event] = []
    try:
        api.send(Submit(Job("job-1", None, "request-1")))
        while not any(isinstance(event, JobDone | JobFailed) for event in events):
            assert api.poll(TIMEOUT_S)
            events.append(api.recv())
    finally:
        process.kill()
        process.join()
    assert [event.payload for event in events if isinstance(event, Output)] == ["all of it"]
