"""The network that tells whether a turn is complete: its features, and how a server does without it."""

import logging
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.listening.end_of_turn import HEARD, SmartTurn, load_smart_turn
from voice_stack.asr.models import SMART_TURN_FILE
from voice_stack.core.errors import ModelLoadError


def whisper_features(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the definition: Hann windows of 25 ms each 10 ms, 80 mels, 8 decades."""
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(sound, 200, mode="reflect"), 400)[::160][:-1]
    power = np.abs(np.fft.rfft(framed * np.hanning(401)[:-1], axis=1)) ** 2
    mels = np.log10(np.maximum(FeatureExtractor.get_mel_filters(16_000, 400, n_mels=80) @ power.T, 1e-10))
    return (np.maximum(mels, mels.max() - 8) + 4) / 4


@pytest.mark.parametrize("length", [1600, 40_000, HEARD, HEARD + 40_000])
def test_features_are_whisper_s_of_the_last_eight_seconds(length: int) -> None:
    speech = np.resize(speak("Turn on the light in the living room, please."), length)
    heard = np.pad(speech[-HEARD:], (max(0, HEARD - length), 0)).astype(np.float64)
    features = SmartTurn.features(speech)
    assert (features.shape, features.dtype) == ((80, 800), np.float32)
    np.testing.assert_allclose(features, whisper_features((heard - heard.mean()) / heard.std()), atol=2e-3)


def test_silence_has_features_too() -> None:
    assert np.isfinite(SmartTurn.features(np.zeros(100, np.float32))).all()


def test_without_its_file_silence_ends_turns_and_the_log_says_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert [load_smart_turn(tmp_path) for _ in range(3)] == [None] * 3
    assert [record.getMessage() for record in caplog.records] == ["semantic turns end by silence alone"]
    assert "voice-stack models pull smart-turn" in str(caplog.records[0].__dict__)


def test_another_file_under_its_name_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "smart-turn").mkdir()
    model = tmp_path / "smart-turn" / SMART_TURN_FILE
    model.write_bytes(b"another network")
    with pytest.raises(ModelLoadError, match="expected SHA-256 2bb02631"):
        SmartTurn(model)
    assert load_smart_turn(tmp_path) is None
