"""Connections with bounds: on their number, on slow heads of requests, on clients that do not read."""

import asyncio
from dataclasses import dataclass, field
from itertools import takewhile
from typing import cast

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from voice_stack.core.errors import InvalidRequestError, OverloadedError, RequestTimeoutError
from voice_stack.core.http.context import HEALTH_PATHS, Layer
from voice_stack.core.http.protocol import ClosingTransport, StrictProtocol
from voice_stack.core.http.sockets import SocketProtocol, read_handshake

MIN_UPLOAD_BYTES_PER_S = 500
"""Less than any network that carries speech; one byte at a time would hold a connection for days."""
FAIR_S = 1.0
"""An upload may be slow for so long before it gives its place."""


@dataclass(slots=True)
class ConnectionBounds:
    """Bounds of the connections of one server, and the connections they hold.

    Attributes:
        max_connections: Beyond so many those make room that have waited longest without a request, then slow uploads.
        header_timeout_s: For the head of a request, from its first byte or from the beginning of the connection.
        reader_timeout_s: For a client that does not take its answer.
        waiting: Connections without a request, the one that waits longest first.
        receiving: Connections with a request whose body is not complete, the oldest first.
        held_bytes: Of messages over WebSockets that are not whole yet.
    """

    max_connections: int
    header_timeout_s: float
    reader_timeout_s: float
    waiting: "dict[BoundedProtocol | SocketProtocol, None]" = field(default_factory=dict)
    receiving: "dict[BoundedProtocol, None]" = field(default_factory=dict)
    held_bytes: int = 0


class BoundedProtocol(StrictProtocol):
    """A connection with bounds; `bounds` is set on a class of its own for each server: see `bounded_by`."""

    bounds: ConnectionBounds
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _closing: ClosingTransport
    _socket: SocketProtocol | None = None
    _has_begun_head = False
    _request_at = 0.0
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self._closing = ClosingTransport(transport, self._is_request_open, self.bounds.reader_timeout_s)
        super().connection_made(cast("asyncio.Transport", self._closing))
        self._await_head()
        if len(self.connections) > self.bounds.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._closing.lose()

    def _let_go(self) -> None:
        self._stop_head_timer()
        self.bounds.waiting.pop(self, None)
        self.bounds.receiving.pop(self, None)
        if self._read_timer is not None:
            self._read_timer.cancel()
        super()._let_go()

    def data_received(self, data: bytes) -> None:
        if self._closing.lingers:
            self._closing.discard(len(data))
            return
        if self in self.bounds.waiting and not self._has_begun_head:
            self._has_begun_head = True
            self._start_head_timer()
        self._received += len(data)
        super().data_received(data)

    def _feed(self, piece: memoryview) -> bool:
        if self._socket is None:
            return super()._feed(piece)
        self._socket.data_received(bytes(piece))
        return True

    def _meet_offer(self, rest: memoryview) -> bool:
        """Open a WebSocket, which no longer waits nor receives; anything else that is offered is passed over."""
        request = read_handshake(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers)
        if request is None:
            return super()._meet_offer(rest)
        if self.is_answering or self.pipeline:
            self.refuse(InvalidRequestError("A WebSocket is opened when the requests before it have been answered."))
            return False
        socket = SocketProtocol(self.config, self.server_state, self.app_state, self.bounds, self._closing)
        socket.app = self.app
        self._closing.hand_over(socket.has_rest)
        self.connections.discard(self)
        socket.connection_made(self.transport)
        self.flow.resume_reading()
        if self.flow.write_paused:  # the last bytes of an answer before it
            socket.pause_writing()
        self.transport.set_protocol(socket)
        self._let_go()
        self._socket = socket
        socket.handle_connect(request)
        return self._feed(rest)

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        self.bounds.waiting.pop(self, None)
        self.bounds.receiving[self] = None
        self._request_at, self._received = self.loop.time(), 0
        super().on_headers_complete()
        if self.scope is not None:
            self.scope["state"]["is_unread"] = self._is_unread

    def on_message_complete(self) -> None:
        self.bounds.receiving.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.bounds.receiving.pop(self, None)
        super().on_response_complete()
        # Whoever only has the rest of a refused request thrown away makes room like one that has none.
        if self._closing.lingers or not (self.is_answering or self.transport.is_closing()):
            self._has_begun_head = False
            self.bounds.waiting[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timer = self.loop.call_later(self.bounds.reader_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    @property
    def request_age_s(self) -> float:
        """Seconds since the head of its request was complete."""
        return self.loop.time() - self._request_at

    def is_creeping(self) -> bool:
        """Whether the body of its request has come more slowly than it must."""
        return self._received < MIN_UPLOAD_BYTES_PER_S * self.request_age_s

    def _is_request_open(self) -> bool:
        return self._refusal is not None or (self.cycle is not None and self.cycle.more_body)

    def _is_unread(self, scope: object) -> bool:
        """Whether the rest of this request is still to come."""
        return self.cycle is not None and self.cycle.scope is scope and self.cycle.more_body

    def _await_head(self) -> None:
        self.bounds.waiting[self] = None
        self._start_head_timer()

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.bounds.header_timeout_s, self._give_up_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        if self._has_begun_head and not self.transport.is_closing():
            limit_s = self.bounds.header_timeout_s
            self.refuse(RequestTimeoutError(f"The head of the request did not come within {limit_s:g} s."))
        else:
            self.transport.close()

    def _make_room(self) -> None:
        """Drop who waits longest, or creeps; where everybody is being served, only health may be asked for here."""
        idle = next(iter(self.bounds.waiting))
        # Oldest first, so that a flood of new ones is not looked through for each of them.
        old = takewhile(lambda other: other.request_age_s > FAIR_S, self.bounds.receiving)
        other = next(filter(BoundedProtocol.is_creeping, old), None) if idle is self else idle
        if other is None:
            self.app = _OnlyHealth(self.app)
        else:
            other.transport.abort()


class _OnlyHealth(Layer):
    """Of a connection too many: 503 for everything but health."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in HEALTH_PATHS:
            error = OverloadedError("The server has as many connections as it can serve. Try again in a moment.")
            headers = {"connection": "close", **error.headers()}
            await JSONResponse(error.body(), error.status, headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def bounded_by(bounds: ConnectionBounds) -> type[BoundedProtocol]:
    """The protocol for one server, as `uvicorn.Config(http=...)` takes it."""
    return type("BoundedProtocol", (BoundedProtocol,), {"bounds": bounds})
