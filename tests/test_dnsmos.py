"""The benchmark's judge of speech: it must tell speech from noise, as its package does."""

import numpy as np
import pytest
from benchmarks.dnsmos import RATE, WINDOW, rate_speech
from numpy.typing import NDArray

from piper_speech import speak

TEXT = "The bridge was closed for repairs, so the bus took the long way round, and nobody was in a hurry."


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return speak(TEXT)


def test_speech_and_noise(speech: NDArray[np.float32]) -> None:
    random = np.random.default_rng(1)
    noise = (0.1 * random.standard_normal(WINDOW)).astype(np.float32)
    noisy = (speech + 0.1 * random.standard_normal(speech.size)).astype(np.float32)
    clean, mixed, hiss = (rate_speech(samples, RATE) for samples in (speech, noisy, noise))
    # What the package itself says of such sounds: 3.3, 1.9 and 1.1.
    assert clean.overall == pytest.approx(3.3, abs=0.3)
    assert 1.2 < mixed.overall < clean.overall - 0.8
    assert hiss.overall < 1.3
    assert mixed.background < clean.background - 1
    assert mixed.signal < clean.signal


def test_rate_and_length_of_a_sound_do_not_matter(speech: NDArray[np.float32]) -> None:
    once = rate_speech(speech, RATE)
    longer_and_finer = rate_speech(np.repeat(np.tile(speech, 2), 2), 2 * RATE)
    assert longer_and_finer.overall == pytest.approx(once.overall, abs=0.25)
