"""What a model runs on: threads, lanes, copies and batches by the size of the weights."""

import pytest

from voice_stack.asr.engine.compute_plan import CPU_BATCH, plan_compute
from voice_stack.asr.request import EngineOptions

TINY, SMALL, TURBO, LARGE = 75_000_000, 500_000_000, 1_600_000_000, 3_000_000_000


@pytest.mark.parametrize(
    ("weights_bytes", "threads", "lanes", "threads_per_lane"),
    [(TINY, 2, 2, 1), (TINY, 8, 8, 1), (SMALL, 8, 4, 2), (TURBO, 8, 2, 4), (LARGE, 2, 1, 2)],
)
def test_lanes_of_the_crowd_use_every_thread_and_no_more(
    weights_bytes: int, threads: int, lanes: int, threads_per_lane: int
) -> None:
    plan = plan_compute(EngineOptions(device="cpu", threads=threads, is_for_crowd=True), weights_bytes)
    assert (plan.lanes, plan.threads) == (lanes, threads_per_lane)
    assert plan.lanes * plan.threads <= threads
    assert plan.solo_threads == 0


@pytest.mark.parametrize("threads", [2, 8])
def test_a_copy_for_what_is_alone_has_two_threads(threads: int) -> None:
    plan = plan_compute(EngineOptions(device="cpu", threads=threads), 1_000_000)
    assert (plan.solo_threads, plan.threads, plan.workers) == (2, 2, 1)


def test_only_a_model_that_is_small_for_the_memory_is_loaded_twice() -> None:
    assert plan_compute(EngineOptions(device="cpu", threads=2), 1_000_000).solo_threads == 2
    assert plan_compute(EngineOptions(device="cpu", threads=2), 10**15).solo_threads == 0
    assert plan_compute(EngineOptions(device="cpu", threads=1), 1_000_000).solo_threads == 0


def test_a_batch_fits_the_memory() -> None:
    assert plan_compute(EngineOptions(device="cpu", threads=2), 1_000_000).max_batch == CPU_BATCH
    assert plan_compute(EngineOptions(device="cpu", threads=2), 10**15).max_batch == 1


def test_the_crowd_gives_way() -> None:
    assert plan_compute(EngineOptions(device="cpu", threads=2, is_for_crowd=True), TINY).niceness > 0
    assert plan_compute(EngineOptions(device="cpu", threads=2), TINY).niceness == 0


def test_the_batch_may_be_set() -> None:
    assert plan_compute(EngineOptions(device="cpu", threads=8, max_batch=3), TINY).max_batch == 3
