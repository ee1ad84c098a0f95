"""Turns of a conversation over HTTP: answered whole or as events, interrupted, tried again."""

import base64
import io
import json
import wave
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.responses import JSONResponse

from chat.scripted_model import ScriptedModel
from chat.talking import CALL, LAMP, Conversation, wav
from running_server import wait_until


def read_events(answer: httpx2.Response) -> Iterator[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def kinds(events: Sequence[dict[str, Any]]) -> list[object]:
    return [event["type"] for event in events]


def sent_to(model: ScriptedModel, number: int) -> list[tuple[str, str]]:
    messages = model.requests[number]["messages"]
    assert isinstance(messages, list)
    return [(message["role"], message["content"]) for message in messages]


def test_a_conversation_goes_on_and_thoughts_are_told_to_who_asks(talk: Conversation, model: ScriptedModel) -> None:
    model.say({"reasoning": "He greets me."}, "Hello ", "there.")
    model.say({"reasoning": "Again."}, "Fine.")
    first = talk.say("Good morning!", response_format="wav")
    assert "reasoning" not in first["message"]
    assert first["message"]["text"] == "Hello there."
    with wave.open(io.BytesIO(base64.b64decode(first["audio"]["data"]))) as samples:
        assert samples.getframerate() == 24_000
        assert samples.getnframes() / 24_000 == pytest.approx(0.06 * len("Hello there."), abs=0.2)

    answer = talk.post(text="How are you?", include=["reasoning"], modalities=["text"])
    assert float(answer.headers["x-first-text-s"]) >= float(answer.headers["x-first-token-s"]) > 0
    second = answer.json()
    assert (second["message"]["reasoning"], second["audio"]) == ("Again.", None)
    expected = [("system", "Be brief."), ("user", "Good morning!"), ("assistant", "Hello there.")]
    assert sent_to(model, 1) == [*expected, ("user", "How are you?")]
    assert talk.statuses() == ["user completed", "assistant completed"] * 2
    assert talk.http.get(talk.url).json()["state"] == "idle"


def test_speech_is_answered_with_events_in_their_order(talk: Conversation, model: ScriptedModel) -> None:
    model.say("One two three. ", "Four five six.")
    body: dict[str, Any] = {"files": {"file": ("speech.wav", wav(2.0))}, "data": {"stream": "true", "voice": "echo"}}
    with talk.http.stream("POST", f"{talk.url}/messages", **body) as answer:
        events = list(read_events(answer))
    told = kinds(events)
    assert told[0] == "transcript"
    assert told[-1] == "done"
    assert told.count("done") == 1
    assert events[0]["text"] == "window 2.0 s."
    assert 0 < events[0]["confidence"] < 1
    assert "".join(str(event["delta"]) for event in events if event["type"] == "text.delta") == (
        "One two three. Four five six."
    )
    sounded, at_ms, samples = -1, 0, b""
    for event in events:
        if event["type"] == "sentence":
            sounded += 1
            assert event["index"] == sounded
        elif event["type"] == "audio.delta":
            assert event["index"] in {sounded, sounded - 1}  # a pause belongs to what it follows
            assert event["offset_ms"] == pytest.approx(at_ms, abs=1)
            samples += base64.b64decode(str(event["data"]))
            at_ms = len(samples) // 48
    assert sounded == 1
    assert np.abs(np.frombuffer(samples, "<i2")).max() > 3000
    assert at_ms == pytest.approx(60 * len("One two three.Four five six."), abs=800)
    user, reply = talk.messages()
    assert (user["text"], user["duration_seconds"]) == ("window 2.0 s.", 2.0)
    assert events[-1]["message"]["id"] == reply["id"]
    assert reply["timings"].keys() >= {"stt", "first_audio", "done"}

    again = talk.http.get(events[-1]["message"]["audio_url"], params={"response_format": "wav"})
    assert again.headers["content-type"] == "audio/wav"
    assert abs(len(again.content) - len(samples)) < 2000


def test_where_nobody_speaks_nothing_is_asked(talk: Conversation, model: ScriptedModel) -> None:
    answer = talk.http.post(f"{talk.url}/messages", files={"file": ("speech.wav", wav(2.0, volume=0))})
    told = answer.json()
    assert (answer.status_code, told["status"], told["message"], told["audio"]) == (200, "completed", None, None)
    assert (told["transcript"]["text"], told["transcript"]["confidence"]) == ("", 0.0)
    assert talk.messages() == []
    assert model.requests == []


def test_the_client_runs_the_tools(talk: Conversation, model: ScriptedModel) -> None:
    model.say("One moment. ", {"tool_calls": [CALL]})
    model.say("It is on.")
    with talk.http.stream("POST", f"{talk.url}/messages", json={"text": "Light!", "stream": True}) as answer:
        events = list(read_events(answer))
    assert [e for e in events if e["type"] == "tool_call"] == [
        {"type": "tool_call", "id": "call_1", "name": "lamp", "arguments": '{"on": true}'}
    ]
    assert events[-1]["finish_reason"] == "tool_calls"
    assert model.requests[0]["tools"] == [LAMP]
    wrong = talk.post(tool_results=[{"id": "call_2", "output": "on"}])
    assert wrong.status_code == 400
    assert "call_1 (lamp)" in wrong.text

    answer = talk.post(tool_results=[{"id": "call_1", "output": {"is": "on"}}])
    assert answer.json()["message"]["text"] == "It is on."
    assert sent_to(model, 1)[2:] == [("assistant", "One moment."), ("tool", '{"is": "on"}')]
    assert talk.post(tool_results=[{"id": "call_1", "output": "on"}]).status_code == 400


def test_a_model_that_does_nothing_but_call_tools_is_stopped(talk: Conversation, model: ScriptedModel) -> None:
    for number in range(9):
        model.say({"tool_calls": [CALL | {"id": f"call_{number}"}]})
    answer = talk.post(text="Light!", modalities=["text"])
    for number in range(9):
        assert answer.json()["finish_reason"] == "tool_calls"
        answer = talk.post(tool_results=[{"id": f"call_{number}", "output": "?"}], modalities=["text"])
    assert answer.status_code == 409
    assert len(model.requests) == 9
    assert "tool_choice" not in model.requests[7]
    assert model.requests[8]["tool_choice"] == "none"


def test_an_interrupted_reply_is_kept_as_it_was_heard(talk: Conversation, model: ScriptedModel) -> None:
    model.say("One two three four. Five six seven eight. Nine", 20.0, "never")
    with talk.http.stream("POST", f"{talk.url}/messages", json={"text": "Count.", "stream": True}) as answer:
        events = read_events(answer)
        heard_ms = 0
        while heard_ms < 2100:
            if (event := next(events))["type"] == "audio.delta":
                heard_ms = event["offset_ms"] + len(base64.b64decode(event["data"])) // 48
        assert talk.http.get(talk.url).json()["state"] == "speaking"
        conflict = talk.post(text="And now?")
        assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "turn_in_progress")
        told = talk.interrupt(2000)
        rest = list(events)
    assert told["interrupted"]
    assert told["message"]["text"] == "One two three four. Five"
    assert rest[-1]["type"] == "done"
    assert rest[-1]["message"] == told["message"]
    assert talk.statuses() == ["user completed", "assistant interrupted"]
    wait_until(lambda: model.cut == 1, 5, "the model is left alone")

    model.say("One two three four. Five six.")
    talk.say("Again.")
    assert sent_to(model, 1)[2] == ("assistant", "One two three four. Five\N{EM DASH}")
    assert talk.interrupt(500)["message"]["text"] == "One two"  # it was made, and is still playing
    assert talk.statuses()[-1] == "assistant interrupted"


def test_a_new_message_may_interrupt_and_who_leaves_does(talk: Conversation, model: ScriptedModel) -> None:
    for _ in range(2):
        model.say("One two three four. Five", 20.0, "never")
    with talk.http.stream("POST", f"{talk.url}/messages", json={"text": "Count.", "stream": True}) as answer:
        next(event for event in read_events(answer) if event["type"] == "audio.delta")
        with talk.http.stream(
            "POST", f"{talk.url}/messages", json={"text": "Stop.", "stream": True, "interrupt": True}
        ) as second:
            next(event for event in read_events(second) if event["type"] == "text.delta")
            assert talk.statuses()[:3] == ["user completed", "assistant interrupted", "user completed"]
    wait_until(lambda: talk.statuses()[-1] == "assistant interrupted", 5, "who left has interrupted")
    assert talk.say("Hello")["message"]["text"] == "You said: Count.\nStop.\nHello"  # of the replies nothing was heard


def test_a_key_makes_two_requests_one_turn(talk: Conversation, model: ScriptedModel) -> None:
    model.say("Once.")
    key = {"idempotency-key": "one"}
    first, second = (talk.post(key, text="Hello", response_format="pcm").json() for _ in range(2))
    assert first == second
    assert len(model.requests) == 1
    assert first["audio"]["data"]
    other = talk.post(key, text="Something else")
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")

    key = {"idempotency-key": "two"}
    model.replies.append(JSONResponse({"error": {"message": "no"}}, 500))
    assert talk.post(key, text="Really?").status_code == 502
    assert talk.post(key, text="Really?").json()["message"]["text"] == "You said: Really?"
    assert talk.statuses().count("user completed") == 2


def test_what_fails_costs_nothing_that_was_said(talk: Conversation, model: ScriptedModel) -> None:
    model.say("This will fail. And this not.")
    answer = talk.post(text="Speak!")
    told = answer.json()
    assert (answer.status_code, told["status"], told["audio"]) == (200, "completed", None)
    assert told["message"]["text"] == "This will fail. And this not."
    assert told["message"]["tts_error"]
    assert answer.headers["x-warnings"]

    model.say("This was ", None)
    with talk.http.stream("POST", f"{talk.url}/messages", json={"text": "Go on.", "stream": True}) as stream:
        *_, error, done = read_events(stream)
    assert (error["type"], error["stage"], error["error"]["code"]) == ("error", "llm", "upstream_failed")
    assert (done["type"], done["message"]["status"], done["message"]["text"]) == ("done", "failed", "This was")
    assert talk.http.get(talk.url).json()["state"] == "error"

    assert talk.post(None, **{"continue": True}).status_code == 200
    assert sent_to(model, 2)[3:] == [("user", "Go on."), ("assistant", "This was\N{EM DASH}")]


@pytest.mark.parametrize(
    "sent", ["text=How+are+you%3F&modalities=text", '{"text": "How are you?", "modalities": ["text"]}']
)
def test_what_curl_sends_by_itself_is_a_message(talk: Conversation, model: ScriptedModel, sent: str) -> None:
    by_itself = {"content-type": "application/x-www-form-urlencoded"}
    answer = talk.http.post(f"{talk.url}/messages", content=sent, headers=by_itself)
    assert answer.json()["message"]["text"] == "You said: How are you?"


def test_what_is_no_message_is_refused(talk: Conversation, model: ScriptedModel) -> None:
    def send(**request: Any) -> httpx2.Response:
        return talk.http.post(f"{talk.url}/messages", **request)

    refused = [
        send(),
        send(json={}),
        send(json=[]),
        send(json={"text": "  "}),
        send(json={"text": 5}),
        send(json={"text": "a", "continue": True}),
        send(json={"text": "a" * 40_000}),
        send(json={"text": "a", "response_format": "ogv"}),
        send(json={"text": "a", "modalities": ["smell"]}),
        send(json={"text": "a", "speed": 9}),
        send(json={"text": "a", "tools": [{"type": "hammer"}]}),
        send(json={"tool_results": [{"output": "no id"}]}),
        send(json={"continue": True}),
        send(json={"text": "a"}, headers={"idempotency-key": "k" * 300}),
        send(content=b"\xff\xfe{", headers={"content-type": "application/json"}),
        send(content=b"text=hello", headers={"content-type": "text/plain"}),
        send(content=b'{"text": "hello"', headers={"content-type": "application/x-www-form-urlencoded"}),
        send(data={"tool_results": "[{"}, files={"other": b"x"}),
        send(files={"file": ("speech.wav", b"this is no sound at all")}),
        send(files={"file": ("speech.wav", wav(0.02))}, data={"stream": "true"}),
        talk.http.post(f"{talk.url}/interrupt", json={"audio_end_ms": -1}),
        talk.http.get(f"{talk.url}/messages/msg_x/audio"),
        talk.http.post("/v1/voice/sessions/sess_x/messages", json={"text": "a"}),
        talk.http.post("/v1/voice/sessions/sess_x/interrupt"),
    ]
    statuses = [answer.status_code for answer in refused]
    assert statuses == [400] * 21 + [404] * 3, list(zip(statuses, [answer.text for answer in refused], strict=True))
    assert all(answer.json()["error"]["message"] for answer in refused)
    assert talk.messages() == []
    assert model.requests == []
