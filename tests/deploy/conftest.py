"""The servers as they are configured behind a proxy: below a path of their own, the proxy known to them."""

from collections.abc import Iterator

import pytest

from conftest import StartServer
from running_server import RunningServer

PROXY = {"TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture(scope="session")
def fake_asr(start_server: StartServer) -> Iterator[RunningServer]:
    """An ASR server that obeys prompts; its windows are 2 s long, silence counts as speech."""
    fake = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
    with start_server("asr", **fake, **PROXY, ASR_ROOT_PATH="/asr") as server:
        yield server


@pytest.fixture(scope="session")
def fake_tts(start_server: StartServer) -> Iterator[RunningServer]:
    """A TTS server that obeys its texts."""
    with start_server("tts", **PROXY, TTS_ENGINE="fake", TTS_MODEL="fake", TTS_ROOT_PATH="/tts") as server:
        yield server


@pytest.fixture(scope="session")
def chat(start_server: StartServer, fake_asr: RunningServer, fake_tts: RunningServer) -> Iterator[RunningServer]:
    """The Voice server, without a language model."""
    sisters = {"CHAT_ASR_URL": fake_asr.url, "CHAT_TTS_URL": fake_tts.url}
    with start_server("chat", **PROXY, **sisters, CHAT_ROOT_PATH="/chat") as server:
        yield server
