"""A server that plays the protocol, and clients of both kinds connected to it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from client.protocol_server import ProtocolServer, connected, running_server
from voice_stack.client import VoiceStackClient

Connect = Callable[..., VoiceStackClient]


@pytest.fixture(scope="module")
def running() -> Iterator[ProtocolServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: ProtocolServer) -> ProtocolServer:
    running.script.clear()
    running.received.clear()
    running.delay_s = 0
    return running


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, server: ProtocolServer) -> Iterator[Connect]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            connected(request.param, **({"asr_url": server.url, "tts_url": server.url} | options))
        )


@pytest.fixture
def client(connect: Connect) -> VoiceStackClient:
    return connect()


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
