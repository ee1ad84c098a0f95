"""Event streams that say something even while nothing happens, so that no proxy takes them for dead."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from logging import getLogger

from starlette.requests import Request

from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.telemetry.engine_report import count_error

logger = getLogger(__name__)

PING = b": ping\n\n"
"""A comment of the event stream format: every parser skips it."""


class KeptAliveEvents:
    """Encoded events with comments in their pauses; an error that comes late becomes an event.

    Args:
        events: What is sent; at least one.
        ping_interval_s: Longest pause.
        encode_error: The event for a failure after the status went out.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        ping_interval_s: float,
        encode_error: Callable[[VoiceStackError], bytes],
    ) -> None:
        self._events = events
        self._ping_interval_s = ping_interval_s
        self._encode_error = encode_error
        self._pending: asyncio.Task[bytes | None] | None = None

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
                yield self._encode_error(error)
                return
            if event is None:
                return
            yield event

    async def aclose(self) -> None:
        """Stop whatever makes the events."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        await self._events.aclose()

    def _next(self) -> "asyncio.Task[bytes | None]":
        """The task that waits for the next event: one at a time, it outlives the pauses."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._take())
        return self._pending

    async def _take(self) -> bytes | None:
        return await anext(self._events, None)
