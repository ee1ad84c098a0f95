"""Another pace: exact lengths, the same pitch, every event at its time, however the sound comes in."""

from itertools import cycle

import numpy as np
import pytest

from utils.audio.encoding import blocks
from voice_stack.tts.sound.dynamics import Stretcher
from voice_stack.utils.audio.pcm import Samples

RATE = 22_050
SPEEDS = [0.25, 0.4, 0.5, 0.77, 0.99, 1.01, 1.3, 2.0, 2.7, 4.0]


def tone(duration_s: float, hertz: float = 220.0, rate: int = RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * rate)) / rate)).astype(np.float32)


def stretch(samples: Samples, sample_rate: int, speed: float) -> Samples:
    stretcher = Stretcher(sample_rate, speed)
    return np.concatenate([stretcher.push(samples), stretcher.finish()])


@pytest.mark.parametrize("speed", [*SPEEDS, 1.0])
@pytest.mark.parametrize("count", [0, 17, 33_333])
def test_length_is_exact(count: int, speed: float) -> None:
    assert len(stretch(np.full(count, 0.1, np.float32), RATE, speed)) == round(count / speed)


@pytest.mark.parametrize(("speed", "rate"), [*zip(SPEEDS, cycle([16_000, 24_000, 44_100]))])
def test_pitch_and_level_stay(speed: float, rate: int) -> None:
    slow = stretch(tone(2, 220, rate), rate, speed)
    middle = slow[len(slow) // 8 : -len(slow) // 8]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * rate))
    assert np.argmax(spectrum) / 8 == pytest.approx(220, abs=2.5)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("speed", SPEEDS)
def test_everything_keeps_its_place(speed: float) -> None:
    bursts_s = [0.0, 0.5, 1.3, 1.9]
    sound = np.zeros(2 * RATE, np.float32)
    for start_s in bursts_s:
        start = round(start_s * RATE)
        sound[start : start + RATE // 10] = tone(0.1, 400)
    heard = np.abs(stretch(sound, RATE, speed)) > 0.1
    for start_s in bursts_s:
        middle = round((start_s + 0.05) / speed * RATE)
        assert heard[max(middle - 200, 0) : middle + 200].any(), f"no burst at {start_s} s"
    quiet = round(1.0 / speed * RATE)
    assert not heard[quiet - 500 : quiet + 500].any()


@pytest.mark.parametrize(
    ("speed", "size"), [(0.25, 7), (0.25, 10_000), (0.8, 512), (1.0, 512), (1.7, 10_000), (4.0, 7), (4.0, 512)]
)
def test_blocks_make_the_same_sound_as_the_whole(size: int, speed: float) -> None:
    sound = tone(0.7) * np.linspace(0, 1, round(0.7 * RATE), dtype=np.float32)
    stretcher = Stretcher(RATE, speed)
    pieces = [stretcher.push(block) for block in blocks(sound, size)]
    np.testing.assert_array_equal(np.concatenate([*pieces, stretcher.finish()]), stretch(sound, RATE, speed))


def test_sound_comes_out_while_more_comes_in() -> None:
    stretcher = Stretcher(RATE, 1.5)
    assert len(stretcher.push(tone(1))) > 0.8 * RATE / 1.5


def test_no_number_harms_only_its_place() -> None:
    sound = tone(1)
    sound[RATE // 2] = np.nan
    slow = stretch(sound, RATE, 0.5)
    assert np.all(np.isfinite(slow))
    assert np.abs(slow[: RATE // 2]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("speed", [0.24, 4.01, 0.0, -1.0, float("nan")])
def test_speeds_out_of_range_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=f"{speed}.*0.25 and 4"):
        stretch(tone(0.1), RATE, speed)
