"""Channels become one: their mean, unless they cancel each other."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from piper_speech import speak
from utils.audio.sound_files import RATE, decode, encode

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def voice() -> Samples:
    """A sentence, twice, so that it lasts longer than what is mixed at once."""
    spoken = speak("The quick brown fox jumps over the lazy dog near the river bank.")
    return np.tile(np.concatenate([spoken, np.zeros(RATE // 2, np.float32)]), 3).astype(np.float32) * np.float32(0.5)


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))


def late(samples: Samples, count: int) -> Samples:
    return np.concatenate([np.zeros(count, np.float32), samples[: samples.size - count]])


OPPOSED = {
    "inverted": lambda voice: -voice,
    "quieter": lambda voice: -0.7 * voice,
    "louder": lambda voice: -1.6 * voice,
    "later": lambda voice: -late(voice, 1),
    "with an offset": lambda voice: 0.1 - voice,
    "in parts": lambda voice: np.where(np.arange(voice.size) // 20_000 % 2, voice, -voice),
    "in the second half": lambda voice: np.where(np.arange(voice.size) > voice.size // 2, -voice, voice),
    "with noise": lambda voice: -voice + np.random.default_rng(1).normal(0, 0.002, voice.size),
}


@pytest.mark.parametrize("kind", OPPOSED)
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_a_voice_that_both_channels_hold_is_heard(tmp_path: Path, voice: Samples, kind: str, codec: str) -> None:
    other = np.asarray(OPPOSED[kind](voice), np.float32)
    mixed = decode(encode(tmp_path / "a.wav", np.stack([voice, other]), RATE, codec, "stereo"))
    for part, heard in zip(np.array_split(voice, 8), np.array_split(mixed, 8), strict=True):
        if level_db(part) > -40:
            assert level_db(heard - heard.mean()) > level_db(part) - 14
    # Where it is switched, nothing jumps: the steepest step is no steeper than the voice's own.
    assert np.abs(np.diff(mixed)).max() <= 1.3 * np.abs(np.diff(voice)).max()


def test_what_is_on_one_channel_alone_stays(tmp_path: Path, voice: Samples) -> None:
    quiet = 0.1 * late(voice, RATE)
    for channels in ([voice + quiet, -voice], [voice, quiet - voice]):
        mixed = decode(encode(tmp_path / "a.wav", np.stack(channels), RATE, "pcm_f32le", "stereo"))
        share = float(np.dot(mixed[: voice.size] - mixed.mean(), quiet) / np.dot(quiet, quiet))
        assert abs(share) > 0.1


def test_inverted_channels_of_surround_sound_are_heard(tmp_path: Path, voice: Samples) -> None:
    channels = np.stack([voice, -voice, 0 * voice, 0 * voice, 0 * voice, 0 * voice])
    assert level_db(decode(encode(tmp_path / "a.wav", channels, RATE, "pcm_s16le", "5.1"))) > level_db(voice) - 20


def _mean(path: Path) -> Samples:
    """As FFmpeg mixes it."""
    resampler = av.AudioResampler(format="s32", layout="mono", rate=RATE)
    with av.open(str(path)) as file:
        frames = [out for frame in [*file.decode(audio=0), None] for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]) * np.float32(2.0**-31)


STEREO = {
    "the same": lambda voice: voice,
    "another": lambda voice: np.roll(voice, voice.size // 3),
    "a dead channel": lambda voice: 0 * voice,
    "two microphones": lambda voice: late(voice, 40) * 0.8,
    "a far microphone": lambda voice: late(voice, 200) * 0.5,
    "a little inverted": lambda voice: late(voice, RATE // 50) - 0.1 * voice,
}


@pytest.mark.parametrize("kind", STEREO)
def test_usual_stereo_is_the_mean_to_the_bit(tmp_path: Path, voice: Samples, kind: str) -> None:
    rng = np.random.default_rng(2)
    stereo = np.stack([voice, STEREO[kind](voice)]) + rng.normal(0, 0.001, (2, voice.size))
    path = encode(tmp_path / "a.wav", stereo.astype(np.float32), RATE, "pcm_s16le", "stereo")
    assert np.array_equal(decode(path), _mean(path))


def _two_people(voice: Samples, below_db: float, *, overlap_s: float = 0.0) -> Samples:
    """One speaks, then the other on another channel; and noise."""
    other = np.concatenate([np.zeros(voice.size - round(overlap_s * RATE), np.float32), voice])
    first = np.pad(voice, (0, other.size - voice.size))
    rng = np.random.default_rng(3)
    stereo = np.stack([first, other * np.float32(10 ** (-below_db / 20))])
    return np.asarray(stereo + rng.normal(0, [[1e-3], [1e-5]], stereo.shape), np.float32)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "pcm_u8"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_quiet_person_on_a_channel_of_their_own_is_raised(
    tmp_path: Path, voice: Samples, codec: str, first: int
) -> None:
    below_db = 20.0 if codec == "pcm_u8" else 30.0
    stereo = _two_people(voice, below_db)
    mixed = decode(encode(tmp_path / "a.wav", stereo[:: 1 - 2 * first], RATE, codec, "stereo"))
    loud, quiet = mixed[: voice.size], mixed[voice.size :]
    assert level_db(quiet) == pytest.approx(level_db(loud) - 15, abs=2.5)
    assert np.abs(loud - voice / 2).max() < 0.02
    assert np.corrcoef(quiet, voice[: quiet.size])[0, 1] > (0.9 if codec == "pcm_u8" else 0.95)


def test_a_quiet_person_is_not_raised_into_the_words_of_another(tmp_path: Path, voice: Samples) -> None:
    stereo = _two_people(voice, 30, overlap_s=1.5)
    path = encode(tmp_path / "a.wav", stereo, RATE, "pcm_s16le", "stereo")
    mixed, mean = decode(path), _mean(path)
    loud = level_db(mean[: voice.size - 2 * RATE])
    blocks = [slice(at, at + RATE // 10) for at in range(0, mixed.size - RATE, RATE // 10)]
    raised = [block for block in blocks if not np.array_equal(mixed[block], mean[block])]
    assert raised
    assert all(level_db(stereo[0, block]) < loud for block in raised)


PEOPLE = {
    "as loud": lambda voice: _two_people(voice, 0),
    "a little quieter": lambda voice: _two_people(voice, 12),
    "a quiet microphone in the same room": lambda voice: np.stack([voice, 0.05 * late(voice, 100)]),
    "an echo": lambda voice: np.stack([voice, 0.05 * late(voice, RATE // 5)]),
    "an empty channel": lambda voice: np.stack([voice, np.random.default_rng(4).normal(0, 3e-3, voice.size)]),
}


@pytest.mark.parametrize("kind", PEOPLE)
def test_other_stereo_is_the_mean_to_the_bit(tmp_path: Path, voice: Samples, kind: str) -> None:
    stereo = np.asarray(PEOPLE[kind](voice), np.float32)
    path = encode(tmp_path / "a.wav", stereo, RATE, "pcm_s16le", "stereo")
    assert np.array_equal(decode(path), _mean(path))
