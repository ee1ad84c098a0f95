"""The sound of the Kokoro engine against that of its model, run as the file has it."""

import numpy as np
import onnxruntime
import pytest
from benchmarks.dnsmos import rate_speech
from numpy.typing import NDArray

from kokoro_speech import say
from voice_stack.tts.engine.english import EnglishReader
from voice_stack.tts.engine.kokoro import SAMPLE_RATE, KokoroEngine
from voice_stack.tts.engine.phonemes import NUMBERS, join_pieces

TEXT = "The bridge was closed for repairs, so the bus took the long way round, and nobody was in a hurry."


def measure_bands(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean level of bands of frequencies, in dB."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = np.add.reduceat(power, np.unique(np.geomspace(2, 512, 30).astype(int)), axis=1)
    levels: NDArray[np.float64] = 10 * np.log10(bands + 1e-3).mean(axis=0)
    return levels


def test_it_is_that_of_the_model(kokoro: KokoroEngine) -> None:
    model = onnxruntime.InferenceSession(next(kokoro.model_dir.glob("*.onnx")), providers=["CPUExecutionProvider"])
    tokens = [NUMBERS[symbol] for symbol in join_pieces(EnglishReader(is_british=False).read(TEXT))]
    style = np.fromfile(kokoro.voices["af_heart"], np.float32).reshape(-1, 1, 256)[len(tokens) - 1]
    inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.ones(1, np.float32)}
    plain = np.ravel(model.run(None, inputs)[0])
    spoken = say(kokoro, TEXT, "af_heart", "en").samples
    assert spoken.size == plain.size
    assert 20 * np.log10(np.std(spoken) / np.std(plain)) == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose(measure_bands(spoken), measure_bands(plain), atol=1)
    ratings = [rate_speech(samples, SAMPLE_RATE).overall for samples in (spoken, plain)]
    assert ratings[0] == pytest.approx(ratings[1], abs=0.05)
