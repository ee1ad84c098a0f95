"""How a server stops: first it is not ready, then it takes no more work, at last it hands back what is not done."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import ShuttingDownError

Close = Callable[[], Awaitable[None]]
REASON = "the server is stopping"


class Stopping:
    """How far the stop is; lives on the event loop, one per application.

    Attributes:
        is_announced: `/ready` says so; requests are still taken.
        refuses_work: New work is answered with 503.
    """

    def __init__(self) -> None:
        self.is_announced = False
        self.refuses_work = False
        self._uploads = set[asyncio.Timeout]()
        self._at_refusal: list[Close] = []
        self._at_end: list[Close] = []

    def at_refusal(self, close: Close) -> None:
        """Have something closed when no more work is taken: what nobody waits for."""
        self._at_refusal.append(close)

    def at_end(self, close: Close) -> None:
        """Have something closed when the time for running work is over; called in the order of this."""
        self._at_end.append(close)

    @contextmanager
    def ending(self, upload: asyncio.Timeout) -> Iterator[None]:
        """Let a wait for the rest of an upload be over when no more work is taken; at once if that is so already."""
        if self.refuses_work:
            upload.reschedule(0)
        self._uploads.add(upload)
        try:
            yield
        finally:
            self._uploads.discard(upload)

    def explain(self) -> str | None:
        """Why the server is not ready; None unless it stops."""
        return REASON if self.is_announced else None

    def announce(self) -> None:
        """Not ready from now on."""
        self.is_announced = True

    async def refuse_work(self) -> None:
        """Take no more work, not even what is on its way; let go of what goes on in the next life of the server."""
        self.announce()
        self.refuses_work = True
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


class StopGate:
    """ASGI middleware: 503 for new work when the server stops; asking how things are goes on.

    Args:
        app: The application behind.
        stopping: How far the stop is.
    """

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self.app, self.stopping = app, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""

        async def send_closing(message: Message) -> None:
            # Whoever is connected now must find another server for the next request.
            if message["type"] == "http.response.start" and self.stopping.is_announced:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.stopping.refuses_work and scope["method"] == "POST":
            error = ShuttingDownError(REASON)
            await JSONResponse(error.body(), error.status, error.headers())(scope, receive, send_closing)
        else:
            await self.app(scope, receive, send_closing)
