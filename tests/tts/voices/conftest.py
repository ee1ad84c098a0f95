"""A server with voices: its engine clones by humming at a pitch that the recordings give."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from running_server import RunningServer

CLONING = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake"}
StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="session")
def voice_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's folder; whoever is first makes it."""
    return tmp_path_factory.mktemp("library") / "voices"


@pytest.fixture(scope="session")
def voice_server(start_server: StartServer, voice_dir: Path) -> Iterator[RunningServer]:
    aliases = "nova=anna, butler = anna ,ghost=nobody"
    with start_server("tts", **CLONING, TTS_VOICE_DIR=str(voice_dir), TTS_VOICE_ALIASES=aliases) as server:
        yield server


@pytest.fixture
def sdk(voice_server: RunningServer) -> Iterator[OpenAI]:
    with voice_server.openai() as client:
        yield client


@pytest.fixture
def http(voice_server: RunningServer) -> Iterator[httpx2.Client]:
    with voice_server.http() as client:
        yield client
