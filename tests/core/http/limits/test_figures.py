"""The figures behind the queue: speed as measured, waits as expected; and how much an engine reports of its work."""

import threading
import time
from collections.abc import Iterator

import pytest

from voice_stack.asr.request import WindowText
from voice_stack.core.engine.handle import WorkLeft
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.queue import EngineQueue, EngineWork
from voice_stack.core.http.serving import affordable_connections
from voice_stack.core.jobs import BatchDone, RunResult, Unit
from voice_stack.core.worker.scheduler import WorkMeter


def _learned(*batches: tuple[float, float]) -> float:
    work = EngineWork({}, EngineSpec("fake", "fake", "module:function", None))
    for work_s, busy_s in batches:
        work.learn(BatchDone({"job": work_s}, busy_s))
    return work.speed


def test_speed_comes_from_work_and_follows_it() -> None:
    assert _learned(*[(20.0, 1.0)] * 100) == pytest.approx(0.05, rel=0.01)
    # Batches of a crowd are quicker for each second of audio; large ones tell more than many small ones.
    assert 0.01 < _learned(*[(2.0, 1.0)] * 100, (640.0, 6.4)) < 0.02
    # A machine that gets slower shows within minutes of audio.
    assert _learned(*[(20.0, 1.0)] * 100, *[(20.0, 10.0)] * 30) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("lefts_s", "work_s", "wait_s"),
    [
        ((), 10_800.0, 0.0),
        ((10_000.0,), 5.0, 2.0),  # a clip waits for a batch of a film
        ((10_000.0,), 10_800.0, 1000.0),  # a film shares the engine with another
        ((5.0,) * 100, 5.0, 50.0),
        ((10_000.0,) * 10, 60.0, 60.0),
    ],
)
def test_what_holds_a_request_up(lefts_s: tuple[float, ...], work_s: float, wait_s: float) -> None:
    assert EngineQueue(lefts_s, speed=0.1, batch_s=20.0).wait_s(work_s) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("lefts_s", "work_s", "limit_s", "seconds"),
    [
        ((5.0,) * 100, 5.0, 50.0, 0.0),
        ((5.0,) * 100, 5.0, 20.0, 30.0),
        ((5.0,) * 100, 5.0, 0.0, 50.0),
        # Of the film only its last 20 s of audio count for a clip: it has to be nearly over.
        ((1000.0,), 5.0, 1.0, 99.0),
        ((100.0, 1000.0), 5.0, 2.0, 10.0),
    ],
)
def test_when_there_will_be_room(lefts_s: tuple[float, ...], work_s: float, limit_s: float, seconds: float) -> None:
    queue = EngineQueue(lefts_s, speed=0.1, batch_s=20.0)
    assert queue.seconds_until(limit_s, work_s) == pytest.approx(seconds)


def test_a_film_that_is_half_silence_is_half_the_work() -> None:
    work = WorkLeft(7200.0)
    work.finish(20.0)
    assert work.left_s == 7180.0
    work.expect(3600.0)
    work.finish(880.0)
    work.reach(WindowText((), 1800.0, 3600.0))
    assert work.left_s == pytest.approx(900.0)
    work.reach("an output of another kind")
    work.reach(WindowText((), 3700.0, 3600.0))
    assert work.left_s == 0


UNIT = Unit("job", 0, 10.0, None, None)


def _batch(takes_s: float, barrier: threading.Barrier | None = None) -> Iterator[RunResult]:
    if barrier:
        barrier.wait()
    time.sleep(takes_s)
    yield UNIT.done()


@pytest.mark.alone
def test_batches_side_by_side_share_their_time() -> None:
    reports: list[BatchDone] = []
    meter = WorkMeter(reports.append)
    barrier = threading.Barrier(4)
    threads = [
        threading.Thread(target=lambda: list(meter.watch([UNIT], _batch(0.3, barrier)))) for _ in range(barrier.parties)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - started
    time.sleep(0.3)  # nothing to do: this counts for nobody
    list(meter.watch([UNIT], _batch(0.1)))
    assert sum(report.work_s["job"] for report in reports) == 50.0
    assert 0.4 <= sum(report.busy_s for report in reports) <= took_s + 0.25


@pytest.mark.parametrize(
    ("wanted", "files", "connections"), [(2000, None, 2000), (2000, 65_536, 2000), (2000, 1024, 448), (8, 20, 1)]
)
def test_connections_are_as_many_as_files_allow(wanted: int, files: int | None, connections: int) -> None:
    assert affordable_connections(wanted, files) == connections
