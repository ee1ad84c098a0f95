"""A server of this process, for tests that change what only a process of its own would have."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import uvicorn
from fastapi import FastAPI

from running_server import wait_until


@contextmanager
def serve(app: FastAPI) -> Iterator[httpx2.Client]:
    """Serve an application at a free port; the client's addresses begin behind `/v1`."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 20, "start of the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/v1", trust_env=False, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
