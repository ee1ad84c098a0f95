"""What surrounds every request: its id, its log line, its measures, its headers, the last answer to a failure."""

import asyncio
import logging
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from voice_stack.core.errors import NotFoundError, PermissionDeniedError, ShuttingDownError, VoiceStackError
from voice_stack.core.logging import log_event, logged_for
from voice_stack.core.telemetry.registry import (
    CLIENT_CLOSED_REQUEST,
    IN_PROGRESS,
    OPEN_SOCKETS,
    UNMATCHED,
    active_traces,
    count_error,
    count_fallbacks,
    count_request,
    count_socket,
    label_route,
)

HEALTH_PATHS = frozenset({"/health", "/healthz", "/healthcheck", "/ready"})
DOCS_PATHS = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
QUIET_PATHS = HEALTH_PATHS | {"/metrics"}
"""Asked for every few seconds by machines: logged for those who want everything."""
DOCS_ASSETS = "/static-offline-docs/"
STATUS_BEHIND = "/status/"
"""And a name: what a server behind this one does."""
PAGE_PATH, PAGE_FILES = "/try", "/page/"
KEY_PATH = f"{PAGE_FILES}key.json"
"""Tells what the key may do that is sent: the only answer below the page's paths that needs one."""
SHOW_ERROR = "show_error"
"""In the state of a request in the words of another service: the `ShowError` for its clients."""
ErrorFields = Mapping[str, str | None]
"""What OpenAI's body says of an error: `message`, `type`, `param`, `code`."""
ShowError = Callable[[int, ErrorFields, str], dict[str, object]]
"""Makes the body of an error from its status, OpenAI's fields and the id of the request."""
REALTIME = "realtime"
"""The subprotocol that OpenAI's clients in browsers offer beside a key; they hang up if none is chosen."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_logger = logging.getLogger(__name__)


def answer_error(error: VoiceStackError, scope: Scope) -> JSONResponse:
    """The answer that an error is; whoever measures the request finds type and code in its state."""
    note_error(scope, error.type, error.code)
    return JSONResponse(shape_error(error.status, error.body(), scope), error.status, error.headers())


def shape_error(status: int, body: dict[str, dict[str, str | None]], scope: Scope) -> Mapping[str, object]:
    """The body of an error as whoever asked reads it; OpenAI's, unless they use the words of another service."""
    state = scope.get("state", {})
    show: ShowError | None = state.get(SHOW_ERROR)
    return body if show is None else show(status, body["error"], state["request_id"])


def note_error(scope: Scope, error_type: str, code: str | None) -> None:
    """Tell whoever measures a request of the error that is its answer."""
    scope.setdefault("state", {})["error"] = error_type, code


def add_log_fields(request: HTTPConnection, **fields: object) -> None:
    """Add values to the log line of this request, as `add_log_fields(request, audio_s=12.5, rtf=0.08)`."""
    request.scope.setdefault("state", {}).setdefault("log_fields", {}).update(fields)


def client_of(scope: Scope) -> str | None:
    """The client's address; None for one that came through a Unix socket."""
    client = scope.get("client")
    return client[0] if client else None


class Layer(ABC):
    """ASGI middleware for requests, those included that open a WebSocket."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not `async`: an open WebSocket would hold one coroutine more for each layer.
        if scope["type"] not in {"http", "websocket"}:
            return self.app(scope, receive, send)
        scope.setdefault("method", "GET")  # which opens a WebSocket, though ASGI does not say so
        return self.serve(scope, receive, send)

    @abstractmethod
    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""


class Guard(Layer):
    """A layer that lets a request pass or answers it with an error."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.check(scope)
        except VoiceStackError as error:
            await answer_error(error, scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    @abstractmethod
    async def check(self, scope: Scope) -> None:
        """Return if the request may pass.

        Raises:
            VoiceStackError: It may not.
        """


class RequestContext(Layer):
    """Request id, one log line, measures and span, failures to the log and to the client; for sockets as for requests.

    A stream that fails after its first byte is broken off, so that no client takes the part for the whole.
    """

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _choose_request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        note_answer_headers(scope, {"x-request-id": request_id})
        gauge = IN_PROGRESS if scope["type"] == "http" else OPEN_SOCKETS
        with logged_for([request_id]), gauge.track_inprogress():
            if traces := active_traces():
                await traces.serve(self._answer, scope, receive, send)
            else:
                await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange if scope["type"] == "http" else _SocketExchange
        await exchange(scope, receive, send).run(self.app)


class _Exchange:
    """One request and what became of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.status: int | None = None
        self.bytes_out = 0
        self.first_byte_s: float | None = None
        self.complete = self.disconnected = False
        self.started_at = time.perf_counter()

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except (ClientDisconnect, WebSocketDisconnect):
            self.disconnected = True
        except asyncio.CancelledError:  # the last step of the server's stop
            if self.status is not None:
                raise
            await self.answer(ShuttingDownError("the server is stopping"))
        except Exception as error:  # the last border: logged, and answered below
            # Starlette wraps what it can no longer answer.
            if self.status is not None and isinstance(error.__cause__, VoiceStackError):
                _logger.warning("the answer breaks off: %s", error.__cause__)
                count_error(error.__cause__)
                raise
            _logger.exception("request failed")
            if self.status is not None:
                raise
            await self.answer(error)
        finally:
            self.report()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.complete:
            self.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            count_fallbacks(Headers(raw=message.get("headers", [])))
        elif message["type"] == "http.response.body":
            if message.get("body") and self.first_byte_s is None:
                self.first_byte_s = time.perf_counter() - self.started_at
            self.bytes_out += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def answer(self, error: Exception) -> None:
        request_id = self.scope["state"]["request_id"]
        unexpected = VoiceStackError(f"The server failed on this request; its log has the reason under {request_id}.")
        known = error if isinstance(error, VoiceStackError) else unexpected
        await answer_error(known, self.scope)(self.scope, self.receive, self.send)

    def report(self) -> None:
        status = self.status or CLIENT_CLOSED_REQUEST
        duration_s = time.perf_counter() - self.started_at
        count_request(self.scope, status, duration_s, self.first_byte_s, is_complete=self.complete)
        aborted = {"aborted": True} if self.disconnected or not self.complete else {}
        self.log(status, duration_s, bytes_out=self.bytes_out, **aborted)

    def log(self, status: int, duration_s: float, **fields: object) -> None:
        log_event(
            _logger,
            logging.DEBUG if _is_quiet(self.scope["path"], status) else logging.INFO,
            "request",
            method=self.scope["method"],
            path=self.scope["path"],
            status=status,
            duration_s=round(duration_s, 4),
            client=client_of(self.scope),
            **{**self.scope["state"].get("log_fields", {}), **fields},
        )


def _is_quiet(path: str, status: int) -> bool:
    """Whether a request is logged for those who want everything: the page's files, and what it asks all the time."""
    is_watching = path.endswith("/status") or path.startswith(STATUS_BEHIND)
    return path in QUIET_PATHS or (status < 400 and (is_watching or is_page(path)))


class _SocketExchange(_Exchange):
    """One WebSocket and what became of it; its status is that of an answer in its place, or of what it failed by."""

    is_accepted = False
    code: int | None = None

    async def run(self, app: ASGIApp) -> None:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            if self.is_accepted and self.code is None:
                await send({"type": "websocket.close", "code": 1000})

        with suppress(WebSocketDisconnect):  # nobody is there to be told of a failure
            await super().run(serve)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.code = self.code or message.get("code", 1006)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            if message.get("subprotocol") is None and REALTIME in self.scope.get("subprotocols", ()):
                message = {**message, "subprotocol": REALTIME}
            self.is_accepted = True
        elif kind == "websocket.http.response.start":
            self.status = int(message["status"])
            if self.is_accepted:  # too late for an answer
                error_type, code = self.scope["state"].get("error", ("", None))
                message = {"type": "websocket.close", "code": _close_code(self.status), "reason": code or error_type}
        elif kind == "websocket.http.response.body":
            if self.is_accepted:
                return
            self.complete = not message.get("more_body", False)
            self.bytes_out += len(message["body"])
        elif kind == "websocket.close" and not self.is_accepted:
            await self.answer(self._explain_refusal(message.get("reason")))
            return
        try:
            await self._send(message)
        except OSError:
            self.code = self.code or 1006
            raise WebSocketDisconnect(1006) from None
        if message["type"] == "websocket.close":
            self.code = self.code or message.get("code", 1000)

    def _explain_refusal(self, reason: str | None) -> VoiceStackError:
        if label_route(self.scope) == UNMATCHED:
            return NotFoundError(f"Unknown WebSocket URL: {self.scope['path']}.")
        return PermissionDeniedError(reason or "This WebSocket was refused.")

    def report(self) -> None:
        if not self.is_accepted:
            super().report()
            return
        duration_s = time.perf_counter() - self.started_at
        count_socket(self.scope, self.code, duration_s, self.status)
        self.log(101, duration_s, code=self.code or 1006)


def _close_code(status: int) -> int:
    """How a socket ends by an error that would have that status: try again later, policy, failure."""
    if status in {429, 503}:
        return 1013
    return 1008 if status < 500 else 1011


def is_docs(path: str) -> bool:
    """Whether a path belongs to the API's description."""
    return path in DOCS_PATHS or path.startswith(DOCS_ASSETS)


def is_page(path: str) -> bool:
    """Whether a path belongs to the page for people."""
    return path == PAGE_PATH or path.startswith(PAGE_FILES)


def _choose_request_id(scope: Scope) -> str:
    """The client's id if it can stand in logs and headers as it is, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


_KEY = "answer_headers"


def note_answer_headers(scope: Scope, headers: Mapping[str, str]) -> None:
    """Note headers for the answer of a request; harmless when its status is out already."""
    scope.setdefault("state", {}).setdefault(_KEY, {}).update(headers)


def headers_of(request: HTTPConnection) -> Callable[[Mapping[str, str]], None]:
    """What takes headers for the answer of a request, whoever tells them."""
    return partial(note_answer_headers, request.scope)


CacheUse = Literal["usual", "fresh", "none"]
"""Serve what is there and keep what is made; make it anew and keep that; neither serve nor keep anything."""


def cache_use(*, is_wanted: bool, headers: Mapping[str, str]) -> CacheUse:
    """What may be done with a kept answer, and with one that is made now.

    Args:
        is_wanted: As a field of it says.
        headers: Of the request; `no-store` and `no-cache` in `Cache-Control` count (RFC 9111, section 5.2.1).
    """
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if not is_wanted or "no-store" in directives:
        return "none"
    return "fresh" if "no-cache" in directives else "usual"


API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Whatever an answer of the API holds, a browser that shows it runs and loads nothing."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The docs pages start by a script and styles inside them; they show nothing that a request brought."""


class OutgoingHead(Layer):
    """The outermost layer: all headers that do not depend on the route; what a route has set stays.

    Security headers, those that were noted on the way, and `Connection: close` on the last answer of
    a connection: whoever is connected to a server that stops must find another one, and the rest of a request that was
    refused is not worth a connection; a client that is not told would send its next one where nobody reads.

    Args:
        has_origins: Web pages of other origins may use the answers.
        is_stopping: Whether the server stops.
        replica: Name of the server, if it is one of several.
    """

    def __init__(
        self, app: ASGIApp, *, has_origins: bool, is_stopping: Callable[[], bool] = bool, replica: str = ""
    ) -> None:
        super().__init__(app)
        self.is_stopping = is_stopping
        self.place = {"x-replica": replica} if replica else {}
        self.headers = {
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "cross-origin" if has_origins else "same-origin",
        }

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                self._add(path, scope, MutableHeaders(scope=message))
            elif message["type"] == "websocket.accept":
                message["headers"] = list(message.get("headers", ()))
                MutableHeaders(scope=message).update(scope.get("state", {}).get(_KEY, {}) | self.place)
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add(self, path: str, scope: Scope, headers: MutableHeaders) -> None:
        state = scope.get("state", {})
        headers.update(state.get(_KEY, {}) | self.place)
        if self.is_stopping() or state.get("is_unread", lambda _: False)(scope):
            headers["connection"] = "close"
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        headers.setdefault("content-security-policy", DOCS_POLICY if is_docs(path) else API_POLICY)
        if not path.startswith(DOCS_ASSETS):
            # An answer with a tag may be kept, but by its client alone, and is asked for again.
            headers.setdefault("cache-control", "private, no-cache" if "etag" in headers else "no-store")
