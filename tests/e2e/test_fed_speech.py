"""A text that is spoken while it is written, over a real server's socket."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from core.http.sockets.doors import ask_refusal, open_socket
from running_server import RunningServer
from voice_stack.client import ApiError, VoiceStackClient
from voice_stack.core.http.keys import KeyFile, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
PATH = "/v1/audio/speech/stream"
START = {"type": "start", "model": "tts-1", "response_format": "pcm", "timestamps": True}
MOST_BYTES = 48_000 * 300
"""Five minutes of sound; what is written takes half an hour."""
FIRST, REST = "The museum opens at ten. It costs", " $5.50, as Dr. Smith said."


@pytest.fixture
def socket(tts_server: RunningServer) -> Iterator[ClientConnection]:
    url = f"{tts_server.url.replace('http', 'ws')}{PATH}"
    with connect(url, proxy=None, max_size=None) as connection:
        yield connection


def say(socket: ClientConnection, *messages: dict[str, object]) -> None:
    for message in messages:
        socket.send(json.dumps(message))


def hear(socket: ClientConnection, last: str) -> tuple[int, list[dict[str, object]]]:
    """Bytes of sound and all else that comes until a message of a type."""
    size, told = 0, list[dict[str, object]]()
    while not told or told[-1]["type"] != last:
        message = socket.recv(timeout=30)
        size += len(message) if isinstance(message, bytes) else 0
        told += [json.loads(message)] if isinstance(message, str) else []
    return size, told


def test_the_first_sentence_is_heard_before_the_text_is_complete(socket: ClientConnection) -> None:
    say(socket, START, {"type": "text", "delta": FIRST})
    assert hear(socket, "words")[1][-1]["text"] == "The museum opens at ten."
    say(socket, {"type": "text", "delta": REST}, {"type": "end"})
    size, told = hear(socket, "done")
    assert [message["text"] for message in told if message["type"] == "words"] == ["It costs $5.50, as Dr. Smith said."]
    assert size > 48_000
    assert told[-1]["reason"] == "complete"


def test_a_flush_speaks_half_a_sentence_and_a_cancel_ends_the_speech(socket: ClientConnection) -> None:
    say(socket, START, {"type": "text", "delta": "That is"}, {"type": "flush"})
    size, _ = hear(socket, "flushed")
    assert size > 10_000
    say(socket, {"type": "text", "delta": "A long text. " * 500}, {"type": "cancel"})
    assert hear(socket, "done")[1][-1]["reason"] == "cancelled"
    say(socket, START, {"type": "text", "delta": "Once more."}, {"type": "end"})
    assert hear(socket, "done")[1][-1]["reason"] == "complete"


def test_a_cancel_is_obeyed_however_much_was_written_before_it(socket: ClientConnection) -> None:
    text = "A long text, letter by letter. " * 1000
    say(socket, START, *({"type": "text", "delta": letter} for letter in text), {"type": "cancel"})
    size, told = hear(socket, "done")
    assert told[-1]["reason"] == "cancelled"
    assert size < MOST_BYTES
    say(socket, START, {"type": "text", "delta": "Once more."}, {"type": "end"})
    assert hear(socket, "done")[1][-1]["reason"] == "complete"


def test_what_cannot_be_spoken_is_an_error_and_the_socket_stays(socket: ClientConnection) -> None:
    say(socket, {**START, "voice": "nobody"})
    assert "nobody" in str(hear(socket, "error")[1][-1])
    say(socket, START, {"type": "text", "delta": "x" * 200_001})
    assert "200000" in str(hear(socket, "error")[1][-1])
    say(socket, START, {"type": "end"})
    assert hear(socket, "done")[0] == 0


def test_it_asks_for_the_key_that_speeches_need(start_server: StartServer, tmp_path: Path) -> None:
    keys, file = dict[str, str](), KeyFile(tmp_path / "keys.json")
    for name in ("tts", "asr"):
        keys[name], key = make_key(name, [name])
        file.add(key)
    right, other = keys["tts"], keys["asr"]

    def offer(key: str) -> tuple[str, ...]:
        return ("realtime", f"openai-insecure-api-key.{key}")

    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", API_KEYS_FILE=str(file.path)) as server:
        for headers, offered in (({"authorization": f"Bearer {right}"}, ()), ({}, offer(right))):
            with open_socket(server.port, PATH, headers, offered) as socket:
                assert socket.subprotocol == ("realtime" if offered else None)
                say(socket, START, {"type": "text", "delta": "Hello there."}, {"type": "end"})
                assert hear(socket, "done")[0] > 0
        for headers, offered, expected in (
            ({}, (), 401), ({}, ("realtime",), 401), ({}, offer("sk-wrong"), 401), ({}, offer("ek_AAAA.0123"), 401),
            ({"authorization": "Bearer sk-wrong"}, (), 401), ({"authorization": right}, (), 401),
            ({"authorization": f"Bearer {other}"}, (), 403), ({}, offer(other), 403),
        ):  # fmt: skip
            status, _, told = ask_refusal(server.port, PATH, headers, offered)
            assert (status, told["code"]) == (expected, "invalid_api_key" if expected == 401 else "missing_scope")
        assert ask_refusal(server.port, f"{PATH}?api_key={right}")[0] == 401
        with VoiceStackClient(tts_url=server.url, api_key=right) as client:
            assert b"".join(client.speak(["Hello there."], format="wav"))[:4] == b"RIFF"
        with VoiceStackClient(tts_url=server.url, api_key=other) as client, pytest.raises(ApiError, match="asr"):
            list(client.speak(["Hello there."]))
        log = server.log.read_text()
        assert "key=tts" in log
        assert right not in log


def test_the_client_hands_out_sound_while_it_sends_text(tts_server: RunningServer) -> None:
    heard: list[bytes] = []

    def text() -> Iterator[str]:
        yield FIRST
        while not heard:
            time.sleep(0.02)
            yield ""
        yield REST

    with VoiceStackClient(tts_url=tts_server.url) as client:
        for sound in client.speak(text(), format="wav"):
            heard.append(sound)  # noqa: PERF402 - the text looks at it
        assert heard[0][:4] == b"RIFF"
        with pytest.raises(ApiError):
            list(client.speak(["Hi."], voice="nobody"))
