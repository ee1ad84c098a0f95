"""How long a request may take to arrive, and to be answered."""

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import ShuttingDownError
from voice_stack.core.limits.errors import RequestTimeoutError, WorkTimeoutError
from voice_stack.core.limits.stopping import REASON, Stopping


class UploadTimes:
    """ASGI middleware: 408 for a body that stops in the middle, or is too slow on the whole; 503 when the server stops.

    Only time counts in which the server waits for the client.

    Args:
        app: The application behind.
        idle_s: Longest pause.
        min_bytes_per_s: Least mean speed after the first `idle_s` of waiting; 0: none.
        stopping: How far the stop of the server is.
    """

    def __init__(self, app: ASGIApp, idle_s: float, min_bytes_per_s: int, stopping: Stopping) -> None:
        self.app, self.idle_s, self.min_bytes_per_s, self.stopping = app, idle_s, min_bytes_per_s, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _has_body(scope):
            receive = _TimedBody(receive, self.idle_s, self.min_bytes_per_s, self.stopping).receive
        await self.app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class _TimedBody:
    """The body of one request on its way in."""

    def __init__(self, receive: Receive, idle_s: float, min_bytes_per_s: int, stopping: Stopping) -> None:
        self._receive, self._idle_s, self._min_bytes_per_s, self._stopping = receive, idle_s, min_bytes_per_s, stopping
        self.is_complete = False
        self._waited_s = 0.0
        self._size = 0

    async def receive(self) -> Message:
        """The next message; after the body, what comes takes its time.

        Raises:
            RequestTimeoutError: The body does not come, or too slowly.
            ShuttingDownError: The server stops, and the rest of the body is still to come.
        """
        if self.is_complete:
            return await self._receive()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._idle_s) as timeout:
                with self._stopping.ending(timeout):
                    message = await self._receive()
        except TimeoutError:
            if self._stopping.refuses_work:
                raise ShuttingDownError(REASON) from None
            raise RequestTimeoutError(
                f"No byte of the request body came for {self._idle_s:g} s; {self._size} bytes had arrived."
            ) from None
        self._waited_s += time.monotonic() - started
        self._size += len(message.get("body", b""))
        self.is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        self._check_speed()
        return message

    def _check_speed(self) -> None:
        if self.is_complete or self._waited_s <= self._idle_s:
            return
        if self._size < self._min_bytes_per_s * self._waited_s:
            raise RequestTimeoutError(
                f"The request body comes too slowly: {self._size} bytes in {self._waited_s:.0f} s; "
                f"{self._min_bytes_per_s} bytes a second is the least."
            )


class RequestTime:
    """ASGI middleware: an end to requests that take too long; a stream that has begun is broken off.

    Args:
        app: The application behind.
        limit_s: Longest time for a whole request.
        is_limited: Whether a path is.
    """

    def __init__(self, app: ASGIApp, limit_s: float, is_limited: Callable[[str], bool]) -> None:
        self.app, self.limit_s, self.is_limited = app, limit_s, is_limited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http" or not self.is_limited(scope["path"]):
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        error = WorkTimeoutError(f"The request took longer than {self.limit_s:g} s, which is the limit here.")
        try:
            async with asyncio.timeout(self.limit_s) as timeout:
                await self.app(scope, receive, note_and_send)
        except TimeoutError:
            if not timeout.expired():
                raise
            if has_begun:
                raise RuntimeError("the answer breaks off") from error
            await JSONResponse(error.body(), error.status, error.headers())(scope, receive, send)
