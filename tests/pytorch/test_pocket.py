"""pocket-tts by the library's own code, on a small model with random weights: everything but what it sounds like."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from piper_speech import speak_wav
from pytorch.pocket_weights import VOICES, make_model
from voice_stack.core.errors import ModelLoadError, UnsupportedValueError
from voice_stack.tts.engine.base import EngineVoice, Spoken, VoiceOptions
from voice_stack.tts.engine.pocket import PocketEngine
from voice_stack.utils.audio.pcm import Samples

TEXT = "The kettle is on."
USUAL = EngineVoice()


@pytest.fixture(scope="module")
def engine(pocket_model: Path, tmp_path_factory: pytest.TempPathFactory) -> PocketEngine:
    return PocketEngine(pocket_model, device="cpu", threads=2, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recordings") / "one.wav"
    file.write_bytes(speak_wav("The train to the coast leaves at nine."))
    return file


def say(engine: PocketEngine, voice: EngineVoice, *, is_awaited: bool = False) -> list[Spoken]:
    return list(engine.synthesize(TEXT, VoiceOptions(voice, "en", is_awaited=is_awaited)))


def sound(engine: PocketEngine, voice: EngineVoice = USUAL) -> Samples:
    return np.concatenate([part.samples for part in say(engine, voice)])


def is_same(one: Samples, other: Samples) -> bool:
    """Not bit for bit: how many frames the library decodes at once depends on its threads, and rounding adds up."""
    return one.size == other.size and bool(np.allclose(one, other, atol=3e-3))


def test_its_voices_differ_and_each_says_the_same_again(engine: PocketEngine) -> None:
    assert engine.sample_rate == 24_000
    assert torch.get_num_threads() == 2, "the library leaves one"
    first, second = (sound(engine, EngineVoice(name)) for name in VOICES)
    assert first.dtype == np.float32
    assert first.size > 24_000
    assert first.any()
    assert np.all(np.abs(first) <= 1)
    assert is_same(sound(engine), first)
    assert not is_same(first, second)
    seeded = sound(engine, EngineVoice(VOICES[0], options=(("seed", 5), ("length_penalty", 2.0))))
    assert not is_same(seeded, first)


def test_it_hands_out_what_it_has_made(engine: PocketEngine) -> None:
    parts = say(engine, USUAL, is_awaited=True)
    whole = sound(engine)
    assert len(parts) >= 3
    assert parts[0].samples.size < whole.size / 2
    assert [part.goes_on for part in parts] == [True] * (len(parts) - 1) + [False]
    assert is_same(np.concatenate([part.samples for part in parts]), whole)


def test_who_leaves_early_stops_it(engine: PocketEngine) -> None:
    whole = sound(engine)
    parts = engine.synthesize(TEXT, VoiceOptions(is_awaited=True))
    next(parts)
    parts.close()  # type: ignore[attr-defined]  # what a cancelled request does
    assert is_same(sound(engine), whole)


def test_a_recording_is_a_voice_and_is_heard_once(
    engine: PocketEngine, pocket_model: Path, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloned = sound(engine, EngineVoice(recordings=(recording,)))
    assert not is_same(cloned, sound(engine))
    again = PocketEngine(pocket_model, device="cpu", threads=2, cache_dir=engine.cache_dir)
    assert is_same(sound(again, EngineVoice(recordings=(recording,))), cloned)
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("speaker latents computed") == messages.count("speaker latents read") == 1


def test_what_is_not_there_is_refused(engine: PocketEngine, recording: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedValueError, match=r"'nobody' is not one of alba, marius"):
        sound(engine, EngineVoice("nobody"))
    with pytest.raises(UnsupportedValueError, match=r"'loudness' of the voice: pocket-tts has temperature, seed"):
        sound(engine, EngineVoice(options=(("loudness", 1.0),)))
    make_model(tmp_path / "pocket-tts-english", voices=False)
    bare = PocketEngine(tmp_path / "pocket-tts-english", device="cpu", threads=1)
    with pytest.raises(UnsupportedValueError, match="no voices of its own"):
        sound(bare)
    with pytest.raises(UnsupportedValueError, match="clones no voices: those do whose names end with -cloning"):
        sound(bare, EngineVoice(recordings=(recording,)))


@pytest.mark.parametrize("missing", ["config.yaml", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_does_not_load(pocket_model: Path, tmp_path: Path, missing: str) -> None:
    for file in pocket_model.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ModelLoadError, match=f"{missing} is missing"):
        PocketEngine(tmp_path, device="cpu", threads=1)
