"""One connection on the wire: bounded heads, refusals as JSON, and a close that lets the last answer be read."""

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from voice_stack.core.errors import (
    HeadTooLargeError,
    InvalidRequestError,
    TargetTooLongError,
    TooManyRequestsError,
    VoiceStackError,
)
from voice_stack.core.logging import log_event

LINGER_S = 30.0
LINGER_BYTES = 1 << 30
"""Many clients read nothing before they have sent everything: enough for the largest upload that is usual."""


class ClosingTransport:
    """A transport whose `close` does not tear the connection down under the last answer, nor waits for ever.

    An answer that comes before the whole request was read would be lost: the system answers the bytes that nobody reads
    with a reset. So only the sending side is closed, and what comes is thrown away for a while (RFC 9112, section 9.6).

    Args:
        transport: The real one.
        is_request_open: Whether the rest of a request is still to come.
        flush_s: Longest time for the last bytes to be taken by the other side.
    """

    def __init__(self, transport: asyncio.Transport, is_request_open: Callable[[], bool], flush_s: float) -> None:
        self._transport, self._is_request_open, self._flush_s = transport, is_request_open, flush_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0
        self.lingers = False

    def close(self) -> None:
        if self._transport.is_closing():
            return
        if not self.lingers and self._is_request_open() and self._transport.can_write_eof():
            self.lingers = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._arm(LINGER_S, self.close)
            return
        self._transport.close()
        # What is still to be sent is waited for; not for ever, if nobody takes it.
        self._arm(self._flush_s, self._transport.abort)

    def hand_over(self, is_request_open: Callable[[], bool]) -> None:
        """From now on somebody else knows whether more is to come."""
        self._is_request_open = is_request_open

    def discard(self, size: int) -> None:
        """Bytes have come that nobody wants any more."""
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.close()

    def lose(self) -> None:
        """The connection is gone: nothing is waited for, nothing kept."""
        self._stop_timer()
        self.lingers, self._is_request_open = False, bool

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> object:
        """Everything else is the real transport's."""
        return getattr(self._transport, name)

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(delay_s, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


MAX_HEAD_BYTES = 64 * 1024
"""Of a head, and of the trailers of a chunked body; so long may be, too, what has no meaning between two chunks."""
MAX_FIELDS = 100
MAX_TARGET_BYTES = 16 * 1024
MAX_WAITING = 16
"""Requests that came before the answer to another one of their connection."""
_PIECE_BYTES = 64 * 1024
_FIELD_OVERHEAD = len(": \r\n")

_logger = logging.getLogger(__name__)


class StrictProtocol(HttpToolsProtocol):
    """One connection. What is refused is answered after the requests that came before it, and is the last."""

    _refusal: VoiceStackError | None = None
    _running: RequestResponseCycle | None = None
    _is_head_complete = False
    _fields = _head_bytes = 0
    _unparsed_bytes = 0
    """Fed to the parser since it last had something to tell: it gathers a field until that is whole."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refusal is not None:
            self.flow.pause_reading()  # a request that listens for the end of its client has reading go on
            return
        pieces = memoryview(data)
        for start in range(0, len(data), _PIECE_BYTES):
            if not self._feed(pieces[start : start + _PIECE_BYTES]):
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything: what refers to itself in a circle would stay until the next search for garbage."""
        super().connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        self._unset_keepalive_if_required()
        if self._running is not None:
            _end(self._running)
        self.pipeline.clear()
        self.app = self.config.loaded_app
        self._refusal = None
        self._running = self.cycle = None  # type: ignore[assignment]  # as uvicorn begins
        self.scope = self.headers = self.parser = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        self._is_head_complete = False
        self._fields = self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            raise TargetTooLongError(f"The URL of the request is longer than {MAX_TARGET_BYTES} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unparsed_bytes = 0
        self._fields += 1
        self._head_bytes += len(name) + len(value) + _FIELD_OVERHEAD
        if self._fields > MAX_FIELDS or self._head_bytes + len(self.url) > MAX_HEAD_BYTES:
            raise _too_large()
        if not self._is_head_complete:  # trailers are for nobody here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        if self.parser.should_upgrade():
            return  # the parser stops here, and `_feed` goes on
        if len(self.pipeline) >= MAX_WAITING:
            raise TooManyRequestsError(
                f"More than {MAX_WAITING} requests wait for their answers on this connection.", retry_after_s=1.0
            )
        self._is_head_complete = True
        self._fields = self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refusal is not None and not self.is_answering and not self.transport.is_closing():
            self._answer_refusal(self._refusal)

    @property
    def is_answering(self) -> bool:
        """Whether a request waits for the end of its answer."""
        return self._running is not None and not self._running.response_complete

    def refuse(self, error: VoiceStackError) -> None:
        """Read no more; answer what has come with an error, when the requests before it have been answered."""
        client = self.client[0] if self.client else None
        log_event(_logger, logging.INFO, "refused", status=error.status, reason=error.message, client=client)
        self._refusal = error
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()  # the one that is refused
        if self.is_answering and not (self._running is self.cycle and self.cycle.more_body):
            self.flow.pause_reading()
        else:
            self._answer_refusal(error)

    def _answer_refusal(self, error: VoiceStackError) -> None:
        has_begun = self.is_answering and self._running is not None and self._running.response_started
        if self._running is not None:
            _end(self._running)
        if not has_begun:
            self.transport.write(_plain_response(error))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if self.scope["http_version"] == "1.0":
            app = _unchunked(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _feed(self, piece: memoryview) -> bool:
        """Parse the next bytes; False: what comes after them is not for this parser."""
        self._unparsed_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            return self._meet_offer(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            reason = error.__context__  # of a callback above
            if not isinstance(reason, VoiceStackError):
                what = "its URL or its head makes no sense" if reason else str(error)
                reason = InvalidRequestError(f"This is no valid HTTP request: {what}.")
            self.refuse(reason.with_traceback(None))  # which would hold this frame, and it the error
            return False
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self.refuse(_too_large())
            return False
        return True

    def _meet_offer(self, rest: memoryview) -> bool:
        """Pass over an upgrade: a server may, that wants none of what is offered (RFC 9110, 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.refuse(InvalidRequestError("The method CONNECT is for proxies, and this server is none."))
            return False
        head = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        head += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return self._feed(memoryview(b"\r\n".join([*head, b"", b""]))) and self._feed(rest)


def _unchunked(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """The application for a client of HTTP/1.0, which knows no chunks: the end of the connection ends its answer."""

    async def serve(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        is_sized = False

        async def send_whole(message: ASGISendEvent) -> None:
            nonlocal is_sized
            if message["type"] == "http.response.start":
                is_sized = any(name.lower() == b"content-length" for name, _ in message["headers"])
                cycle.chunked_encoding = None if is_sized else False
            elif message["type"] == "http.response.body" and not is_sized:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_whole)

    return serve


def _end(cycle: RequestResponseCycle) -> None:
    """Let a request know that nobody waits for its answer."""
    cycle.disconnected = True
    cycle.message_event.set()


def _too_large() -> HeadTooLargeError:
    return HeadTooLargeError(
        f"The header fields of the request are too large: at most {MAX_FIELDS}, of {MAX_HEAD_BYTES} bytes together."
    )


def _plain_response(error: VoiceStackError) -> bytes:
    body = json.dumps(error.body()).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers()}
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (headers | {"connection": "close"}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
