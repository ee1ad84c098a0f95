"""Servers that Bazarr's requests are replayed against."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from asr.bazarr.film import FAKE, HEARTBEAT_S, asr_target, new_film
from asr.bazarr.wire import post
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="session")
def fake_bazarr(start_server: StartServer) -> Iterator[RunningServer]:
    """A server that obeys `initial_prompt`, with windows of 2 s and a quick heartbeat; it drops films left behind."""
    settings = {"ASR_BAZARR_HEARTBEAT_S": str(HEARTBEAT_S), "ASR_BAZARR_LINGER_S": "0.5"}
    with start_server("asr", **FAKE, **settings) as server:
        # The first film waits for the engine: whichever test comes first would get heartbeats.
        post(server.port, asr_target(), new_film(1.0))
        yield server
