"""What is the PyTorch engine's own: real speech, both forms of checkpoint, languages, and what does not load."""

import os
import subprocess
import sys
from pathlib import Path

import jiwer
import pytest
import torch
from whisper_normalizer.english import EnglishTextNormalizer

from conftest import StartServer
from engine_contract import text_of
from piper_speech import speak, speak_wav
from voice_stack.asr.engine.whisper import WhisperEngine
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.core.errors import ModelLoadError

TEXT = "The quick brown fox jumps over the lazy dog. Then it drinks cold water from the river and sleeps."
ONE_THREAD = EngineOptions(device="cpu", threads=1)
normalize = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def base(base_folder: Path) -> WhisperEngine:
    return WhisperEngine(base_folder, ONE_THREAD)


def test_speech_becomes_its_words(base: WhisperEngine) -> None:
    window = speak(TEXT)
    found = base.detect_language(window)
    assert next(iter(found)) == "en"
    assert found["en"] > 0.8
    (result,) = base.decode([window], DecodeOptions("en", word_timestamps=True))
    assert jiwer.wer(normalize(TEXT), normalize(text_of(result))) <= 0.1
    words = [word for segment in result.segments for word in segment.words]
    fox = next(word for word in words if "fox" in word.text)
    assert 0.5 <= fox.start_s <= 2.0
    assert words[-1].end_s == pytest.approx(window.size / 16_000, abs=1.0)
    assert -0.7 < result.avg_logprob < 0.0


def test_the_language_that_is_asked_for_shapes_the_text(base: WhisperEngine) -> None:
    window = speak("Good morning. The weather is very nice today.")
    english, german = (base.decode([window], DecodeOptions(code, beam_size=1))[0] for code in ("en", "de"))
    assert text_of(english) != text_of(german)
    assert base.capabilities.translate
    assert len(base.capabilities.languages) == 99


def test_a_prompt_sets_the_spelling_of_names(tiny_pt: Path) -> None:
    engine = WhisperEngine(tiny_pt, ONE_THREAD)
    audio = speak("Good evening Mister Smythe, your flight to Lyon leaves at noon.")
    for surname in ("Smythe", "Smith"):
        (result,) = engine.decode([audio], DecodeOptions("en", prompt=f"Mister {surname}, Lyon."))
        assert f"Mister {surname}" in text_of(result)


def test_a_folder_with_one_pt_file_is_a_model(tiny_pt: Path) -> None:
    assert WhisperEngine(tiny_pt.parent, ONE_THREAD).capabilities.languages == ("en",)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.pt", b"no checkpoint", "does not load"),
        ("model.txt", b"", "one .pt file, or config.json and model.safetensors, must be there; .pt files: none"),
        ("model.safetensors", b"no weights", "config.json"),
    ],
)
def test_what_is_no_checkpoint_does_not_load(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadError, match=reason):
        WhisperEngine(tmp_path, ONE_THREAD)


def test_a_checkpoint_of_another_model_does_not_load(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ModelLoadError, match="dims"):
        WhisperEngine(tmp_path, ONE_THREAD)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (EngineOptions(device="tpu"), "'tpu' is not one of auto, cpu, cuda"),
        (EngineOptions(device="cpu", compute_type="int8"), "'int8' on cpu is not one of auto, float32"),
    ],
)
def test_what_it_cannot_run_on_is_refused(tiny_pt: Path, options: EngineOptions, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        WhisperEngine(tiny_pt, options)


def test_a_server_with_pytorch_answers(start_server: StartServer, tiny_pt: Path) -> None:
    text = "Please turn on the light in the kitchen."
    with start_server("asr", ASR_ENGINE="whisper", ASR_MODEL=str(tiny_pt), ASR_THREADS="1") as server:
        heard = server.openai().audio.transcriptions.create(
            model="whisper-1",
            file=("speech.wav", speak_wav(text)),
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
    assert normalize(heard.text) == normalize(text)
    assert heard.words
    assert [word.start for word in heard.words] == sorted(word.start for word in heard.words)


def test_the_default_engine_loads_no_torch() -> None:
    program = (
        "import sys; import voice_stack.asr.engine.fasterwhisper, voice_stack.asr.engine.parakeet;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, env=dict(os.environ)).returncode == 0
