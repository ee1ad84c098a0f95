"""How much of a window is computed, and which texts are decoded again for it."""

import pytest

from voice_stack.asr.engine.base import FULL_FRAMES, MIN_FRAMES, WindowResult, narrow_frames
from voice_stack.asr.engine.compute_plan import has_run_on


def result(avg_logprob: float = -0.3, compression_ratio: float = 1.2) -> WindowResult:
    return WindowResult((), avg_logprob, compression_ratio, 0.01, 5.0)


@pytest.mark.parametrize(
    ("duration_s", "frames"), [(2.0, MIN_FRAMES), (11.0, 1400), (11.01, 1600), (29.0, FULL_FRAMES)]
)
def test_width_is_the_speech_and_its_padding(duration_s: float, frames: int) -> None:
    assert narrow_frames(round(duration_s * 16_000)) == frames


def test_width_is_even_and_covers_the_window() -> None:
    for samples in range(1, 30 * 16_000, 7919):
        frames = narrow_frames(samples)
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
