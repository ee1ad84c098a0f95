"""Servers that listen for Wyoming."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from running_server import RunningServer, free_port

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@dataclass(frozen=True)
class WyomingServer:
    """A server, and its port for Wyoming."""

    http: RunningServer
    port: int


StartWyoming = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="session")
def asr_server_wyoming(start_server: StartServer) -> Iterator[WyomingServer]:
    """The ASR server with the embedded model."""
    port = free_port()
    with start_server("asr", ASR_WYOMING_PORT=str(port)) as server:
        yield WyomingServer(server, port)


@pytest.fixture(scope="session")
def tts_server_wyoming(start_server: StartServer) -> Iterator[WyomingServer]:
    """The TTS server with the embedded voice."""
    port = free_port()
    with start_server("tts", TTS_WYOMING_PORT=str(port)) as server:
        yield WyomingServer(server, port)


@pytest.fixture(scope="session")
def fake_wyoming(start_server: StartServer) -> Iterator[WyomingServer]:
    """A TTS server that obeys its texts."""
    port = free_port()
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", TTS_WYOMING_PORT=str(port)) as server:
        yield WyomingServer(server, port)
