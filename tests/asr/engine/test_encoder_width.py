"""How much of a window is computed."""

import ctranslate2
import numpy as np
import pytest

from voice_stack.asr.engine.base import FULL_FRAMES, MIN_FRAMES, narrow_frames
from voice_stack.asr.engine.compute_plan import Encodings


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


def test_what_was_computed_for_a_window_is_found_by_it() -> None:
    window, encodings = np.zeros(16_000, np.float32), Encodings()
    encodings.keep([window], 1400, ctranslate2.StorageView.from_array(np.zeros((1, 700, 8), np.float32)))
    assert encodings.width(window) == 1400
    assert encodings.width(window.copy()) is None
    assert encodings.take([window], 1400) is not None
    assert encodings.width(window) is None
