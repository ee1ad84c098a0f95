"""Streamed answers: they clean up, say something while nothing happens, and end when nobody listens."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack
from logging import getLogger
from typing import TypeVar

from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from voice_stack.core.errors import RangeError, VoiceStackError
from voice_stack.core.telemetry.registry import count_error


class OwningStreamingResponse(StreamingResponse):
    """A stream together with what it needs to stay open; all of it is closed when the response is over.

    A generator's own `finally` is not enough: a client that leaves before the first byte means it never begins.

    Args:
        content: The body, piece by piece.
        owned: Closed at the end, however that comes.
    """

    def __init__(
        self,
        content: AsyncIterable[bytes],
        owned: AsyncExitStack,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # A proxy that gathers the answer would keep from the client what it waits for.
        super().__init__(content, media_type=media_type, headers={"x-accel-buffering": "no", **(headers or {})})
        self._owned = owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owned:
            await super().__call__(scope, receive, send)

    async def collect(self) -> bytes:
        """The whole body, in place of an answer."""
        async with self._owned:
            return b"".join([bytes(piece) async for piece in self.body_iterator if not isinstance(piece, str)])


def answer_range(request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is whole, or the one range of it that is asked for (RFC 9110, 14); players ask for the rest so.

    Raises:
        RangeError: The range begins behind the end.
    """
    sent = {"accept-ranges": "bytes", **(headers or {})}
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    is_upside_down = asked is not None and asked[2] is not None and int(asked[2]) < int(asked[1])
    if asked is None or is_upside_down or request.headers.get("if-range", sent.get("etag")) != sent.get("etag"):
        return Response(body, media_type=media_type, headers=sent)
    first, last, length = asked.groups()
    start = max(0, len(body) - int(length)) if length else int(first)
    end = min(int(last) + 1, len(body)) if last else len(body)
    if start >= len(body):
        raise RangeError(f"Range {asked[0][:60]!r}: the answer has {len(body)} bytes.", size=len(body))
    sent["content-range"] = f"bytes {start}-{end - 1}/{len(body)}"
    return Response(body[start:end], 206, sent, media_type)


_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.ASCII)
T = TypeVar("T")


async def finish_unless_disconnected(request: Request, work: Coroutine[object, object, T]) -> T:
    """Run `work` to its end, or cancel it as soon as the client goes away.

    Args:
        request: The request the work is for; its body has been read to the end.
        work: What to run.

    Returns:
        The result of `work`.

    Raises:
        ClientDisconnect: The client is gone; `work` has been cancelled and has ended.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        watch.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


logger = getLogger(__name__)

PING = b": ping\n\n"
"""A comment of the event stream format: every parser skips it."""


PING_INTERVAL_S = 10.0


def encode_sse(event: Mapping[str, object]) -> bytes:
    """One server-sent event, the blank line that ends it included."""
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"data: {data}\n\n".encode()


class KeptAliveEvents:
    """Server-sent events with comments in their pauses; an error that comes late becomes an event.

    Args:
        events: What is sent, as JSON objects; at least one.
        ping_interval_s: Longest pause.
    """

    def __init__(
        self, events: AsyncGenerator[dict[str, object], None], *, ping_interval_s: float = PING_INTERVAL_S
    ) -> None:
        self._events = events
        self._ping_interval_s = ping_interval_s
        self._pending: asyncio.Task[dict[str, object] | None] | None = None

    async def wait_for_first(self, request: Request, patience_s: float) -> None:
        """Wait for the first event, so that a failure before it is an answer of its own; not longer than `patience_s`.

        Raises:
            VoiceStackError: There will be no event; the status has not been sent yet.
            ClientDisconnect: The client is gone.
        """
        pending = self._next()
        await finish_unless_disconnected(request, asyncio.wait({pending}, timeout=patience_s))
        if pending.done():
            pending.result()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The events. After a wait without one a comment comes first: it carries the headers to the client."""
        if self._pending is not None and not self._pending.done():
            yield PING
        while True:
            pending = self._next()
            if not (await asyncio.wait({pending}, timeout=self._ping_interval_s))[0]:
                yield PING
                continue
            self._pending = None
            try:
                event = pending.result()
            except VoiceStackError as error:
                logger.warning("stream ends with an error: %s", error)
                count_error(error)
                yield encode_sse(error.body())
                return
            if event is None:
                return
            yield encode_sse(event)

    async def aclose(self) -> None:
        """Stop whatever makes the events."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        await self._events.aclose()

    def _next(self) -> "asyncio.Task[dict[str, object] | None]":
        """The task that waits for the next event: one at a time, it outlives the pauses."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._take())
        return self._pending

    async def _take(self) -> dict[str, object] | None:
        return await anext(self._events, None)
