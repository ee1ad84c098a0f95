"""A conversation over a WebSocket: push to talk, interruption, tools."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from chat.scripted_model import ScriptedModel
from chat.talking import CALL, Conversation, wav
from running_server import RunningServer


@pytest.fixture
def socket(chat_server: RunningServer, talk: Conversation) -> Iterator[Connection]:
    with connect(f"ws://127.0.0.1:{chat_server.port}{talk.url}/ws", proxy=None, max_size=None) as connection:
        yield connection


def say(socket: Connection, kind: str, **fields: object) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def hear(socket: Connection, last: str) -> list[dict[str, Any]]:
    """What comes until a message of a type; sound is `{"bytes": n}`."""
    told = list[dict[str, Any]]()
    while not told or told[-1].get("type") != last:
        message = socket.recv(timeout=30)
        told.append({"bytes": len(message)} if isinstance(message, bytes) else json.loads(message))
    return told


def test_who_speaks_is_answered_with_sound(socket: Connection, talk: Conversation, model: ScriptedModel) -> None:
    model.say({"reasoning": "Hm."}, "One two three.")
    pcm = wav(2.0)[44:]
    say(socket, "input.audio.start", format="pcm16", rate=16_000, include=["reasoning"])
    socket.send(pcm[:30_000])
    say(socket, "ping")
    assert hear(socket, "pong") == [{"type": "pong"}]
    assert talk.http.get(talk.url).json()["state"] == "listening"
    socket.send(pcm[30_000:])
    say(socket, "input.audio.end")
    told = hear(socket, "done")
    assert told[0] == {"type": "transcript", "text": "window 2.0 s.", "language": "en"} | {
        name: told[0][name] for name in ("confidence", "duration")
    }
    assert {"type": "reasoning.delta", "delta": "Hm."} in told
    sounds = [number for number, event in enumerate(told) if "bytes" in event]
    assert told[sounds[0] - 1] == {"type": "sentence", "index": 0, "text": "One two three."}
    assert sum(int(str(told[number]["bytes"])) for number in sounds) == pytest.approx(48 * 840, rel=0.1)
    assert told[-1]["message"] == {
        name: value for name, value in talk.messages()[-1].items() if name != "reasoning"
    } | {"audio_url": told[-1]["message"]["audio_url"], "reasoning": "Hm."}

    say(socket, "input.audio.start", format="wav")  # a file of any kind, in pieces
    socket.send(wav(1.0))
    say(socket, "input.audio.end", modalities=["text"])
    assert hear(socket, "done")[0]["text"] == "window 1.0 s."


def test_an_interruption_ends_the_sound_at_once(socket: Connection, talk: Conversation, model: ScriptedModel) -> None:
    model.say("One two three four. Five six seven eight. Nine", 20.0, "never")
    say(socket, "input.text", text="Count.")
    heard = 0
    while heard < 48 * 1300:
        message = socket.recv(timeout=30)
        heard += len(message) if isinstance(message, bytes) else 0
    started = time.monotonic()
    say(socket, "interrupt", audio_end_ms=800)
    done = hear(socket, "done")[-1]
    took_s = time.monotonic() - started
    assert (done["status"], done["message"]["text"]) == ("interrupted", "One two three")
    assert took_s < 10, took_s  # the model would go on for 20 s
    say(socket, "ping")
    assert hear(socket, "pong") == [{"type": "pong"}]

    model.say("One two three four.")
    model.say("Fine. Then", 20.0, "never")
    say(socket, "input.text", text="Again.")
    hear(socket, "done")
    say(socket, "interrupt", audio_end_ms=500)  # made, and still playing
    assert hear(socket, "interrupted")[-1]["message"]["text"] == "One two"

    say(socket, "input.text", text="Enough.")
    hear(socket, "text.delta")
    say(socket, "input.text", text="Now?")
    assert hear(socket, "error")[-1]["error"]["code"] == "turn_in_progress"
    say(socket, "input.text", text="Now!", interrupt=True)
    assert [hear(socket, "done")[-1]["status"] for _ in range(2)] == ["interrupted", "completed"]


def test_tools_are_run_by_the_client(socket: Connection, model: ScriptedModel) -> None:
    model.say("Wait sleep=0.3 please.", {"tool_calls": [CALL, CALL | {"index": 1, "id": "call_2"}]})
    say(socket, "input.text", text="Light!")
    assert [hear(socket, "tool_call")[-1]["id"] for _ in range(2)] == ["call_1", "call_2"]
    say(socket, "tool_result", id="call_2", output="on")  # while the text before it is still being spoken
    say(socket, "tool_result", id="call_1", output={"is": "off"})
    assert hear(socket, "done")[-1]["finish_reason"] == "tool_calls"
    assert hear(socket, "done")[-1]["message"]["text"] == "You said: on"
    model.say({"tool_calls": [CALL]})
    say(socket, "input.text", text="Again!")
    hear(socket, "done")
    say(socket, "tool_result", id="call_1", output="on")
    assert hear(socket, "done")[-1]["message"]["text"] == "You said: on"
    messages = model.requests[1]["messages"]
    assert isinstance(messages, list)
    assert [message["content"] for message in messages[-2:]] == ['{"is": "off"}', "on"]


def test_what_is_no_message_is_told_and_the_conversation_goes_on(
    chat_server: RunningServer, socket: Connection, model: ScriptedModel
) -> None:
    bad = [
        "{",
        "[]",
        '{"type": "sing"}',
        '{"type": "input.audio.end"}',
        '{"type": "input.text"}',
        b"sound of nothing",
    ]
    bad += ['{"type": "interrupt", "audio_end_ms": "soon"}', '{"type": "tool_result", "id": "call_9", "output": ""}']
    bad += ['{"type": "input.audio.start", "rate": 1}', '{"type": "input.text", "text": "a", "response_format": "x"}']
    for message in [*bad, b"sound of nothing"]:
        socket.send(message)
        error = hear(socket, "error")[-1]["error"]
        assert error["type"] == "invalid_request_error", (message, error)
    say(socket, "input.text", text="Hello", modalities=["text"])
    assert hear(socket, "done")[-1]["message"]["text"] == "You said: Hello"
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{chat_server.port}/v1/voice/sessions/sess_x/ws", proxy=None)
    assert refused.value.response.status_code == 404
