"""How much of a window is computed, and which texts are decoded again for it."""

import pytest

from voice_stack.asr.engine.base import EngineOptions, WindowResult
from voice_stack.asr.engine.compute_plan import plan_compute
from voice_stack.asr.engine.encoder_width import FULL_FRAMES, MIN_FRAMES, has_run_on, narrow_frames


def result(avg_logprob: float = -0.3, compression_ratio: float = 1.2) -> WindowResult:
    return WindowResult((), "en", 1.0, avg_logprob, compression_ratio, 0.01, 0.0, 5.0)


@pytest.mark.parametrize(
    ("duration_s", "padding_s", "frames"),
    [
        (2.0, 3.0, MIN_FRAMES),
        (9.0, 3.0, 1200),
        (9.01, 3.0, 1400),
        (29.0, 3.0, FULL_FRAMES),
        (2.0, 30.0, FULL_FRAMES),
    ],
)
def test_width_is_the_speech_and_its_padding(duration_s: float, padding_s: float, frames: int) -> None:
    assert narrow_frames(round(duration_s * 16_000), padding_s) == frames


def test_width_is_even_and_covers_the_window() -> None:
    for samples in range(1, 30 * 16_000, 7919):
        frames = narrow_frames(samples, 1.0)
        assert frames % 2 == 0
        assert frames * 160 >= samples


def test_a_plausible_text_is_kept() -> None:
    assert not has_run_on(result(), duration_s=5.0, token_count=40)


@pytest.mark.parametrize(
    ("heard", "token_count"),
    [(result(), 51), (result(avg_logprob=-0.95), 20), (result(compression_ratio=2.5), 20)],
    ids=["too many tokens", "improbable", "repetitive"],
)
def test_a_text_that_runs_on_is_seen(heard: WindowResult, token_count: int) -> None:
    assert has_run_on(heard, duration_s=5.0, token_count=token_count)


@pytest.mark.parametrize(
    ("weights_bytes", "threads", "lanes", "threads_per_lane"),
    [
        (75_000_000, 2, 2, 1),
        (75_000_000, 8, 8, 1),
        (500_000_000, 8, 4, 2),
        (1_600_000_000, 8, 2, 4),
        (3_000_000_000, 2, 1, 2),
    ],
)
def test_threads_are_never_more_than_there_are(
    weights_bytes: int, threads: int, lanes: int, threads_per_lane: int
) -> None:
    plan = plan_compute(EngineOptions(device="cpu", threads=threads), weights_bytes)
    assert (plan.lanes, plan.threads) == (lanes, threads_per_lane)
    assert plan.lanes * plan.threads <= threads


def test_lanes_and_batch_may_be_set() -> None:
    plan = plan_compute(EngineOptions(device="cpu", threads=8, lanes=2, max_batch=3), 75_000_000)
    assert (plan.lanes, plan.threads, plan.max_batch) == (2, 4, 3)
