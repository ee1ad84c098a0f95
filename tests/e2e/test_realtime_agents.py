"""OpenAI's agents SDK: what its voice pipeline transcribes with, and what its realtime sessions hold events against."""

import asyncio

import numpy as np
import pytest
from agents import set_tracing_disabled
from agents.realtime import (
    RealtimeAgent,
    RealtimeError,
    RealtimeHistoryUpdated,
    RealtimeRawModelEvent,
    RealtimeRunner,
    RealtimeSessionEvent,
)
from agents.realtime.openai_realtime import get_server_event_type_adapter
from agents.voice import OpenAISTTModel, StreamedAudioInput, STTModelSettings
from openai import AsyncOpenAI
from whisper_normalizer.basic import BasicTextNormalizer

from e2e.realtime import encode, live, quiet
from piper_speech import speak_wav
from running_server import RunningServer

TEXTS = ("Please water the plants in the kitchen before you leave.", "Then lock the front door.")
STEP = 2400
normalize = BasicTextNormalizer()


@pytest.fixture(scope="module", autouse=True)
def _untraced() -> None:
    """Traces go to OpenAI."""
    set_tracing_disabled(True)


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Both texts; it ends with the last word."""
    first, second = (encode(speak_wav(text)) for text in TEXTS)
    return first + quiet(1.2) + second


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad"}], ids=["semantic", "server"])
async def test_a_streamed_pipeline_hears_every_word(
    asr_server: RunningServer, sound: bytes, turn_detection: dict[str, str] | None
) -> None:
    samples, audio = np.frombuffer(sound, "<i2"), StreamedAudioInput()
    for start in range(0, samples.size, STEP):
        await audio.add_audio(samples[start : start + STEP])
    await audio.add_audio(None)
    async with AsyncOpenAI(base_url=f"{asr_server.url}/v1", api_key="unused") as client:
        settings = STTModelSettings(language="en", turn_detection=turn_detection)
        session = await OpenAISTTModel("gpt-4o-transcribe", client).create_session(audio, settings, False, False)
        turns = [turn async for turn in session.transcribe_turns()]
    assert [normalize(turn) for turn in turns] == [normalize(text) for text in TEXTS]


@pytest.mark.parametrize("rules", [None, {"type": "server_vad", "interrupt_response": True}], ids=["its own", "server"])
async def test_a_realtime_session_hears_without_an_error(
    fake_asr: RunningServer, sound: bytes, rules: dict[str, object] | None
) -> None:
    # It asks for a conversation, with a voice and instructions: it is shown that this is none.
    agent = RealtimeAgent(name="Listener", instructions="Be kind.")
    runner = RealtimeRunner(agent, config={"model_settings": {"turn_detection": rules}} if rules else None)
    url = f"ws://127.0.0.1:{fake_asr.port}/v1/realtime?intent=transcription"
    told, heard = list[RealtimeSessionEvent](), list[str]()
    async with asyncio.timeout(60), await runner.run(model_config={"url": url, "api_key": "unused"}) as session:
        for start in range(0, len(sound), 2 * STEP):
            await session.send_audio(sound[start : start + 2 * STEP])
        await session.send_audio(quiet(1))
        async for event in session:
            told.append(event)
            if isinstance(event, RealtimeRawModelEvent) and event.data.type == "raw_server_event":
                shown = event.data.data.get("session", {})
                assert shown.get("type") in {None, "transcription"}
            if isinstance(event, RealtimeHistoryUpdated):
                parts = [part for item in event.history for part in getattr(item, "content", ())]
                heard = [part.transcript for part in parts if part.transcript]
            if len(heard) == 2:
                break
        assert not [event for event in told if isinstance(event, RealtimeError)]
        await session.send_message("Who are you?")  # which nobody here can answer
        async for event in session:
            if isinstance(event, RealtimeError):
                assert "is no event of a transcription session" in str(event.error)
                break


async def test_a_realtime_session_takes_every_event(fake_asr: RunningServer, sound: bytes) -> None:
    async with live(fake_asr) as session:
        await session.update(include=["item.input_audio_transcription.logprobs"])
        await session.say(sound + quiet(1), step=4800)
        done = await session.wait_for(".completed", 2)
        await session.set(turn_detection=None, transcription={"prompt": "sleep=0.3 fail"})
        await session.say(sound)
        await session.send("input_audio_buffer.commit")
        await session.wait_for(".failed")
        await session.send("conversation.item.retrieve", item_id=done["item_id"])
        await session.send("conversation.item.delete", item_id=done["item_id"])
        await session.send("input_audio_buffer.commit", event_id="empty")
        await session.wait_for("error")
        await session.drain()
    told = {event["type"].rpartition(".")[2] for event in session.events}
    assert {"created", "speech_started", "added", "delta", "completed", "failed", "retrieved", "error"} <= told
    for event in session.events:
        get_server_event_type_adapter().validate_python(event)
