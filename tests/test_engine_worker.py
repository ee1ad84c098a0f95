"""The loop of an engine process, with a workload that makes what is rare happen every time."""

import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe

from voice_stack.core.engine_worker import Worker
from voice_stack.core.jobs import (
    Again,
    Event,
    Finished,
    Job,
    JobDone,
    Output,
    PlanStep,
    Produced,
    RunResult,
    Stop,
    Submit,
    Unit,
    Urgency,
)
from voice_stack.core.workload import Workload

TIMEOUT_S = 20.0


class HandedOn(Workload):
    """One unit that goes back once; the lane that had it first lingers until another one is at work on it."""

    lanes = 2

    def __init__(self) -> None:
        self.is_at_work, self.may_end = threading.Event(), threading.Event()

    def load(self) -> None:
        pass

    def plan(self, job: Job) -> Iterator[PlanStep]:
        yield Unit(job.id, 0, 1.0, "key", "first")

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[tuple[Unit, RunResult]]:
        (unit,) = units
        if unit.data == "first":
            yield unit, Again(Unit(unit.job_id, 0, 1.0, "key", "second"))
            assert self.is_at_work.wait(TIMEOUT_S)
            return
        self.is_at_work.set()
        assert self.may_end.wait(TIMEOUT_S)
        yield unit, Produced("all of it")
        yield unit, Finished()

    def finish(self, job: Job) -> object:
        return "complete"

    def forget(self, job: Job) -> None:
        pass


def test_job_is_not_over_while_another_lane_works_on_it() -> None:
    api, engine = Pipe()
    workload = HandedOn()
    serving = threading.Thread(target=Worker(engine, workload).serve, daemon=True)
    serving.start()
    api.send(Submit(Job("job-1", None, "request-1")))
    assert workload.is_at_work.wait(TIMEOUT_S)
    time.sleep(0.3)  # the first lane comes to its end, and must not take the job's end for its own
    workload.may_end.set()
    events: list[Event] = []
    while not any(isinstance(event, JobDone) for event in events):
        assert api.poll(TIMEOUT_S)
        events.append(api.recv())
    assert [event.payload for event in events if isinstance(event, Output)] == ["all of it"]
    api.send(Stop())
    serving.join(TIMEOUT_S)
