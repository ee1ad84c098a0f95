"""Conversations over `/v1/realtime` with OpenAI's SDK and its agents: typed, spoken, interrupted, with tools."""

import asyncio
import base64
import json
from collections.abc import Callable

import httpx2
import pytest
from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeAudio, RealtimeError, RealtimeRunner, RealtimeSessionEvent

from chat.scripted_model import ScriptedModel, Step
from e2e.realtime import RATE, Live, encode, live, quiet
from running_server import RunningServer, wait_until

LONG: list[Step] = ["This is a long story, and it goes on and on. " * 10, 0.05] * 40
CONVERSATION = {"model": "gpt-realtime"}


@pytest.fixture(scope="module", autouse=True)
def _untraced() -> None:
    """Traces go to OpenAI."""
    set_tracing_disabled(True)


@pytest.fixture(scope="module")
def question(spoken: Callable[[str], bytes]) -> bytes:
    return encode(spoken("Please water the plants in the kitchen."))


async def update(session: Live, **settings: object) -> None:
    await session.send("session.update", session={"type": "realtime", **settings})
    await session.wait_for("session.updated")


async def test_what_is_said_is_answered_aloud(
    chat_server: RunningServer, model: ScriptedModel, question: bytes
) -> None:
    model.say("It is noon. ", "Or nearly so.")
    async with live(chat_server, CONVERSATION) as session:
        await update(session, audio={"input": {"transcription": {"model": "whisper-1"}}})
        await session.say(question + quiet(0.8))
        done = (await session.wait_for("response.done"))["response"]
    assert done["status"] == "completed"
    (item,) = done["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": "It is noon. Or nearly so."}]
    (heard,) = session.of("input_audio_transcription.completed")
    messages = model.requests[0]["messages"]
    assert isinstance(messages, list)
    assert messages[-1] == {"role": "user", "content": heard["transcript"]}
    sound = b"".join(base64.b64decode(event["delta"]) for event in session.of("output_audio.delta"))
    assert len(sound) / 2 / RATE > 1
    told = [event["type"] for event in session.events]
    assert told.index("input_audio_buffer.committed") < told.index("response.created")


async def test_a_word_stops_the_voice(chat_server: RunningServer, model: ScriptedModel, question: bytes) -> None:
    model.say(*LONG)
    async with live(chat_server, CONVERSATION) as session:
        await session.say(question + quiet(0.8))
        await session.wait_for("output_audio.delta")
        await session.say(question)
        await session.wait_for("speech_started")
        at = len(session.events)
        done = (await session.wait_for("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        await session.drain()
        assert not [event for event in session.events[at:] if event["type"] == "response.output_audio.delta"]
        item_id = done["output"][0]["id"]
        await session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
        assert (await session.wait_for("truncated"))["audio_end_ms"] == 500
        await session.send("conversation.item.retrieve", item_id=item_id)
        (part,) = (await session.wait_for("retrieved"))["item"]["content"]
    assert str(LONG[0]).startswith(part["transcript"])
    assert len(part["transcript"]) < 20
    wait_until(lambda: model.cut, 10, "the model stops")


async def test_telephone_sound_comes_as_it_was_asked_for(chat_server: RunningServer, model: ScriptedModel) -> None:
    model.say("One two three.")
    async with live(chat_server, CONVERSATION) as session:
        await update(session, audio={"output": {"format": {"type": "audio/pcma"}}})
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count."}]}
        await session.send("conversation.item.create", item=item)
        await session.send("response.create")
        await session.wait_for("response.done")
    sound = b"".join(base64.b64decode(event["delta"]) for event in session.of("output_audio.delta"))
    assert 0.5 < len(sound) / 8000 < 2
    assert len(set(sound)) > 30


async def test_a_key_for_a_browser_opens_the_session_that_it_was_made_for(
    chat_server: RunningServer, model: ScriptedModel
) -> None:
    model.say("Arr.")
    with chat_server.http() as client:
        asked = {"type": "realtime", "instructions": "Talk like a pirate.", "output_modalities": ["text"]}
        made = client.post("/v1/realtime/client_secrets", json={"session": asked}).json()
        heard = client.post("/v1/realtime/client_secrets", json={"session": {"type": "transcription"}}).json()
    assert (made["value"][:3], made["session"]["instructions"]) == ("ek_", "Talk like a pirate.")
    assert heard["session"]["type"] == "transcription"
    async with live(chat_server, CONVERSATION, key=made["value"]) as session:
        assert session.events[0]["session"]["output_modalities"] == ["text"]
        await session.send("response.create")
        done = (await session.wait_for("response.done"))["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Arr."}]
    assert model.requests[0]["messages"][0] == {"role": "system", "content": "Talk like a pirate."}  # type: ignore[index]


@pytest.mark.parametrize("query", [{"intent": "transcription"}, {"model": "gpt-4o-transcribe"}])
async def test_who_asks_for_words_alone_has_a_transcription(chat_server: RunningServer, query: dict[str, str]) -> None:
    async with live(chat_server, query) as session:
        assert session.events[0]["session"]["type"] == "transcription"


@function_tool
def get_weather(city: str) -> str:
    """The weather."""
    return f"Rain in {city}."


async def test_an_agent_talks_listens_and_calls_its_tools(
    chat_server: RunningServer, model: ScriptedModel, question: bytes
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'}}
    model.say({"tool_calls": [{"index": 0, **call}]})
    model.say("It rains.")
    model.say("I did.")
    agent = RealtimeAgent(name="Assistant", instructions="Be kind.", tools=[get_weather])
    url = f"ws://127.0.0.1:{chat_server.port}/v1/realtime?model=gpt-realtime"
    told, sound = list[RealtimeSessionEvent](), 0
    runner = RealtimeRunner(agent)
    async with asyncio.timeout(60), await runner.run(model_config={"url": url, "api_key": "unused"}) as session:
        await session.send_message("How is the weather in Bonn?")
        async for event in session:
            told.append(event)
            if isinstance(event, RealtimeAudio):
                sound += len(event.audio.data)
            if event.type == "agent_end" and len(model.requests) == 2:
                await session.send_audio(question + quiet(3))
            if event.type == "audio_end" and len(model.requests) == 3:
                break
    assert not [event for event in told if isinstance(event, RealtimeError)]
    assert [event.type for event in told].count("tool_end") == 1
    assert sound > RATE
    results = [message for message in model.requests[1]["messages"] if message["role"] == "tool"]  # type: ignore[attr-defined]
    assert [result["content"] for result in results] == ["Rain in Bonn."]
    last = model.requests[2]["messages"][-1]  # type: ignore[index]
    assert last["role"] == "user"
    assert "window" in last["content"]


async def test_sound_of_a_client_that_writes_it_another_way(chat_server: RunningServer, question: bytes) -> None:
    """Whichever way its JSON is written: the ASR server gets all of it."""
    audio = base64.b64encode(question).decode()
    frames = [
        {"type": "input_audio_buffer.append", "audio": audio},
        {"audio": audio, "type": "input_audio_buffer.append", "event_id": "a"},
        {"event_id": "b", "audio": audio, "type": "input_audio_buffer.append"},
    ]
    async with live(chat_server, CONVERSATION) as session:
        await update(session, audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        for frame in frames:
            await session.connection._connection.send(json.dumps(frame, indent=1))
        await session.send("input_audio_buffer.commit")
        completed = await session.wait_for("transcription.completed")
    assert completed["usage"]["seconds"] == pytest.approx(3 * len(question) / 2 / RATE, abs=0.1)


def test_a_request_that_opens_no_socket_is_told_so(chat_server: RunningServer) -> None:
    answer = httpx2.get(f"{chat_server.url}/v1/realtime", trust_env=False)
    assert answer.status_code in {404, 405, 426}
    assert "error" in answer.json()
