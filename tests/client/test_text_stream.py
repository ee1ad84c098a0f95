"""Speech to text, piece by piece."""

import threading

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse

from client.protocol_server import ProtocolServer, cut_off, held_back
from voice_stack.client import (
    ApiError,
    IncompleteResponseError,
    InvalidResponseError,
    VoiceStackClient,
    VoiceStackClientError,
)

DELTA = b'data: {"type":"transcript.text.delta","delta":"Hello"}\n\n'
DONE = b'data: {"type":"transcript.text.done","text":"Guten Tag."}\n\n'
FAILURE = b'data: {"error":{"message":"engine died","type":"server_error","param":null,"code":null}}\n\n'
EVENT_STREAM = "text/event-stream"


def test_text_is_handed_out_before_the_stream_ends(client: VoiceStackClient, server: ProtocolServer) -> None:
    gate = threading.Event()
    first = b': ping\n\ndata: {"type":"transcript.text.delta","delta":"Guten"}\n\n'
    rest = b'data: {"type":"transcript.text.delta","delta":" Tag."}\n\n' + DONE
    server.script.append(held_back(first, rest, gate, "text/event-stream"))
    deltas = client.transcribe_stream(b"RIFF", language="de")
    assert next(deltas) == "Guten"
    gate.set()
    assert list(deltas) == [" Tag."]
    form = {"model": "whisper-1", "language": "de", "response_format": "json", "stream": "true"}
    assert dict(server.received[0].form) == form


def test_a_server_that_cannot_stream_still_gives_the_text(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(JSONResponse({"text": "Guten Tag."}))
    assert list(client.transcribe_stream(b"RIFF")) == ["Guten Tag."]


@pytest.mark.parametrize(
    ("answer", "error_class", "message"),
    [
        (DELTA + FAILURE, ApiError, "engine died"),
        (DELTA, IncompleteResponseError, "transcript.text.done"),
        (DELTA + b"data: {broken\n\n", InvalidResponseError, "broken"),
    ],
)
def test_a_text_stream_that_fails_raises_after_what_it_gave(
    client: VoiceStackClient,
    server: ProtocolServer,
    answer: bytes,
    error_class: type[VoiceStackClientError],
    message: str,
) -> None:
    server.script.append(Response(answer, media_type=EVENT_STREAM))
    deltas = client.transcribe_stream(b"RIFF", request_id="req_me")
    assert next(deltas) == "Hello"
    with pytest.raises(error_class, match=message) as caught:
        next(deltas)
    assert (type(caught.value), caught.value.request_id, len(server.received)) == (error_class, "req_me", 1)


def test_a_cut_off_text_stream_raises(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(cut_off(DELTA, media_type=EVENT_STREAM))
    deltas = client.transcribe_stream(b"RIFF")
    assert next(deltas) == "Hello"
    with pytest.raises(IncompleteResponseError):
        next(deltas)
