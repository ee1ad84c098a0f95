"""An ASR server with a short queue and little patience."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE_ASR = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}


@pytest.fixture(scope="package")
def strict(start_server: StartServer) -> Iterator[RunningServer]:
    """Half a second of waiting for others, one for heads, three for uploads, eight connections."""
    limits = {
        "ASR_MAX_QUEUE_WAIT_S": "0.5",
        "ASR_UPLOAD_TIMEOUT_S": "3",
        "ASR_MAX_CONNECTIONS": "8",
    }
    with start_server("asr", **FAKE_ASR, **limits) as server:
        yield server
