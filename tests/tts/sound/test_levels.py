"""Every voice is as loud as every other, and its sentences keep their differences."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from piper_speech import RATE, speak
from voice_stack.tts.sound.dynamics import integrate, measure_powers
from voice_stack.tts.sound.finishing import CEILING_DBTP, ClauseLevel, VoiceLevels
from voice_stack.utils.audio.pcm import Samples

TARGET_LUFS = -19.0


def lufs(samples: Samples) -> float:
    loudness = integrate(measure_powers(samples, RATE))
    assert loudness is not None
    return loudness


@pytest.fixture(scope="module")
def sentence() -> Samples:
    return 0.3 * speak("Every evening a small boat brings fresh bread, and the keeper lights the lamp.")


def say(levels: VoiceLevels, voice: str, samples: Samples) -> Samples:
    return ClauseLevel(levels, voice, RATE).apply(samples)


@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_voices_have_the_same_loudness(sentence: Samples, gain: float) -> None:
    assert lufs(say(VoiceLevels(TARGET_LUFS), "a", gain * sentence)) == pytest.approx(TARGET_LUFS, abs=0.7)


def test_a_soft_sentence_stays_softer(sentence: Samples) -> None:
    levels = VoiceLevels(TARGET_LUFS)
    for _ in range(3):
        usual = lufs(say(levels, "a", sentence))
    soft = lufs(say(levels, "a", 0.4 * sentence))
    assert usual - soft == pytest.approx(20 * np.log10(1 / 0.4), abs=0.3)
    assert lufs(say(levels, "a", sentence)) == pytest.approx(usual, abs=0.01)


def test_voices_are_measured_one_by_one(sentence: Samples) -> None:
    levels = VoiceLevels(TARGET_LUFS)
    say(levels, "loud", sentence)
    assert lufs(say(levels, "soft", 0.5 * sentence)) == pytest.approx(TARGET_LUFS, abs=0.7)


def test_pieces_of_a_clause_have_one_gain(sentence: Samples) -> None:
    clause = ClauseLevel(VoiceLevels(TARGET_LUFS), "a", RATE)
    half = len(sentence) // 2
    gains = [clause.apply(piece)[np.abs(piece) > 0.01] / piece[np.abs(piece) > 0.01] for piece in
             (sentence[:half], 0.2 * sentence[half:])]  # fmt: skip
    assert np.median(gains[0]) == pytest.approx(np.median(gains[1]), rel=1e-3)


def test_off_changes_nothing(sentence: Samples) -> None:
    np.testing.assert_array_equal(say(VoiceLevels(None), "a", sentence), sentence)


@pytest.mark.parametrize("target_lufs", [TARGET_LUFS, None])
def test_nothing_is_clipped(sentence: Samples, target_lufs: float | None) -> None:
    loud = say(VoiceLevels(target_lufs), "a", np.where(np.arange(len(sentence)) % 8_000 < 40, 20, 1) * sentence)
    assert np.abs(loud).max() <= 10 ** (CEILING_DBTP / 20)


@pytest.mark.parametrize("count", [0, 1, 16_000])
def test_silence_stays_silence(count: int) -> None:
    assert not say(VoiceLevels(TARGET_LUFS), "a", np.zeros(count, np.float32)).any()


def test_threads_do_not_disturb_each_other(sentence: Samples) -> None:
    levels = VoiceLevels(TARGET_LUFS)
    with ThreadPoolExecutor(4) as pool:
        spoken = list(pool.map(lambda index: lufs(say(levels, str(index % 2), sentence)), range(16)))
    assert spoken == pytest.approx([TARGET_LUFS] * 16, abs=0.7)
