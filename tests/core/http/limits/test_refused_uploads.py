"""An answer that comes before the end of its request is read, and is the last of its connection."""

import http.client

import pytest

from core.http.limits.raw_client import connect, read_error
from running_server import RunningServer

BODY_BYTES = 1_000_000
HEAD = "POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: {size}\r\n\r\n"


def test_the_rest_of_a_refused_upload_is_taken_and_the_connection_closed(strict: RunningServer) -> None:
    with connect(strict.port) as sock:
        sock.sendall(HEAD.format(size=BODY_BYTES).encode())
        sock.sendall(bytes(BODY_BYTES))
        # Asserts that the connection is said to close, and that it does.
        status, _, error = read_error(sock)
    assert (status, error["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("size", [0, 10])
def test_a_connection_stays_where_the_whole_request_was_there(strict: RunningServer, size: int) -> None:
    with connect(strict.port) as sock:
        for _ in range(3):
            # Head and body leave at once.
            sock.sendall(HEAD.format(size=size).encode() + bytes(size))
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            answer.read()
            assert (answer.status, answer.getheader("connection")) == (404, None)
