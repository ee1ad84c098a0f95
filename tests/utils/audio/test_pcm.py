"""Samples as numbers: nothing wraps, clicks, drifts or gets lost."""

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.audio.pcm import Resampler, Samples, bound, fade_edges, silence, to_int16, wav_header

RATES = [(16_000, 24_000), (22_050, 24_000), (24_000, 24_000), (44_100, 24_000), (48_000, 24_000), (24_000, 16_000)]


def tone(length: int, sample_rate: int) -> Samples:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(length) / sample_rate)).astype(np.float32)


def resample(samples: Samples, source_rate: int, target_rate: int, cuts: list[int]) -> Samples:
    resampler = Resampler(source_rate, target_rate)
    pushed = [resampler.push(block) for block in np.split(samples, cuts)]
    return np.concatenate([*pushed, resampler.finish()])


def test_int16_clips_and_rounds_to_the_nearest_step() -> None:
    step = 1 / 32767
    samples = np.array([0, 1, -1, 1.5, -1.5, 0.4 * step, 0.6 * step, -0.6 * step, 100.4 * step], dtype=np.float32)
    assert to_int16(samples).tolist() == [0, 32767, -32767, 32767, -32767, 0, 1, -1, 100]
    assert to_int16(samples).dtype == np.int16


def test_int16_survives_what_is_not_a_number() -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 3e38], dtype=np.float32)
    assert to_int16(samples).tolist() == [0, 32767, -32767, 32767]


def test_bound_leaves_its_input_alone() -> None:
    samples = np.array([np.nan, 2, 0.25], dtype=np.float32)
    bounded = bound(samples)
    assert bounded.tolist() == [0, 1, 0.25]
    assert bounded.dtype == np.float32
    assert samples[1] == 2


def test_integer_samples_are_refused_rather_than_clipped_to_one() -> None:
    with pytest.raises(TypeError, match="int16"):
        to_int16(np.array([1000, -1000], dtype=np.int16))


def test_silence_has_the_length_asked_for() -> None:
    pause = silence(0.25, 22_050)
    assert len(pause) == 5512
    assert pause.dtype == np.float32
    assert not pause.any()
    assert len(silence(0, 24_000)) == 0
    with pytest.raises(ValueError, match=r"-0\.1"):
        silence(-0.1, 24_000)


def test_fade_ramps_both_ends_and_nothing_else() -> None:
    samples = np.ones(1000, dtype=np.float32)
    faded = fade_edges(samples, 10_000, 0.01)
    assert faded[0] == faded[-1] == 0
    assert np.all(np.diff(faded[:101]) > 0)
    assert np.array_equal(faded, faded[::-1])
    assert np.all(faded[100:900] == 1)
    assert np.all(samples == 1)


@pytest.mark.parametrize("length", [0, 1, 2, 5, 150])
def test_fade_of_audio_shorter_than_two_fades_meets_in_the_middle(length: int) -> None:
    faded = fade_edges(np.ones(length, dtype=np.float32), 10_000, 0.01)
    assert len(faded) == length
    assert np.all((faded >= 0) & (faded <= 1))
    assert length < 2 or (faded[0] == faded[-1] == 0)
    assert length < 100 or faded.max() > 0.99


def test_fade_of_no_time_changes_nothing_and_of_negative_time_is_an_error() -> None:
    assert np.all(fade_edges(np.ones(10, dtype=np.float32), 10_000, 0) == 1)
    with pytest.raises(ValueError, match="-1"):
        fade_edges(np.ones(10, dtype=np.float32), 10_000, -1)


def test_wav_header_is_what_the_standard_library_reads() -> None:
    data = to_int16(tone(2400, 24_000)).tobytes()
    with wave.open(io.BytesIO(wav_header(2400, 24_000) + data)) as file:
        assert file.getparams()[:4] == (1, 2, 24_000, 2400)
        assert file.readframes(2400) == data


@pytest.mark.parametrize("total_samples", [None, 2**31, 2**40])
def test_wav_header_says_unknown_when_32_bits_cannot_say_it(total_samples: int | None) -> None:
    header = wav_header(total_samples, 24_000)
    assert len(header) == 44
    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40) == (0xFFFFFFFF,)


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
@pytest.mark.parametrize("length", [0, 1, 441, 22_051])
def test_resampled_length_is_exact(source_rate: int, target_rate: int, length: int) -> None:
    resampled = resample(tone(length, source_rate), source_rate, target_rate, [])
    assert len(resampled) == round(length * target_rate / source_rate)
    assert resampled.dtype == np.float32


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
def test_resampled_tone_is_the_same_tone_without_delay(source_rate: int, target_rate: int) -> None:
    resampled = resample(tone(source_rate, source_rate), source_rate, target_rate, [])
    inner = slice(target_rate // 50, -target_rate // 50)  # the filter rings where the tone starts and stops
    assert np.max(np.abs(resampled - tone(target_rate, target_rate))[inner]) < 1e-4


def test_frequencies_the_target_cannot_hold_are_removed() -> None:
    whistle = np.sin(2 * np.pi * 15_000 * np.arange(44_100) / 44_100).astype(np.float32)
    resampled = resample(whistle, 44_100, 24_000, [])
    assert np.max(np.abs(resampled[1000:-1000])) < 1e-3


@settings(deadline=None, max_examples=60)
@given(rates=st.sampled_from(RATES), cuts=st.lists(st.integers(0, 6001), max_size=40).map(sorted))
def test_how_the_input_is_cut_changes_no_bit(rates: tuple[int, int], cuts: list[int]) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, 6001).astype(np.float32)
    assert np.array_equal(resample(noise, *rates, cuts), resample(noise, *rates, []))


def test_resampler_gives_sound_before_the_end() -> None:
    assert len(Resampler(22_050, 24_000).push(tone(4410, 22_050))) > 0.15 * 24_000


def test_finished_resampler_takes_no_more() -> None:
    resampler = Resampler(16_000, 24_000)
    resampler.push(tone(100, 16_000))
    assert len(resampler.finish()) > 0
    assert len(resampler.finish()) == 0
    with pytest.raises(ValueError, match="finished"):
        resampler.push(tone(100, 16_000))


def test_resampler_refuses_rates_and_shapes_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="0 Hz"):
        Resampler(0, 24_000)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        Resampler(16_000, 24_000).push(np.zeros((2, 5), dtype=np.float32))
