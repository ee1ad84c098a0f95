"""The benchmark's judge of speech: it must tell speech from noise, as its package does."""

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from benchmarks.dnsmos import RATE, WINDOW, rate_speech
from numpy.typing import NDArray

from e2e.sound import samples_of

# The text that other tests have spoken already.
TEXT = "Please water the plants in the kitchen before you leave. Then lock the front door."


@pytest.fixture(scope="module")
def speech(spoken: Callable[[str], bytes]) -> NDArray[np.float32]:
    """Speech at 16 kHz."""
    samples, rate = samples_of(spoken(TEXT))
    return soxr.resample((samples / 32768).astype(np.float32), rate, RATE)


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
    # The sampling rate and the length of a sound do not matter.
    longer_and_finer = np.repeat(np.tile(speech, 2), 2)
    assert rate_speech(longer_and_finer, 2 * RATE).overall == pytest.approx(clean.overall, abs=0.25)
