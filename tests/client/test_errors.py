"""Which error a failure becomes."""

import pickle
import socket
import threading
from collections.abc import Iterator

import pytest
from fastapi import Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse

from client.conftest import Connect
from client.protocol_server import ProtocolServer, error
from voice_stack.client import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServerUnreachableError,
)
from voice_stack.client.errors import ErrorDetails


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, ApiError),
        (404, NotFoundError),
        (413, PayloadTooLargeError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_openais_error_bodies_become_typed_errors(
    connect: Connect, server: ProtocolServer, status: int, error_class: type[ApiError]
) -> None:
    server.script.append(error(status, "The model `x` is not here", type="t", param="model", code="model_not_found"))
    with pytest.raises(ApiError) as caught:
        connect(max_retries=0).synthesize("Hello", request_id="req_me")
    found = caught.value
    assert type(found) is error_class
    assert str(found) == f"{status}: The model `x` is not here"
    assert (found.status, found.type, found.param, found.code) == (status, "t", "model", "model_not_found")
    assert found.request_id == "req_me"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (HTMLResponse("<h1>502 Bad\n  Gateway</h1>", 502), "<h1>502 Bad Gateway</h1>"),
        (PlainTextResponse("", 502), "Bad Gateway"),
        (JSONResponse({"detail": "no such thing"}, 502), '{"detail":"no such thing"}'),
        (JSONResponse({"error": "out of memory"}, 502), "out of memory"),
        (JSONResponse(["odd"], 502), '["odd"]'),
        (PlainTextResponse("x" * 5000, 502), "x" * 200 + "..."),
    ],
)
def test_error_bodies_of_others_are_quoted(
    connect: Connect, server: ProtocolServer, answer: Response, message: str
) -> None:
    server.script.append(answer)
    with pytest.raises(ServerError) as caught:
        connect(max_retries=0).voices()
    assert (caught.value.message, caught.value.code) == (message, None)


def test_no_server_is_told_with_its_address(connect: Connect, closed_url: str) -> None:
    client = connect(asr_url=closed_url, max_retries=1)
    with pytest.raises(ServerUnreachableError, match=closed_url) as caught:
        client.transcribe(b"RIFF", request_id="req_me")
    assert caught.value.request_id == "req_me"
    health = client.health()
    assert (health["asr"].is_up, health["tts"].is_up) == (False, True)
    assert closed_url in str(health["asr"].reason)


def test_a_connection_closed_without_an_answer_is_told(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match=f"{url} closed the connection without an answer"):
            connect(tts_url=url, max_retries=0).synthesize("Hello")
        thread.join()


def test_a_slow_answer_is_a_time_out_and_not_asked_for_again(connect: Connect, server: ProtocolServer) -> None:
    server.delay_s = 0.8
    with pytest.raises(RequestTimeoutError, match="timeout_s"):
        connect(timeout_s=0.2).transcribe(b"RIFF")
    assert len(server.received) == 1


def test_an_answer_that_stops_is_a_time_out(connect: Connect, server: ProtocolServer) -> None:
    gate = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"first"
        gate.wait(10)

    server.script.append(StreamingResponse(body(), media_type="audio/mpeg"))
    chunks = connect(timeout_s=0.3).synthesize_stream("Hello")
    assert next(chunks) == b"first"
    with pytest.raises(RequestTimeoutError, match="stopped"):
        next(chunks)
    gate.set()


def test_errors_cross_process_borders() -> None:
    details = ErrorDetails("too many", "requests", None, "slow_down")
    error = pickle.loads(pickle.dumps(RateLimitError(429, details, request_id="req_1", retry_after_s=2.0)))
    assert type(error) is RateLimitError
    assert (str(error), error.code, error.request_id, error.retry_after_s) == (
        "429: too many",
        "slow_down",
        "req_1",
        2.0,
    )
