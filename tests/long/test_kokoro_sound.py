"""The sound of the Kokoro engine against that of its model, run as the file has it; whole and heard early."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from benchmarks.dnsmos import rate_speech
from numpy.typing import NDArray

from kokoro_speech import say
from voice_stack.tts.engine import kokoro_model
from voice_stack.tts.engine.base import EngineVoice, Spoken, VoiceOptions
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.engine.kokoro_model import SAMPLE_RATE
from voice_stack.tts.engine.phonemes import NUMBERS, EnglishReader, join_pieces

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


SHORT = "The museum opens at ten in the morning and closes at six."


def speak_awaited(engine: KokoroEngine, text: str, voice: str) -> Iterator[Spoken]:
    return engine.synthesize(text, VoiceOptions(EngineVoice(voice), "en", is_awaited=True))


def level_db(samples: NDArray[np.float32]) -> float:
    return 20 * float(np.log10(np.std(samples)))


@pytest.mark.parametrize("voice", ["af_heart", "bm_george"])
def test_its_beginning_is_heard_before_the_whole_is_made_and_sounds_alike(
    kokoro: KokoroEngine, monkeypatch: pytest.MonkeyPatch, voice: str
) -> None:
    monkeypatch.setattr(kokoro_model, "MARGIN", 0.0)  # however busy this machine is
    whole = say(kokoro, SHORT, voice, "en")
    stretches = speak_awaited(kokoro, SHORT, voice)
    at_s = [time.process_time()]
    first = next(stretches)
    at_s.append(time.process_time())
    (rest,) = stretches
    at_s.append(time.process_time())
    assert first.goes_on
    assert not rest.goes_on
    assert at_s[1] - at_s[0] < at_s[2] - at_s[1], "the beginning takes less work than what follows"
    joined, seam = np.concatenate([first.samples, rest.samples]), first.samples.size
    assert joined.size == whole.samples.size
    assert seam >= 1.5 * SAMPLE_RATE
    shift_s = seam / SAMPLE_RATE
    told = [replace(word, start_s=word.start_s + shift_s, end_s=word.end_s + shift_s) for word in rest.words]
    assert [(word.text, round(word.start_s, 6), round(word.end_s, 6)) for word in told] == [
        (word.text, round(word.start_s, 6), round(word.end_s, 6)) for word in whole.words
    ]
    assert level_db(first.samples) == pytest.approx(level_db(whole.samples[:seam]), abs=1)
    assert level_db(joined) == pytest.approx(level_db(whole.samples), abs=1)
    np.testing.assert_allclose(measure_bands(joined), measure_bands(whole.samples), atol=1.5)
    # Neither a step in level at the seam nor a click.
    end, start = (level_db(sound[seam - 4800 : seam + 4800]) for sound in (joined, whole.samples))
    assert end == pytest.approx(start, abs=2)
    assert np.abs(np.diff(joined[seam - 5 : seam + 5])).max() < np.abs(np.diff(joined)).max() / 2


def test_on_a_machine_too_slow_for_that_the_whole_comes_at_once(
    kokoro: KokoroEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kokoro_model, "MARGIN", 1e6)
    (spoken,) = speak_awaited(kokoro, SHORT, "af_heart")
    np.testing.assert_array_equal(spoken.samples, say(kokoro, SHORT, "af_heart", "en").samples)
