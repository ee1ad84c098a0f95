"""A WebSocket of JSON events, as OpenAI's Realtime is: for an hour at most, and for who reads what is sent."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_stack.core.errors import InvalidRequestError, ShuttingDownError, VoiceStackError
from voice_stack.core.http.context import REALTIME
from voice_stack.core.http.realtime import Event
from voice_stack.core.http.serving import REASON
from voice_stack.core.http.wires import TOKEN_PROTOCOLS

LARGE_CHARS = 256 << 10
"""Longer frames are read in a thread, one of all clients at a time."""
_CHOSEN = frozenset({REALTIME, *TOKEN_PROTOCOLS})
SLOW_S, LAST_S = 20.0, 1.0
"""How long a client may not read, and how long it is waited for at the end."""
GOING_AWAY, REFUSED, FAILED, OVERLOADED = 1001, 1008, 1011, 1013


class SocketOverError(Exception):
    """The socket ends with a code, 0 where it is gone; before that an error is told."""

    def __init__(self, code: int = 0, error: VoiceStackError | None = None) -> None:
        super().__init__(code)
        self.code, self.error = code, error


class EventSocket:
    """One that is open.

    Whoever does not read is not listened to: what waits to be sent holds up what is received.

    Attributes:
        is_gone: Nobody is there any more.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket, self.is_gone = websocket, False
        self._sending, self._slow = asyncio.Lock(), asyncio.Event()
        self._unsent = deque[Event]()

    async def accept(self) -> None:
        """Open it; a browser that offers a key among its subprotocols needs one of them chosen."""
        offered = self.websocket.scope["subprotocols"]
        await self.websocket.accept(next((name for name in offered if name.lower() in _CHOSEN), None))

    async def serve(self, expires_at: float, work: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> SocketOverError:
        """Do the work of both sides as long as both are there; returns how it ends.

        Args:
            expires_at: The end of the session, seconds since 1970.
            work: Raises `SocketOverError` at its end, as its tasks may.
        """
        over = SocketOverError()
        try:
            async with asyncio.timeout(expires_at - time.time()), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._await_stop())
                tasks.create_task(self._await_impatience())
                await work(tasks)
        except* SocketOverError as ended:
            over = next(error for error in ended.exceptions if isinstance(error, SocketOverError))
        except* TimeoutError:
            too_long = InvalidRequestError("The session has lasted for 60 minutes.", code="session_expired")
            over = SocketOverError(GOING_AWAY, too_long)
        return over

    async def _await_stop(self) -> None:
        await self.websocket.app.state.stopping.wait_to_finish(self.websocket.scope)
        raise SocketOverError(GOING_AWAY, ShuttingDownError(REASON))

    async def _await_impatience(self) -> None:
        await self._slow.wait()
        raise SocketOverError(REFUSED)

    async def messages(self) -> AsyncGenerator[str | bytes, None]:
        """What the client sends, until it is gone."""
        while (message := await self.websocket.receive())["type"] != "websocket.disconnect":
            text: str | None = message.get("text")
            yield message["bytes"] if text is None else text
        self.is_gone = True

    async def texts(self) -> AsyncGenerator[str, None]:
        """The same; of a binary message nothing."""
        async for message in self.messages():
            yield message if isinstance(message, str) else ""

    async def send(self, events: Sequence[Event]) -> None:
        """Send events, in the order of the calls; whoever is cancelled meanwhile leaves them to the next who sends."""
        if not events or self.is_gone:
            return
        self._unsent.extend(events)
        try:
            async with self._sending, asyncio.timeout(SLOW_S):
                while self._unsent:
                    text = json.dumps(self._unsent[0], separators=(",", ":"), ensure_ascii=False)
                    await self.websocket.send_text(text)
                    self._unsent.popleft()
        except TimeoutError:
            self.is_gone = True
            self._slow.set()
        except WebSocketDisconnect:
            self.is_gone = True  # what it sent before is still received

    async def close(self, code: int, last: Sequence[Event] = ()) -> None:
        """Tell the last events, and close it; 0: it is gone."""
        with suppress(WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self.send(last)
                if code:
                    await self.websocket.close(code)
