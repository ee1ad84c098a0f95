"""When a request is sent again, and how soon."""

import socket
import threading
import time
from datetime import UTC, datetime

import pytest

from client.conftest import Connect
from client.protocol_server import AUDIO, ProtocolServer, error
from voice_stack.client import ApiError, RateLimitError, ServerError, ServerUnreachableError, VoiceStackClient
from voice_stack.client.connection import retry_delay_s
from voice_stack.client.errors import parse_retry_after_s


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_passing_failures_are_tried_again(client: VoiceStackClient, server: ProtocolServer, status: int) -> None:
    server.script.extend([error(status), error(status)])
    assert client.synthesize("Hello") == AUDIO
    assert len(server.received) == 3


def test_the_last_failure_is_told_when_attempts_run_out(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.extend([error(503, "first"), error(503, "second"), error(500, "third")])
    with pytest.raises(ServerError, match="500: third"):
        client.transcribe(b"RIFF")
    assert len(server.received) == 3


@pytest.mark.parametrize(("status", "word", "attempts"), [(503, "false", 1), (400, "true", 2), (400, "maybe", 1)])
def test_the_server_has_the_last_word_on_retries(
    client: VoiceStackClient, server: ProtocolServer, status: int, word: str, attempts: int
) -> None:
    server.script.extend([error(status, headers={"x-should-retry": word}), error(404)])
    with pytest.raises(ApiError):
        client.synthesize("Hello")
    assert len(server.received) == attempts


@pytest.mark.parametrize("headers", [{"retry-after-ms": "400"}, {"retry-after-ms": "x", "retry-after": "0.4"}])
def test_the_asked_for_wait_is_kept(client: VoiceStackClient, server: ProtocolServer, headers: dict[str, str]) -> None:
    server.script.append(error(503, headers=headers))
    start_s = time.monotonic()
    client.voices()
    assert 0.4 <= time.monotonic() - start_s < 5


def test_too_long_a_wait_is_left_to_the_caller(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(error(429, headers={"retry-after-ms": "", "retry-after": "3600"}))
    with pytest.raises(RateLimitError) as caught:
        client.voices()
    assert (caught.value.retry_after_s, len(server.received)) == (3600, 1)


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], expected_s: float | None) -> None:
    assert parse_retry_after_s(headers, now=datetime(2026, 1, 1, tzinfo=UTC)) == expected_s


def test_backoff_doubles_to_eight_seconds_less_a_quarter_at_most() -> None:
    failure = ServerUnreachableError("gone")
    plain = [retry_delay_s(failure, attempt, max_retries=9999, random_share=0) for attempt in (0, 1, 2, 3, 4, 5, 5000)]
    assert plain == [0.5, 1, 2, 4, 8, 8, 8]
    assert retry_delay_s(failure, 4, max_retries=9, random_share=1) == 6


def test_a_server_that_starts_meanwhile_is_found(connect: Connect, server: ProtocolServer) -> None:
    """The first connection is closed without an answer, the second is served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\naudio")

        thread = threading.Thread(target=serve)
        thread.start()
        assert connect(tts_url=f"http://127.0.0.1:{listener.getsockname()[1]}").synthesize("Hello") == b"audio"
        thread.join()
