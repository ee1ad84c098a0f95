"""The Voice server of the tests: before it engines that obey, behind it a language model that says what it is told.

All tests of this folder are one worker's: its servers are started once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from chat.scripted_model import ScriptedModel, run_scripted_model
from chat.talking import LAMP, Conversation
from running_server import RunningServer, free_port

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="session")
def shared_model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture
def model(shared_model: ScriptedModel) -> ScriptedModel:
    """The language model, which has heard nothing and has nothing to say."""
    shared_model.replies.clear()
    shared_model.requests.clear()
    shared_model.headers.clear()
    shared_model.cut, shared_model.finish_reason = 0, "stop"
    return shared_model


@pytest.fixture(scope="session")
def chat_server(
    start_server: StartServer, fake_asr: RunningServer, fake_tts: RunningServer, shared_model: ScriptedModel
) -> Iterator[RunningServer]:
    """The Voice server on two ports, with a name among several; and the ASR and TTS servers whose engines obey."""
    around = {
        "VOICE_PORTS": str(free_port()),
        "REPLICA": "r3",
        "CHAT_ASR_URL": fake_asr.url,
        "CHAT_TTS_URL": fake_tts.url,
        "CHAT_LLM_URL": shared_model.url,
    }
    with start_server("chat", **around) as server:
        yield server


@pytest.fixture
def talk(chat_server: RunningServer) -> Iterator[Conversation]:
    with chat_server.http() as client:
        session = client.post("/v1/voice/sessions", json={"system": "Be brief.", "tools": [LAMP]}).json()
        yield Conversation(client, f"/v1/voice/sessions/{session['id']}")
