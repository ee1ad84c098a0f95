"""OpenAI's chat with sound, as OpenAI's own client speaks it; without sound, as the model speaks it."""

import base64
import json
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from fastapi.responses import JSONResponse, Response
from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam

from chat.scripted_model import ScriptedModel
from running_server import RunningServer, wait_until
from voice_stack.utils.audio.pcm import wav_header

WAV = wav_header(24_000, 24_000) + (8000 * np.sin(np.arange(24_000) / 20)).astype("<i2").tobytes()
HEARD = "window 1.0 s."
HELLO: ChatCompletionMessageParam = {"role": "user", "content": "Hello"}
BOTH = ["text", "audio"]
MAGIC = {"wav": b"RIFF", "mp3": b"\xff\xf3", "flac": b"fLaC", "opus": b"OggS", "aac": b"\xff\xf1"}
TOOL_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"at": "Rome"}'},
}


def recording(data: str, format_name: str = "wav") -> dict[str, object]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": format_name}}


def ask(server: RunningServer, **fields: object) -> httpx2.Response:
    with server.http() as client:
        body = {"model": "gpt-audio", "modalities": BOTH, "audio": {"voice": "alloy"}, "messages": [HELLO]}
        return client.post("/v1/chat/completions", json=body | fields)


def read_events(answer: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def contents(model: ScriptedModel) -> list[object]:
    messages = model.requests[-1]["messages"]
    assert isinstance(messages, list)
    return [message["content"] for message in messages if message["role"] != "system"]


def test_speech_is_answered_in_speech(chat_server: RunningServer, model: ScriptedModel) -> None:
    model.say({"reasoning": "They greet."}, "Good morning. ", "How are you?")
    listen: ChatCompletionContentPartParam = {"type": "text", "text": "Listen:"}
    speech = base64.b64encode(WAV).decode()
    reply = chat_server.openai().chat.completions.create(
        model="gpt-audio",
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
        messages=[
            {
                "role": "user",
                "content": [listen, {"type": "input_audio", "input_audio": {"data": speech, "format": "wav"}}],
            }
        ],
    )
    message = reply.choices[0].message
    assert message.audio is not None
    assert (message.content, message.audio.transcript) == (None, "Good morning. How are you?")
    assert contents(model) == [f"Listen:\n{HEARD}"]
    assert model.requests[-1]["model"] == reply.model == "scripted"
    samples = np.frombuffer(base64.b64decode(message.audio.data), "<i2")
    # The fake voice hums 0.06 s a character; between the sentences is a pause.
    assert len(samples) / 24_000 == pytest.approx(25 * 0.06 + 0.5, abs=0.5)
    assert np.abs(samples).max() > 4000
    assert reply.usage is not None
    assert reply.usage.total_tokens == 12


def test_every_format_of_sound(chat_server: RunningServer, model: ScriptedModel) -> None:
    lengths = {}
    for name, magic in MAGIC.items():
        model.say("Yes.")
        audio = ask(chat_server, audio={"voice": {"id": "alloy"}, "format": name}).json()["choices"][0]["message"][
            "audio"
        ]
        data = base64.b64decode(audio["data"])
        assert data.startswith(magic)
        lengths[name] = len(data)
    assert min(lengths.values()) > 500


def test_the_stream_is_openais(chat_server: RunningServer, model: ScriptedModel) -> None:
    model.say("Good morning. ", "How are you?")
    fields = {"stream": True, "stream_options": {"include_usage": True}, "audio": {"voice": "alloy", "format": "pcm16"}}
    *events, usage = read_events(ask(chat_server, **fields))
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 12)
    choices = [event["choices"][0] for event in events]
    assert choices[0]["delta"]["role"] == "assistant"
    assert (choices[-1]["delta"], choices[-1]["finish_reason"]) == ({}, "stop")
    deltas = [choice["delta"]["audio"] for choice in choices[:-1]]
    assert [name for delta in deltas for name in delta if name in {"id", "expires_at"}] == ["id", "expires_at"]
    assert "".join(delta.get("transcript", "") for delta in deltas) == "Good morning. How are you?"
    pieces = [delta["data"] for delta in deltas if "data" in delta]
    sound = [base64.b64decode(piece) for piece in pieces]
    assert {len(piece) % 6 for piece in sound} == {0}
    assert max(map(len, sound)) == 4800
    assert base64.b64decode("".join(pieces)) == b"".join(sound)


def test_a_reply_is_named_by_its_id_in_the_next_turn(chat_server: RunningServer, model: ScriptedModel) -> None:
    client = chat_server.openai()
    model.say("I am fine.")
    with client.chat.completions.stream(
        model="gpt-4o-audio-preview",
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
        messages=[HELLO],
    ) as stream:
        audio = stream.get_final_completion().choices[0].message.audio
    assert audio is not None
    assert audio.transcript == "I am fine."
    assert len(base64.b64decode(audio.data)) > 20_000
    named: ChatCompletionMessageParam = {"role": "assistant", "audio": {"id": audio.id}}
    client.chat.completions.create(model="scripted", messages=[HELLO, named, HELLO])
    assert contents(model) == ["Hello", "I am fine.", "Hello"]
    with pytest.raises(openai.BadRequestError, match="an hour") as failure:
        client.chat.completions.create(
            model="scripted", messages=[HELLO, {"role": "assistant", "audio": {"id": "audio_0"}}, HELLO]
        )
    assert failure.value.param == "messages.1.audio.id"


def test_without_sound_all_is_the_models(chat_server: RunningServer, model: ScriptedModel) -> None:
    body = b'{"model": "their-own",  "messages": [{"role": "user", "content": "Hi"}], "odd": {"a": [1]}}'
    headers = {"authorization": "Bearer ours", "x-title": "app", "origin": chat_server.url}
    answer = JSONResponse({"odd": "answer"}, 218, {"x-from-model": "yes"})
    model.replies.append(answer)
    with chat_server.http() as client:
        got = client.post("/v1/chat/completions", content=body, headers=headers)
        assert (got.status_code, got.content, got.headers["x-from-model"]) == (218, answer.body, "yes")
        assert model.requests[-1] == json.loads(body)
        told = model.headers[-1]
        assert told["content-length"] == str(len(body))
        assert (told["x-title"], told.get("authorization"), told.get("origin")) == ("app", None, None)

        stream = b': hello\n\ndata: {"choices": [{"delta": {"reasoning": "hm"}}]}\n\ndata: [DONE]\n\n'
        model.replies.append(Response(stream, media_type="text/event-stream"))
        assert client.post("/v1/chat/completions", content=body).content == stream

        model.replies.append(JSONResponse({"error": {"message": "slow", "code": 9}}, 429, {"retry-after": "7"}))
        got = client.post("/v1/chat/completions", content=body)
        assert (got.status_code, got.json()["error"]["code"], got.headers["retry-after"]) == (429, 9, "7")
        model.replies.append(JSONResponse({"error": "bad key"}, 401))
        assert client.post("/v1/chat/completions", content=body).status_code == 502


def test_speech_may_be_answered_in_text(chat_server: RunningServer, model: ScriptedModel) -> None:
    url = "data:audio/webm;codecs=opus;base64," + base64.b64encode(WAV).decode()
    raw = base64.b64encode(WAV[44:]).decode()
    messages = [
        {"role": "user", "content": [recording(url, "webm")]},
        {"role": "user", "content": [recording(raw, "pcm16")]},
    ]
    answer = ask(chat_server, modalities=["text"], messages=messages)
    assert answer.json()["choices"][0]["message"]["content"] == f"You said: {HEARD}"
    assert contents(model) == [HEARD, HEARD]
    assert answer.headers["x-from-model"] == "yes"


def test_calls_of_tools_have_no_sound(chat_server: RunningServer, model: ScriptedModel) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    model.say({"tool_calls": [TOOL_CALL]})
    choice = ask(chat_server, tools=tools).json()["choices"][0]
    call = {name: value for name, value in TOOL_CALL.items() if name != "index"}
    assert choice["message"]["tool_calls"] == [call]
    assert (choice["finish_reason"], "audio" in choice["message"]) == ("tool_calls", False)
    assert model.requests[-1]["tools"] == tools
    model.say({"tool_calls": [TOOL_CALL]})
    events = read_events(ask(chat_server, tools=tools, stream=True))
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas == [{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, {}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    model.say("It is sunny.")
    answer = ask(chat_server, messages=[HELLO, choice["message"], result], tools=tools)
    assert answer.json()["choices"][0]["message"]["audio"]["transcript"] == "It is sunny."
    assert contents(model) == ["Hello", None, "sunny"]


def hear(data: str, format_name: str = "wav") -> dict[str, object]:
    return {"messages": [HELLO, {"role": "user", "content": [recording(data, format_name)]}]}


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "n": ({"n": 2}, "n"),
    "a format for the whole": ({"stream": True, "audio": {"voice": "alloy", "format": "wav"}}, "audio.format"),
    "no base64": (hear("&&&&"), "messages.1.content.0.input_audio.data"),
    "no sound": (hear("aGVsbG8="), "messages.1.content.0.input_audio.data"),
    "no such format": (
        hear("aGVsbG8=", "midi"),
        "messages.1.content.0.input_audio.format",
    ),
    "no such voice": ({"audio": {"voice": "nobody", "format": "wav"}}, "voice"),
    "no such voice, streamed": ({"audio": {"voice": "nobody", "format": "pcm16"}, "stream": True}, "voice"),
    "no such modality": ({"modalities": ["audio", "smell"]}, "modalities"),
    "no messages": ({"messages": []}, "messages"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(chat_server: RunningServer, model: ScriptedModel, name: str) -> None:
    fields, param = WRONG[name]
    answer = ask(chat_server, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("modalities", [BOTH, ["text"]])
def test_a_model_that_breaks_off_is_told_in_the_stream(
    chat_server: RunningServer, model: ScriptedModel, modalities: list[str]
) -> None:
    model.say("Good morning. How are you? ", 0.2, None)
    answer = ask(chat_server, stream=True, modalities=modalities, audio={"voice": "alloy", "format": "pcm16"})
    assert answer.status_code == 200
    *_, last = answer.text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"


def test_whoever_leaves_stops_the_model(chat_server: RunningServer, model: ScriptedModel) -> None:
    body = {"model": "gpt-audio", "modalities": BOTH, "messages": [HELLO], "stream": True}
    for fields in (body, {**body, "model": "scripted", "modalities": ["text"]}):
        model.cut = 0
        model.say("Good morning. How are you? ", 60.0, "Bye.")
        with chat_server.http() as client, client.stream("POST", "/v1/chat/completions", json=fields) as answer:
            next(answer.iter_bytes())
        wait_until(lambda: model.cut == 1, 5, "the model is left alone")
