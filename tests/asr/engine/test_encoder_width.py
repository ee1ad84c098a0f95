"""How much of a window is computed, and which texts are decoded again for it."""

import ctranslate2
import numpy as np
import pytest

from voice_stack.asr.engine.base import FULL_FRAMES, MIN_FRAMES, WindowResult, narrow_frames
from voice_stack.asr.engine.compute_plan import Encodings, Reading


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


def reading(token_count: int, heard: WindowResult | None = None) -> Reading:
    return Reading(heard or result(), token_count, duration_s=5.0)


def test_a_plausible_text_is_kept() -> None:
    assert not reading(40).may_have_run_on
    assert reading(45).may_have_run_on
    assert not reading(45).has_run_on


@pytest.mark.parametrize(
    "found", [reading(51), reading(20, result(compression_ratio=2.5))], ids=["too many tokens", "repetitive"]
)
def test_a_text_that_runs_on_is_seen(found: Reading) -> None:
    assert found.has_run_on


def test_the_search_goes_on_until_a_text_is_seen_to_run_on() -> None:
    most = Reading.most_tokens([np.zeros(5 * 16_000, np.float32), np.zeros(16_000, np.float32)])
    assert reading(most).has_run_on
    assert not reading(most - 1).has_run_on


def test_what_was_computed_for_a_window_is_found_by_it() -> None:
    window, encodings = np.zeros(16_000, np.float32), Encodings()
    encodings.keep([window], 1400, ctranslate2.StorageView.from_array(np.zeros((1, 700, 8), np.float32)))
    assert encodings.width(window) == 1400
    assert encodings.width(window.copy()) is None
    assert encodings.take([window], 1400) is not None
    assert encodings.width(window) is None


def test_of_two_readings_the_one_that_ends_is_taken() -> None:
    loop, sound, improbable = reading(51), reading(20), reading(20, result(avg_logprob=-1.1))
    assert loop.better(sound) is sound
    assert loop.better(loop) is None
    assert loop.better(improbable) is None
    assert reading(45).better(sound) is sound
    assert (fast := reading(45)).better(reading(44)) is fast
    assert (fast := reading(45)).better(loop) is fast
