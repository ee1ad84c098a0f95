"""Text to speech, and what the servers tell about themselves."""

import os
import threading
from pathlib import Path

import pytest
from fastapi import Response

from client.protocol_server import AUDIO, ProtocolServer, cut_off, error, held_back
from voice_stack.client import (
    ApiError,
    FileHead,
    IncompleteResponseError,
    InvalidResponseError,
    Model,
    SpeechChunk,
    Voice,
    VoiceStackClient,
)


def test_synthesize_sends_openais_fields(client: VoiceStackClient, server: ProtocolServer) -> None:
    assert client.synthesize("Grüß Gott", voice="amy", format="flac", speed=1.5, language="de") == AUDIO
    assert (server.received[0].path, server.received[0].json) == (
        "/v1/audio/speech",
        {
            "model": "tts-1",
            "input": "Grüß Gott",
            "voice": "amy",
            "response_format": "flac",
            "speed": 1.5,
            "language": "de",
        },
    )


def test_audio_is_handed_out_before_the_stream_ends(client: VoiceStackClient, server: ProtocolServer) -> None:
    gate = threading.Event()
    server.script.append(held_back(b"first", b"rest", gate, "audio/mpeg"))
    chunks = client.synthesize_stream("Hello")
    assert next(chunks) == b"first"
    gate.set()
    assert b"".join(chunks) == b"rest"


def test_a_cut_off_stream_raises_and_is_not_begun_again(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(cut_off(b"half"))
    chunks = client.synthesize_stream("Hello", request_id="req_me")
    assert next(chunks) == b"half"
    with pytest.raises(IncompleteResponseError) as caught:
        next(chunks)
    assert (caught.value.request_id, len(server.received)) == ("req_me", 1)


def test_a_cut_off_answer_that_nobody_has_seen_is_asked_for_again(
    client: VoiceStackClient, server: ProtocolServer
) -> None:
    server.script.append(cut_off(b"half"))
    assert client.synthesize("Hello") == AUDIO
    assert len(server.received) == 2


def test_a_stream_is_tried_again_before_its_first_byte(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(error(503))
    assert b"".join(client.synthesize_stream("Hello")) == AUDIO


DELTA = b'data: {"type": "speech.audio.delta", "audio": "AQID", "characters": 4}\n\n'
EVENTS = "text/event-stream"


def test_chunks_say_how_far_the_speech_is(client: VoiceStackClient, server: ProtocolServer) -> None:
    plain = b'data: {"type": "speech.audio.delta", "audio": "BA=="}\n\ndata: {"type": "something.new"}\n\n'
    done = b'data: {"type": "speech.audio.done", "usage": {}, "exact_head": {"replaces": 2, "data": "AAA="}}\n\n'
    server.script.append(Response(DELTA + plain + done, media_type=EVENTS))
    assert list(client.synthesize_chunks("Hello", voice="amy", format="wav")) == [
        SpeechChunk(b"\1\2\3", 4),
        SpeechChunk(b"\4"),
        SpeechChunk(b"", head=FileHead(2, b"\0\0")),
    ]
    sent = server.received[0].json
    assert isinstance(sent, dict)
    assert (sent["stream_format"], sent["voice"], sent["response_format"]) == ("sse", "amy", "wav")


def test_chunks_of_servers_that_know_less(client: VoiceStackClient, server: ProtocolServer) -> None:
    assert b"".join(chunk.audio for chunk in client.synthesize_chunks("Hello")) == AUDIO
    server.script.append(Response(DELTA + b'data: {"type": "speech.audio.done"}\n\n', media_type=EVENTS))
    assert list(client.synthesize_chunks("Hello"))[-1] == SpeechChunk(b"", head=FileHead())


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (DELTA, IncompleteResponseError),
        (DELTA + b'data: {"error": {"message": "out of breath"}}\n\n', ApiError),
        (DELTA + b'data: {"type": "speech.audio.delta", "audio": "!"}\n\n', InvalidResponseError),
        (DELTA + b'data: {"type": "speech.audio.delta"}\n\n', InvalidResponseError),
        (DELTA + b"data: no JSON\n\n", InvalidResponseError),
    ],
)
def test_chunks_that_end_badly(
    client: VoiceStackClient, server: ProtocolServer, answer: bytes, failure: type[Exception]
) -> None:
    server.script.append(Response(answer, media_type=EVENTS))
    chunks = client.synthesize_chunks("Hello")
    assert next(chunks).audio == b"\1\2\3"
    with pytest.raises(failure):
        list(chunks)


@pytest.mark.parametrize(("name", "sent"), [("a.wav", "wav"), ("a.OGG", "opus"), ("a.raw", "pcm"), ("a.mp3", "mp3")])
def test_a_file_is_written_in_the_format_of_its_name(
    client: VoiceStackClient, server: ProtocolServer, tmp_path: Path, name: str, sent: str
) -> None:
    target = client.synthesize_to_file("Hello", tmp_path / name, voice="amy")
    assert (target, target.read_bytes()) == (tmp_path / name, AUDIO)
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - names are what is compared
    assert isinstance(server.received[0].json, dict)
    assert server.received[0].json["response_format"] == sent


def test_the_format_can_be_said_apart_from_the_name(
    client: VoiceStackClient, server: ProtocolServer, tmp_path: Path
) -> None:
    assert client.synthesize_to_file("Hello", str(tmp_path / "a.bin"), format="aac").read_bytes() == AUDIO
    assert isinstance(server.received[0].json, dict)
    assert server.received[0].json["response_format"] == "aac"


def test_an_unknown_suffix_is_told_before_anything_is_sent(
    client: VoiceStackClient, server: ProtocolServer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"hello\.xyz.*\.mp3, \.opus"):
        client.synthesize_to_file("Hello", tmp_path / "hello.xyz")
    assert (server.received, list(tmp_path.iterdir())) == ([], [])


def test_a_failed_file_leaves_what_was_there(client: VoiceStackClient, server: ProtocolServer, tmp_path: Path) -> None:
    target = tmp_path / "hello.mp3"
    target.write_bytes(b"old")
    server.script.append(cut_off(b"half"))
    with pytest.raises(IncompleteResponseError):
        client.synthesize_to_file("Hello", target)
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(target, b"old")]


def test_voices_models_and_health(client: VoiceStackClient, server: ProtocolServer) -> None:
    assert client.voices() == [Voice("amy", "Amy", {"language": "en"})]
    assert client.models() == {server_name: [Model("base", 5, "us")] for server_name in ("asr", "tts")}
    assert list(client.models(["tts"])) == ["tts"]
    health = client.health(request_id="req_h")["tts"]
    assert (health.is_up, health.version, health.reason, health.request_id) == (True, "1.2.3", None, "req_h")


def test_an_unwell_server_is_down_and_asked_once(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(error(503, "stopping"))
    health = client.health()
    assert (health["asr"].is_up, health["asr"].reason) == (False, "503: stopping")
    assert health["tts"].is_up
    assert len(server.received) == 2
