"""Clients of older voice services before servers with real models."""

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from chat.older_client import OlderClient
from chat.scripted_model import ScriptedModel, run_scripted_model
from chat.talking import wav
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture(scope="module")
def chat(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, model: ScriptedModel
) -> Iterator[RunningServer]:
    around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
    with start_server("chat", **around) as server:
        yield server


async def test_what_their_client_has_spoken_it_hears(chat: RunningServer, tmp_path: Path) -> None:
    async with OlderClient(chat.url) as client:
        services = (await client.health_check())["services"]
        assert services["stt"] == {"engine": "faster-whisper", "initialized": True}
        spoken = await client.text_to_speech("The weather is fine today.", output_dir=tmp_path)
        heard = await client.speech_to_text(spoken["local_audio_path"])
        assert "weather is fine" in heard["text"]
        assert heard["duration_seconds"] == pytest.approx(spoken["duration_seconds"], abs=0.01)
        assert 0.3 < heard["confidence"] < 1
        silence = tmp_path / "silence.wav"
        silence.write_bytes(wav(1.0, volume=0))
        assert (await client.speech_to_text(silence))["confidence"] == 0.0


def test_the_reply_of_a_turn_is_its_text(
    chat: RunningServer, model: ScriptedModel, spoken: Callable[[str], bytes]
) -> None:
    model.say("<think>Secret.</think>Tomorrow it will rain in the north. Take an umbrella with you.")
    question = spoken("How will the weather be tomorrow?")
    with chat.http() as client:
        turn = client.post("/api/voice/chat", files={"audio": ("q.wav", question)}, data={"format": "opus"}).json()
        assert "weather be tomorrow" in turn["user_transcript"]
        reply = client.post("/transcribe", content=base64.b64decode(turn["assistant_audio"])).json()
    assert "umbrella" in reply["text"]
    assert "ecret" not in reply["text"] + turn["assistant_text"]
    assert "Secret." in turn["assistant_thinking"]
