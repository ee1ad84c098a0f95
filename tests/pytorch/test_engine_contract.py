"""The contract of the engine on PyTorch."""

from pathlib import Path

import pytest

from engine_contract import EngineContract, spoken
from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.engine.whisper import WhisperEngine
from voice_stack.asr.request import EngineOptions

__all__ = ["spoken"]


@pytest.fixture(scope="module")
def engine(tiny_pt: Path) -> AsrEngine:
    # On a busy machine two threads of PyTorch wait for each other longer than one computes.
    return WhisperEngine(tiny_pt, EngineOptions(device="cpu", threads=1))


class TestWhisper(EngineContract):
    """See `EngineContract`."""
