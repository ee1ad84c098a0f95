"""WebSockets on the wire: which request opens one, its frames within bounds, its end; an error instead of one.

Of uvicorn's protocols the one on the Sans-I/O layer of `websockets`: the older one is deprecated with the library below
it, the third needs another library. It answers an upgrade with `websocket.http.response`, chooses no subprotocol by
itself, and reads no more than the route takes. What it leaves open is bounded here.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.context import answer_error
from voice_stack.core.http.protocol import ClosingTransport

if TYPE_CHECKING:
    from voice_stack.core.http.connections import ConnectionBounds

MAX_MESSAGE_BYTES = 21 << 20
"""OpenAI takes 15 MiB of sound in one event: 20 MiB in base64, and some JSON."""
MAX_HELD_BYTES = 256 << 20
"""Of messages that are not whole yet, those of all sockets together; then large ones are refused (1013)."""
_LARGE_BYTES = 64 << 10
PING_INTERVAL_S = 20.0
"""Proxies end what is silent for a minute."""
PING_TIMEOUT_S = 60.0
"""A client that computes on its event loop answers late and is well."""
MAX_FRAMES_AT_ONCE = 64
"""So many take a millisecond or two; then others have their turn."""
_PIECE_BYTES = 1024
ROUTE_END_S = 1.0
"""For a route whose socket is gone, or closed by the server; then it is cancelled."""
OUTLIVES = "outlives"
"""In the state of a socket whose route ends by itself when the client is gone: it still has something to finish."""

# Its lines would stand beside the socket's own, with the query and, at DEBUG, with what is said.
_quiet = logging.getLogger(f"{__name__}.wire")
_quiet.setLevel(logging.WARNING)
_handshakes = ServerProtocol(logger=_quiet)


def read_handshake(method: bytes, version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> Request | None:
    """The opening handshake of a WebSocket (RFC 6455, 4.2.1) that a request is; None of one that is none.

    Args:
        method: As in the first line of the request.
        version: Of HTTP, as `1.1`.
        url: As in the first line.
        headers: Names in lower case, and values.
    """
    if method != b"GET" or version != "1.1":
        return None
    if any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers):
        return None  # where a body ends and frames begin nobody says
    try:
        target = httptools.parse_url(url)
        path, query = target.path or b"", b"?" + target.query if target.query else b""
        fields = Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in headers])
        request = Request((path + query).decode("ascii"), fields)
        _handshakes.process_request(request)
    except (httptools.HttpParserError, UnicodeDecodeError, InvalidHandshake):
        return None
    return request if path else None


async def refuse(scope: Scope, receive: Receive, send: Send, error: VoiceStackError) -> None:
    """Answer an upgrade with an error, as a request: before the socket is accepted."""
    await answer_error(error, scope)(scope, receive, send)


class _Messages:
    """A queue for one taker: that of asyncio takes 3 KB, whatever is in it."""

    def __init__(self) -> None:
        self._waiting: list[ASGIReceiveEvent] = []
        self._taker: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._waiting

    def put_nowait(self, message: ASGIReceiveEvent) -> None:
        self._waiting.append(message)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def get(self) -> ASGIReceiveEvent:
        while not self._waiting:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        return self._waiting.pop(0)


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection from its upgrade on.

    Args:
        config: As uvicorn gives it to a protocol, like the next two.
        server_state: With the connections and tasks of the server.
        app_state: What the start of the application left.
        bounds: Those of the server.
        closing: The transport.
    """

    _read_timer: asyncio.TimerHandle | None = None
    _turn: asyncio.Handle | None = None
    _task: asyncio.Task[None] | None = None
    _is_broken_off = False
    _pong = b""
    _held_bytes = 0
    _sound_at = float("-inf")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        bounds: "ConnectionBounds",
        closing: ClosingTransport,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.bounds, self._closing, self.logger = bounds, closing, _quiet
        self.conn = ServerProtocol(max_size=MAX_MESSAGE_BYTES, logger=_quiet)
        # The head has been read, by a stricter parser: what comes is frames.
        self.conn.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        self.conn.events_received()
        self.ping_interval, self.ping_timeout = PING_INTERVAL_S, PING_TIMEOUT_S
        self._unparsed, self._gathered = bytearray(), bytearray()
        self.queue = _Messages()  # type: ignore[assignment]  # it has what uvicorn asks of a queue

    @property
    def is_open(self) -> bool:
        """Whether messages go both ways."""
        return self.conn.state is State.OPEN and not self.disconnected

    def has_rest(self) -> bool:
        """Whether the client may still be sending, so that a plain end of the connection would cost the last word."""
        is_early = not self.handshake_complete and bool(self._unparsed)
        return is_early or (self._is_broken_off and self.conn.close_rcvd is None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
        if self.is_open:  # uvicorn calls it 1005
            self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL_CLOSURE, "reason": ""})
        super().connection_lost(exc)
        self._closing.lose()
        self.bounds.waiting.pop(self, None)
        self._unparsed, self._gathered, self.frames = bytearray(), bytearray(), []
        self.conn.reader.discard()
        self._count_held()
        self.conn.parser.close()  # it and the connection hold each other
        if self._task is not None and OUTLIVES not in self.scope["state"]:  # it may not ask whether anybody is there
            self.loop.call_later(ROUTE_END_S, self._task.cancel)

    def data_received(self, data: bytes) -> None:
        if self._closing.lingers:
            self._closing.discard(len(data))
            return
        self._unparsed += data
        if self._turn is None:
            self._parse()

    def _parse_soon(self) -> None:
        if self._turn is None:
            self._turn = self.loop.call_soon(self._parse)

    def _parse(self) -> None:
        """Take in what has come, as far as the route takes it, and so much at once that others have their turn."""
        self._turn, frames = None, 0
        while self._unparsed and self.handshake_complete and not (self.read_paused or self._closing.is_closing()):
            if frames > MAX_FRAMES_AT_ONCE:
                self._parse_soon()
                break
            piece = bytes(self._unparsed[:_PIECE_BYTES])
            del self._unparsed[:_PIECE_BYTES]
            self.conn.receive_data(piece)
            frames += len(self.conn.events)
            self.handle_events()
            if self.conn.parser_exc is not None and not self._closing.is_closing():
                self.handle_parser_exception()
        self._count_held()
        if self._closing.is_closing():
            return
        if self._unparsed or self.read_paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _count_held(self) -> None:
        held = len(self.conn.reader.buffer) + len(self._gathered) + sum(map(len, self.frames))
        self.bounds.held_bytes += held - self._held_bytes
        self._held_bytes = held
        if held > _LARGE_BYTES and self.bounds.held_bytes > MAX_HELD_BYTES and self.is_open:
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, "too many large messages at once")
            self.handle_parser_exception()

    def handle_cont(self, event: Frame) -> None:
        # As a list, a message of millions of parts would take fifty times its size.
        self._gathered += b"".join([*self.frames, event.data])
        self.frames.clear()
        if event.fin:
            self.frames, self._gathered = [bytes(self._gathered)], bytearray()
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        data, self.frames = self.frames[0], []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        else:
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA, "a text is not UTF-8")
                self.handle_parser_exception()
                return
        self.read_paused = True

    def handle_parser_exception(self) -> None:
        self._is_broken_off = True
        self.writable.set()  # who waits to send is told
        super().handle_parser_exception()
        self._await_end()

    def _await_end(self) -> None:
        """Leave time to read the last word to who may still be sending; such a connection makes room."""
        if self._closing.lingers and self.close_timer is None:  # without a timer uvicorn closes when the route ends
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
            self.bounds.waiting[self] = None

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        if self.queue.empty():
            self.read_paused = False
            self._parse_soon()  # not now: who takes tiny messages by the thousand would let nobody else in
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if message.get("code") == CloseCode.POLICY_VIOLATION and not self.writable.is_set():
            self.transport.abort()  # who is sent away for not reading would not read that either
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            self.handshake_complete = True  # there is none to complete
            raise ClientDisconnected
        if message.get("bytes"):
            self._sound_at = self.loop.time()
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response  # of which uvicorn asks nothing more
        self.handshake_complete = self.handshake_complete or self.close_sent
        self._await_end()
        if self._unparsed:
            self._parse_soon()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timer = self.loop.call_later(self.bounds.reader_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        if self._pong and self.is_open:
            self.transport.write(self._pong)
        self._pong = b""

    def handle_ping(self) -> None:
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set() and not self._closing.is_closing():
            self.transport.write(output)
        elif output:
            self._pong = output  # of several pings the last may be answered alone: RFC 6455, 5.5.3

    def keepalive_timeout(self) -> None:
        # The answer may lie behind what the route has not taken, or the ping behind sound that is still to be played.
        plays = self.loop.time() - self._sound_at < self.bounds.reader_timeout_s
        if self.read_paused or self._unparsed or plays:
            self.pong_timer = self.loop.call_later(PING_TIMEOUT_S, self.keepalive_timeout)
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL_CLOSURE, "reason": ""})
        super().keepalive_timeout()

    async def run_asgi(self) -> None:
        self._task = asyncio.current_task()
        try:
            await super().run_asgi()
        finally:
            self._task = None

    def shutdown(self) -> None:
        """Close with 1001, as a server does that goes away; at the second call, without waiting for the client."""
        if not self.handshake_complete:
            return  # the route is told by the stop, and its answer is an error as usual
        if not self.is_open:
            self.stop_keepalive()
            self.transport.close()
            return
        self.stop_keepalive()
        self._is_broken_off = self.close_sent = True
        self.writable.set()
        reason = "the server is stopping"
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.GOING_AWAY, "reason": reason})
        self.conn.send_close(CloseCode.GOING_AWAY, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        self.read_paused = False
        self._parse_soon()
        if self._task is not None:
            self.loop.call_later(ROUTE_END_S, self._task.cancel)
