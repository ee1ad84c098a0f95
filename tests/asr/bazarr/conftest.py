"""Servers that Bazarr's requests are replayed against."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from asr.bazarr.film import FAKE, HEARTBEAT_S
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="session")
def fake_bazarr(start_server: StartServer) -> Iterator[RunningServer]:
    """A server that obeys `initial_prompt`, with windows of 2 s and a quick heartbeat; it drops films left behind."""
    settings = {"ASR_BAZARR_HEARTBEAT_S": str(HEARTBEAT_S), "ASR_BAZARR_LINGER_S": "0.5"}
    with start_server("asr", **FAKE, **settings) as server:
        yield server
