"""A reply as a conversation gets it: a scripted model before a TTS server that hums, so long for each character."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from chat.scripted_model import ScriptedModel, listening
from running_server import RunningServer, free_port, wait_until
from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.events import (
    SAMPLE_RATE,
    ReasoningDelta,
    ReplyDone,
    ReplyEvent,
    Sentence,
    Sound,
    SpokenSentence,
    TextDelta,
)
from voice_stack.chat.reply import Assistant, ReplyRecord, heard_text
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.errors import UpstreamError
from voice_stack.language_model.deltas import ToolCall
from voice_stack.language_model.model import LanguageModel, ModelRequest

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])
VOICE = VoiceChoice("alloy")
NOBODY = Caller()
TONE = (8000 * np.sin(np.arange(12_000) / 20)).astype("<i2").tobytes()


@asynccontextmanager
async def assistant(model: ScriptedModel, tts_url: str) -> AsyncIterator[Assistant]:
    settings = ChatSettings.read(llm_url=model.url, tts_url=tts_url)
    language_model, servers = LanguageModel(settings), SpeechServers(settings)
    try:
        yield Assistant(language_model, servers)
    finally:
        await servers.close()
        await language_model.close()


async def reply(model: ScriptedModel, tts: RunningServer | str, voice: VoiceChoice | None = VOICE) -> list[ReplyEvent]:
    url = tts if isinstance(tts, str) else tts.url
    async with assistant(model, url) as answering:
        return [event async for event in answering.answer(HELLO, voice, NOBODY)]


def sentences(events: Sequence[ReplyEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Sentence)]


def sound(events: Sequence[ReplyEvent]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """All of it, which has no holes."""
    sounds = [event for event in events if isinstance(event, Sound)]
    for before, after in pairwise(sounds):
        assert after.offset_ms == pytest.approx(before.offset_ms + len(before.samples) / 48, abs=1)
        assert after.index >= before.index
    return np.frombuffer(b"".join(event.samples for event in sounds), "<i2")


def done(events: Sequence[ReplyEvent]) -> ReplyDone:
    last = events[-1]
    assert isinstance(last, ReplyDone)
    return last


async def test_every_sentence_is_said_in_order_with_the_pauses_between(
    model: ScriptedModel, fake_tts: RunningServer
) -> None:
    texts = ["This is the first sentence.", "Two!", "Here comes the third one.", "And the fourth."]
    model.say(" ".join(texts))
    events = await reply(model, fake_tts)
    assert sentences(events) == texts
    end = done(events)
    assert "".join(spoken.text for spoken in end.sentences) == end.text == " ".join(texts)
    for text, spoken in zip(texts, end.sentences, strict=True):
        assert spoken.end_ms - spoken.start_ms == pytest.approx(60 * len(text), abs=420)
    for before, after in pairwise(end.sentences):
        assert after.start_ms - before.end_ms == pytest.approx(500, abs=30)
    heard = sound(events)
    assert heard.size / SAMPLE_RATE == pytest.approx(end.sentences[-1].end_ms / 1000, abs=0.01)
    (loud,) = np.nonzero(np.abs(heard) > 1000)
    gaps = np.diff(loud)
    assert np.sum(gaps > 0.3 * SAMPLE_RATE) == 3
    assert max(gaps) / SAMPLE_RATE == pytest.approx(0.5, abs=0.02)
    assert list(end.timings) == ["first_token", "first_text", "first_sentence", "llm_done", "first_audio", "done"]
    assert end.usage["total_tokens"] == 12


async def test_the_first_sentence_is_heard_while_the_model_writes_on(
    model: ScriptedModel, fake_tts: RunningServer
) -> None:
    is_heard = threading.Event()
    model.say("I say it right now. W", is_heard, "ait for the rest.")
    kinds = list[str]()
    async with assistant(model, fake_tts.url) as answering:
        async for event in answering.answer(HELLO, VOICE, NOBODY):
            kinds.append(type(event).__name__)
            if isinstance(event, Sound):
                is_heard.set()
    assert kinds[:4] == ["TextDelta", "Sentence", "Sound", "TextDelta"]


async def test_one_sentence_is_made_while_another_is_said_and_never_more(model: ScriptedModel) -> None:
    app, port, asked = FastAPI(), free_port(), list[str]()
    second = threading.Event()

    @app.post("/v1/audio/speech")
    async def speak(request: Request) -> Response:
        asked.append((await request.json())["input"])
        if len(asked) == 2:
            second.set()
        await asyncio.to_thread(second.wait, 10)
        return Response(TONE)

    model.say("One is here. Two is here. Three is here. Four is here.")
    with listening(app, port):
        async with (
            assistant(model, f"http://127.0.0.1:{port}") as answering,
            aclosing(answering.answer(HELLO, VOICE, NOBODY)) as events,
        ):
            while not isinstance(await anext(events), Sound):
                pass
            assert sorted(asked) == ["One is here.", "Two is here."]
            rest = [event async for event in events]
    assert len(asked) == 4
    assert sentences(rest) == ["Two is here.", "Three is here.", "Four is here."]


async def test_text_comes_while_the_voice_lags_behind(model: ScriptedModel, fake_tts: RunningServer) -> None:
    model.say("Wait sleep=0.4 here. N", "ow the rest. ", "It is written.")
    events = await reply(model, fake_tts)
    kinds = [type(event) for event in events]
    assert kinds.index(Sound) > max(at for at, kind in enumerate(kinds) if kind is TextDelta)


async def test_thoughts_marks_and_code_are_not_said(model: ScriptedModel, fake_tts: RunningServer) -> None:
    model.say(
        {"reasoning_content": "Hm. Secret one."},
        "<thi",
        'nk>Secret two.</think><expr type="expression" la',
        'bel="happy"/>Look here.\n```py\nsecret = 3\n```\nThat was it. 😀',
    )
    events = await reply(model, fake_tts)
    said = [(event.text, event.emotion) for event in events if isinstance(event, Sentence)]
    assert said == [("Look here.", "happy"), ("There is some code in the text.", None), ("That was it.", None)]
    assert done(events).text == "Look here.\n```py\nsecret = 3\n```\nThat was it. 😀"
    thoughts = "".join(event.delta for event in events if isinstance(event, ReasoningDelta))
    assert thoughts == done(events).reasoning == "Hm. Secret one.Secret two."
    assert done(events).ignored == ("emotion",) or not done(events).ignored


async def test_a_tool_is_called_with_what_was_said_before(model: ScriptedModel, fake_tts: RunningServer) -> None:
    function = {"name": "weather", "arguments": '{"city":'}
    model.say(
        "Let me look. ",
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "Bonn"}'}}]},
    )
    events = await reply(model, fake_tts)
    assert ToolCall("call_1", "weather", '{"city": "Bonn"}') in events
    assert sentences(events) == ["Let me look."]
    assert sound(events).size > SAMPLE_RATE // 2
    assert done(events).finish_reason == "tool_calls"


async def test_without_a_voice_there_is_only_text(model: ScriptedModel) -> None:
    model.say("One <expr label='sad'/>is. Two.")
    events = await reply(model, "http://127.0.0.1:1", None)
    assert [type(event) for event in events] == [TextDelta, ReplyDone]
    assert done(events).text == "One is. Two."


async def test_a_voice_that_fails_loses_no_text(model: ScriptedModel, fake_tts: RunningServer) -> None:
    model.say("All is well. Now fail here. ", 0.3, "Never said. Nor this.")
    events = await reply(model, fake_tts)
    end = done(events)
    assert end.text == "All is well. Now fail here. Never said. Nor this."
    assert isinstance(end.tts_error, UpstreamError)
    assert [spoken.text for spoken in end.sentences if spoken.end_ms > spoken.start_ms] == ["All is well."]
    assert 0 < sound(events).size < 2 * SAMPLE_RATE

    model.say("No. Voice. At. All.")
    events = await reply(model, f"http://127.0.0.1:{free_port()}")
    assert done(events).text == "No. Voice. At. All."
    assert "CHAT_TTS_URL" in str(done(events).tts_error)


async def test_what_came_stays_when_the_model_breaks_off(model: ScriptedModel, fake_tts: RunningServer) -> None:
    model.say("This was said. And this was no", None)
    events, caught = list[ReplyEvent](), None
    async with assistant(model, fake_tts.url) as answering:
        try:
            async for event in answering.answer(HELLO, VOICE, NOBODY):
                events.append(event)
        except UpstreamError as error:
            caught = error
    assert caught is not None
    assert (done(events).text, done(events).finish_reason) == ("This was said. And this was no", "error")
    assert sentences(events) == ["This was said.", "And this was no"]
    assert sound(events).size > SAMPLE_RATE


async def test_leaving_stops_the_model_and_the_voice_at_once(model: ScriptedModel, fake_tts: RunningServer) -> None:
    model.say("I say it now. And then sleep=0.5 for long. O", *["n and on. O"] * 99, 30.0)
    record = ReplyRecord()
    async with assistant(model, fake_tts.url) as answering, aclosing(answering.answer(HELLO, VOICE, NOBODY)) as events:
        async for event in events:
            record.take(event)
            if isinstance(event, Sound):
                break
        left_at = time.perf_counter()
        await events.aclose()
        assert time.perf_counter() - left_at < 5  # the model would go on for 30 s
        await asyncio.to_thread(wait_until, lambda: model.cut == 1, 10.0, "the model is left")
        await asyncio.to_thread(wait_until, lambda: fake_tts.count_jobs() == (0, 0), 10.0, "the voice stops")
    assert heard_text(record.sentences(), record.sound_ms).startswith("I say it")


def test_what_was_heard_ends_with_a_word() -> None:
    spoken = [SpokenSentence("One two three four.", 0, 1000), SpokenSentence("\nFive six.", 1500, 2000)]
    spoken.append(SpokenSentence("你好世界你好世界", 2500, 3300))
    heard = {end_ms: heard_text(spoken, end_ms) for end_ms in (0, 400, 1000, 1400, 1760, 2000, 2900, 9999)}
    assert heard == {
        0: "",
        400: "One two",
        1000: "One two three four.",
        1400: "One two three four.",
        1760: "One two three four.\nFive",
        2000: "One two three four.\nFive six.",
        2900: "One two three four.\nFive six.你好世界",
        9999: "One two three four.\nFive six.你好世界你好世界",
    }
