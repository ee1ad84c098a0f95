"""A server that stops in order: not ready, no new work, running work done or handed back, then the end."""

import asyncio
import logging
import math
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from types import FrameType

import uvicorn

from voice_stack.core.limits.connections import ConnectionBounds, bounded_by
from voice_stack.core.limits.file_limit import affordable_connections, raise_file_limit
from voice_stack.core.limits.stopping import Stopping
from voice_stack.core.logging import log_event
from voice_stack.core.memory import freeze_living_objects
from voice_stack.core.settings.limits import LimitSettings

KEEP_ALIVE_S = 75
POLL_S = 0.05
LAST_ANSWERS_S = 2.0
"""For the answers to requests whose work was handed back."""
FORCED_STEP_S = 0.5
FORCE_S = 3.0
"""What does not end by itself so long after the second signal is ended."""

_logger = logging.getLogger(__name__)


class GracefulServer(uvicorn.Server):
    """uvicorn's server with its stop in steps; a second signal ends it at once.

    Args:
        config: uvicorn's.
        stopping: What the application does in each step.
        delay_s: How long requests are still taken after the signal.
        grace_s: How long running requests may then take.
    """

    def __init__(self, config: uvicorn.Config, stopping: Stopping, *, delay_s: float, grace_s: float) -> None:
        super().__init__(config)
        self._stopping, self._delay_s, self._grace_s = stopping, delay_s, grace_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop at the first signal, force it at the second."""
        if self.should_exit and not self.force_exit:
            self.force_exit = True
            watch = threading.Timer(FORCE_S, os._exit, (1,))
            watch.daemon = True
            watch.start()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what is in memory then stays as long as the server."""
        await super().startup(sockets)
        freeze_living_objects()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in steps; the listening socket stays open till the last, so that everybody gets an answer."""
        self._stopping.announce()
        await self._wait(self._delay_s, lambda: False)
        await self._run(self._stopping.refuse_work())
        await self._wait(self._grace_s, lambda: not self.server_state.tasks)
        if self.server_state.tasks and not self.force_exit:
            log_event(_logger, logging.WARNING, "requests are handed back", requests=len(self.server_state.tasks))
        await self._run(self._stopping.hand_back())
        await self._wait(LAST_ANSWERS_S, lambda: not self.server_state.tasks)
        if self.force_exit:
            for process in multiprocessing.active_children():
                process.kill()
        await super().shutdown(sockets)

    async def _wait(self, limit_s: float, is_over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + limit_s
        while not (self.force_exit or is_over()) and time.monotonic() < deadline:  # noqa: ASYNC110 - a signal sets it
            await asyncio.sleep(POLL_S)

    async def _run(self, step: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(step)
        await self._wait(math.inf, task.done)
        # Also a stop that is forced tells those who wait, if that is done in a moment.
        await asyncio.wait({task}, timeout=FORCED_STEP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=self.force_exit)


def build_server(app: object, stopping: Stopping, settings: LimitSettings) -> GracefulServer:
    """The server for an application, with its bounds on connections.

    Args:
        app: The ASGI application.
        stopping: That of the application.
        settings: Those of the server.
    """
    bounds = ConnectionBounds(
        affordable_connections(settings.max_connections, raise_file_limit()),
        settings.header_timeout_s,
        settings.reader_timeout_s,
        settings.upload_min_bytes_per_s,
    )
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=bounded_by(bounds),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        # Of proxies only those of TRUSTED_PROXIES are believed, by a layer of our own.
        proxy_headers=False,
    )
    return GracefulServer(config, stopping, delay_s=settings.shutdown_delay_s, grace_s=settings.shutdown_grace_s)
