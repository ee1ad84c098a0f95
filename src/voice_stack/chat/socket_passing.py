"""A WebSocket to a server behind this one: refusals, messages and ends as they are, nothing gathered."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from voice_stack.chat.upstream import CONNECT_S
from voice_stack.core.http.sockets import MAX_MESSAGE_BYTES

CLOSE_S = 2.0
"""For the server behind to say good-bye."""
MAX_WAITING = 2
"""Messages that a client has not taken yet; then the server behind is not read."""
_SENT_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})

_quiet = logging.getLogger(f"{__name__}.wire")  # its lines would have the query and, at DEBUG, what is said
_quiet.setLevel(logging.WARNING)


class _Connect(connect):
    """Opens a socket at one address, and follows to no other: the caller's key is not for that."""

    async def create_connection(self) -> ClientConnection:
        async with asyncio.timeout(CONNECT_S):
            return await super().create_connection()

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


@asynccontextmanager
async def open_behind(
    url: str, headers: Sequence[tuple[str, str]], subprotocols: Sequence[str]
) -> AsyncIterator[ClientConnection]:
    """A socket of the server behind.

    Raises:
        InvalidStatus: The server refuses; its answer says why.
        OSError: It cannot be reached.
        InvalidHandshake: It opens none.
    """
    socket = await _Connect(
        url,
        additional_headers=headers,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        user_agent_header=None,
        compression=None,
        proxy=None,
        open_timeout=None,  # a session may wait for its place
        ping_timeout=None,  # the answer may lie behind sound that is still to be played
        close_timeout=CLOSE_S,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=MAX_WAITING,
        logger=_quiet,
    )
    try:
        yield socket
    finally:
        socket.transport.abort()


async def talk(websocket: WebSocket, socket: ClientConnection) -> None:
    """Pass messages on both ways until one side ends it; the other is told how."""
    listening = asyncio.create_task(_listen(websocket, socket))
    speaking = asyncio.create_task(_speak(websocket, socket))
    try:
        await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if speaking.done():
            await websocket.close(*speaking.result())
        else:
            await socket.close(*listening.result())
    finally:
        listening.cancel()
        speaking.cancel()
        await asyncio.gather(listening, speaking, return_exceptions=True)


async def _listen(websocket: WebSocket, socket: ClientConnection) -> tuple[int, str]:
    """What the client says; returns how it left."""
    while (message := await websocket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        try:
            await socket.send(message["bytes"] if text is None else text)
        except ConnectionClosed:
            await asyncio.get_running_loop().create_future()  # what was said before that is still passed on
    return _tell_end(message.get("code"), message.get("reason")) or (CloseCode.GOING_AWAY, "")


async def _speak(websocket: WebSocket, socket: ClientConnection) -> tuple[int, str]:
    """What the server says; returns how it ended."""
    try:
        async for message in socket:
            await (websocket.send_text(message) if isinstance(message, str) else websocket.send_bytes(message))
    except ConnectionClosed:
        pass
    except WebSocketDisconnect:
        await asyncio.get_running_loop().create_future()  # the other task is told as well, and how
    return _tell_end(socket.close_code, socket.close_reason) or (CloseCode.BAD_GATEWAY, "upstream_failed")


def _tell_end(code: int | None, reason: str | None) -> tuple[int, str] | None:
    """How one side ended it, as the other can be told; None: it broke off."""
    told = CloseCode.NORMAL_CLOSURE if code == CloseCode.NO_STATUS_RCVD else code
    return None if told is None or told not in _SENT_CODES else (told, reason or "")
