"""Waiting for a job while its server is away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.responses import JSONResponse

from client.conftest import Connect
from client.protocol_server import ProtocolServer, error, running_server
from voice_stack.client import NotFoundError, ServerError, ServerUnreachableError

COMPLETED = {"id": "job_1", "status": "completed", "created_at": 1.0}


def test_busy_server_is_asked_again(connect: Connect, server: ProtocolServer) -> None:
    server.script.extend([*(error(503) for _ in range(8)), JSONResponse(COMPLETED)])
    assert connect().jobs.wait("job_1").status == "completed"
    assert len(server.received) == 9


def test_restart_is_ridden_out(connect: Connect, closed_url: str) -> None:
    client, is_done = connect(asr_url=closed_url, max_retries=0), threading.Event()

    def start_late() -> int:
        time.sleep(1.0)
        with running_server(int(closed_url.rpartition(":")[2]), [error(503), JSONResponse(COMPLETED)]) as late:
            is_done.wait(30)
            return len(late.received)

    with ThreadPoolExecutor() as pool:
        served = pool.submit(start_late)
        try:
            assert client.jobs.wait("job_1").status == "completed"
        finally:
            is_done.set()
        assert served.result() == 2


def test_long_outage_is_the_error_of_the_last_attempt(
    connect: Connect, server: ProtocolServer, closed_url: str
) -> None:
    with pytest.raises(ServerUnreachableError):
        connect(asr_url=closed_url, max_retries=0).jobs.wait("job_1", max_outage_s=0.5)
    server.script.extend(error(503, "still loading") for _ in range(100))
    with pytest.raises(ServerError, match="still loading"):
        connect(max_retries=0).jobs.wait("job_1", max_outage_s=0.5)
    assert len(server.received) >= 2


def test_what_is_no_outage_is_told_at_once(connect: Connect, server: ProtocolServer) -> None:
    for status, kind in ((404, NotFoundError), (500, ServerError)):
        server.received.clear()
        server.script.append(error(status))
        with pytest.raises(kind):
            connect(max_retries=0).jobs.wait("job_1")
        assert len(server.received) == 1
