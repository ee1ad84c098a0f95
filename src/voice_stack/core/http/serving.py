"""A server that stops in order: not ready, no new work, running work done or handed back, then the end."""

import asyncio
import logging
import math
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import ShuttingDownError, VoiceStackError
from voice_stack.core.http.connections import ConnectionBounds, bounded_by
from voice_stack.core.http.context import Guard
from voice_stack.core.http.protocol import StrictProtocol
from voice_stack.core.http.sockets import SocketProtocol
from voice_stack.core.logging import log_event
from voice_stack.core.settings import ServerSettings
from voice_stack.core.system.memory import freeze_living_objects

Close = Callable[[], Awaitable[None]]
REASON = "the server is stopping"
FINISHES = "finishes"
"""In the state of a WebSocket that has the grace of running work."""


class Stopping:
    """How far the stop is; lives on the event loop, one per application.

    Attributes:
        is_announced: `/ready` says so; requests are still taken.
        refuses_work: New work is answered with 503.
    """

    def __init__(self) -> None:
        self.is_announced = False
        self.refuses_work = False
        self._refusing = asyncio.Event()
        self._ends_uploads = False
        self._uploads = set[asyncio.Timeout]()
        self._at_refusal: list[Close] = []
        self._at_end: list[Close] = []

    def at_refusal(self, close: Close) -> None:
        """Have something closed when no more work is taken: what nobody waits for."""
        self._at_refusal.append(close)

    def at_end(self, close: Close) -> None:
        """Have something closed when the time for running work is over; called in the order of this."""
        self._at_end.append(close)

    async def wait(self) -> None:
        """Return when no more work is taken: a route then ends its WebSocket, with code 1001, within a second."""
        await self._refusing.wait()

    async def wait_to_finish(self, scope: Scope) -> None:
        """The same for a WebSocket that has the grace of running work to bring what was asked to its end."""
        scope["state"][FINISHES] = True
        await self._refusing.wait()

    @contextmanager
    def ending(self, upload: asyncio.Timeout) -> Iterator[None]:
        """Let a wait for the rest of an upload be over when uploads are ended; at once if that is so already."""
        if self._ends_uploads:
            upload.reschedule(0)
        self._uploads.add(upload)
        try:
            yield
        finally:
            self._uploads.discard(upload)

    async def refuse_work(self, *, ends_uploads: bool = True) -> None:
        """Take no more work; let go of what goes on in the next life of the server.

        Args:
            ends_uploads: Not even what is on its way; else that is running work.
        """
        self.is_announced = self.refuses_work = True
        self._refusing.set()
        if ends_uploads:
            self._ends_uploads = True
            for upload in self._uploads:
                upload.reschedule(0)
        await _close_all(self._at_refusal)

    async def hand_back(self) -> None:
        """End what is left: who waits for it is told. Harmless when done before."""
        await self.refuse_work()
        await _close_all(self._at_end)


async def _close_all(closes: list[Close]) -> None:
    while closes:
        await closes.pop(0)()


class StopGate(Guard):
    """503 for new work when the server stops; asking how things are goes on."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        super().__init__(app)
        self.stopping = stopping

    async def check(self, scope: Scope) -> None:
        if self.stopping.refuses_work and (scope["method"] == "POST" or scope["type"] == "websocket"):
            raise ShuttingDownError(REASON)


WANTED_FILES = 65_536
"""More is no use to one event loop; some systems offer a thousand million."""
RESERVED_FILES = 128
FILES_PER_CONNECTION = 2
"""The connection, and the upload or the speech behind it."""


def raise_file_limit() -> int | None:
    """Raise the soft limit of open files as far as the hard one allows; returns it, None where there is none."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return None if soft == resource.RLIM_INFINITY else soft


def affordable_connections(wanted: int, file_limit: int | None) -> int:
    """As many connections as are wanted, or as the open files allow."""
    if file_limit is None:
        return wanted
    return max(1, min(wanted, (file_limit - RESERVED_FILES) // FILES_PER_CONNECTION))


KEEP_ALIVE_S = 75
POLL_S = 0.05
SETTLE_S = 1.0
SOCKETS_S = 1.0
"""For routes to end their WebSockets."""
LAST_ANSWERS_S = 2.0
"""For the answers to requests whose work was handed back."""
FORCED_STEP_S = 0.5
FORCE_S = 3.0
"""What does not end by itself so long after the second signal is ended."""

_logger = logging.getLogger(__name__)


class GracefulServer(uvicorn.Server):
    """uvicorn's server with its stop in steps; a second signal ends it at once.

    Args:
        delay_s: How long requests are still taken after the signal.
        grace_s: How long running requests may then take.
        is_one_of_many: There are other replicas: uploads on their way are brought to their end. Where no delay lets
            balancers notice, it stops listening at once, so that they ask another one instead of handing on a refusal.
    """

    def __init__(
        self, config: uvicorn.Config, stopping: Stopping, *, delay_s: float, grace_s: float, is_one_of_many: bool
    ) -> None:
        super().__init__(config)
        self._stopping, self._delay_s, self._grace_s = stopping, delay_s, grace_s
        self._is_one_of_many, self._closes_door = is_one_of_many, is_one_of_many and not delay_s

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
        """Stop in steps; the listening socket of a sole server stays open, so that everybody gets an answer."""
        self._stopping.is_announced = True
        await self._wait(self._delay_s, lambda: False)
        if self._closes_door:
            await self._close_door()
        await self._run(self._stopping.refuse_work(ends_uploads=not self._is_one_of_many))
        await self._wait(SOCKETS_S, lambda: not self._open_sockets())
        for left in self._open_sockets():
            if FINISHES not in left.scope["state"]:
                left.shutdown()
        await self._wait(self._grace_s, lambda: not self.server_state.tasks)
        if self.server_state.tasks and not self.force_exit:
            log_event(_logger, logging.WARNING, "requests are handed back", requests=len(self.server_state.tasks))
        await self._run(self._stopping.hand_back())
        await self._wait(LAST_ANSWERS_S, lambda: not self.server_state.tasks)
        if self.force_exit:
            for process in multiprocessing.active_children():
                process.kill()
        await super().shutdown(sockets)

    async def _close_door(self) -> None:
        """Take no more connections; those that are there have a request more, whose answer ends them.

        A kept connection that is closed just when a balancer uses it costs a request. So they are closed last, when
        whoever has much to ask has used them up.
        """
        for server in self.servers:
            server.close()
        await self._wait(SETTLE_S, lambda: False)
        for one in list(self.server_state.connections):
            if isinstance(one, StrictProtocol):
                one.shutdown()

    def _open_sockets(self) -> list[SocketProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, SocketProtocol) and one.is_open]

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


def _with_plain_refusals(app: ASGIApp) -> ASGIApp:
    """The application; where it does not start for a reason of ours, that is logged in one line, not as a traceback."""

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def tell(message: Message) -> None:
            error = sys.exc_info()[1] if message["type"] == "lifespan.startup.failed" else None
            await send({**message, "message": str(error)} if isinstance(error, VoiceStackError) else message)

        return app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return serve


def build_server(app: ASGIApp, stopping: Stopping, settings: ServerSettings) -> GracefulServer:
    """The server for an application, with its bounds on connections."""
    bounds = ConnectionBounds(
        affordable_connections(settings.max_connections, raise_file_limit()),
        settings.header_timeout_s,
        settings.reader_timeout_s,
    )
    config = uvicorn.Config(
        _with_plain_refusals(app),
        interface="asgi3",
        http=bounded_by(bounds),
        ws="none",  # the protocol of connections brings its own
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        # Of proxies only those of TRUSTED_PROXIES are believed, by a layer of our own.
        proxy_headers=False,
    )
    return GracefulServer(
        config,
        stopping,
        delay_s=settings.shutdown_delay_s,
        grace_s=settings.shutdown_grace_s,
        is_one_of_many=bool(settings.replica_name),
    )
