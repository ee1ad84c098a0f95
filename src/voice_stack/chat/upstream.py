"""One request to a server behind this one: sent while it arrives, answered while it is sent, nothing of it kept.

h11 and not httpx2, which sends a whole body before it reads the answer: a 413 would be told after a gigabyte.
"""

import asyncio
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send

from voice_stack.core.errors import InvalidRequestError, UpstreamError
from voice_stack.core.logging import log_event

CONNECT_S = 5.0
CONTINUE_S = 1.0
"""For the word to go on with a body; whoever never says it gets the body all the same (RFC 9110, 10.1.1)."""
MAX_KEPT = 32
KEPT_S = 60.0
"""Servers end idle connections; ours after 75 s."""
_DEAD_AFTER_S = (30, 10, 3)
"""Silence, seconds between two questions, and how many, until a machine that is gone is noticed: some work is silent
for an hour."""
_PIECE_BYTES = 64 << 10
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
RawHeaders = list[tuple[bytes, bytes]]

_logger = logging.getLogger(__name__)


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers that are not for one connection alone (RFC 9110, 7.6.1); names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in lowered if name == b"connection").lower().split(b",")
    left_out = _BY_HOP | {name.strip() for name in named}
    return [(name, value) for name, value in lowered if name not in left_out]


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a request, as it is sent.

    Attributes:
        target: Path and query, as they stand in the first line.
        headers: With `Host`, and with `Transfer-Encoding` or `Content-Length` where a body comes.
    """

    method: str
    target: str
    headers: RawHeaders


class _Link:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_PIECE_BYTES)
        self._watch: asyncio.Task[None] | None = None
        self._rests_since = 0.0
        self.was_kept = False

    async def write(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.writelines(self._wire.send_with_data_passthrough(event) or ())
        await self._writer.drain()

    async def read(self) -> object:
        """The next event of h11."""
        while (event := self._wire.next_event()) is h11.NEED_DATA:
            self._wire.receive_data(await self._reader.read(_PIECE_BYTES))
        return event

    def rest(self) -> bool:
        """Wait for another request; whatever comes meanwhile is the end. False: it takes none."""
        if self._wire.our_state is not h11.DONE or self._wire.their_state is not h11.DONE:
            return False
        self._wire.start_next_cycle()
        self.was_kept, self._rests_since = True, time.monotonic()
        self._watch = asyncio.create_task(self._listen())
        return True

    async def _listen(self) -> None:
        with suppress(OSError):
            await self._reader.read(1)

    async def wake(self) -> bool:
        """Whether it can be used again."""
        assert self._watch is not None
        self._watch.cancel()
        await asyncio.wait({self._watch})
        return self._watch.cancelled() and time.monotonic() - self._rests_since < KEPT_S

    def abort(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._writer.transport.abort()


class Upstream:
    """A server behind this one.

    Args:
        name: For people, as `ASR server`.
        setting: Which names its address.
        url: The address; a path in it is for who makes the targets.
    """

    def __init__(self, name: str, setting: str, url: str) -> None:
        self.name, self.setting, self.url = name, setting, url
        self._place = urlsplit(url)
        self._tls = ssl.create_default_context() if self._place.scheme == "https" else None
        self._kept: list[_Link] = []
        self._is_closed = False

    @property
    def host(self) -> str:
        """For the header `Host`."""
        return self._place.netloc.rpartition("@")[2]

    @property
    def origin(self) -> str:
        """The address without a path."""
        return f"{self._place.scheme}://{self.host}"

    async def exchange(self, head: Head, receive: Receive, send: Send) -> None:
        """Send a request as it is received, and its answer as it comes.

        Args:
            head: Of the request.
            receive: Gives the body, as ASGI has it; is asked for no more than is sent at once.
            send: Takes the answer, as ASGI has it.

        Raises:
            UpstreamError: The server cannot be reached, or breaks off.
            ClientDisconnect: The client has left; the server is told at once.
            VoiceStackError: As `receive` raises it.
        """
        # A server may be closing a kept connection just now, and only some requests can be sent twice. Within the house
        # a new one costs a fraction of a millisecond.
        keeps = head.method in _SAFE or self._tls is not None
        while True:
            link = await self._take() if keeps else await self._connect()
            exchange = _Exchange(head, link, receive, send, self._give_back if keeps else _Link.abort)
            try:
                await exchange.run()
            except (OSError, h11.RemoteProtocolError) as error:
                if link.was_kept and head.method in _SAFE and not exchange.has_begun:
                    continue  # closed while this one was on its way
                raise self.failure(error, "broke off") from error
            except h11.LocalProtocolError as error:
                raise InvalidRequestError(f"This request cannot be passed on: {error}.") from error
            finally:
                exchange.release()
            return

    def failure(self, error: Exception, what: str = "cannot be reached") -> UpstreamError:
        """What a client is told; the address is for the log."""
        reason = _tell_reason(error)
        log_event(_logger, logging.WARNING, f"the {self.name} {what}", url=self.url, reason=reason, error=error)
        return UpstreamError(f"The {self.name} {what} ({reason}). Its address is the setting {self.setting}.")

    async def close(self) -> None:
        """Let go of the connections that are kept."""
        self._is_closed = True
        while self._kept:
            self._kept.pop().abort()

    async def _take(self) -> _Link:
        while self._kept:
            link = self._kept.pop()
            if await link.wake():
                return link
            link.abort()
        return await self._connect()

    async def _connect(self) -> _Link:
        try:
            async with asyncio.timeout(CONNECT_S):
                port = self._place.port or (443 if self._tls else 80)
                reader, writer = await asyncio.open_connection(
                    self._place.hostname, port, ssl=self._tls, limit=_PIECE_BYTES
                )
        except OSError as error:
            raise self.failure(error) from error
        _notice_death(writer.get_extra_info("socket"))
        return _Link(reader, writer)

    def _give_back(self, link: _Link) -> None:
        if not self._is_closed and len(self._kept) < MAX_KEPT and link.rest():
            self._kept.append(link)
        else:
            link.abort()


def _tell_reason(error: Exception) -> str:
    """Why, in words that name no address."""
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, ssl.SSLError | socket.gaierror):
        return error.strerror or "no such name"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else "no connection"
    return str(error) or type(error).__name__


def _notice_death(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        idle_s, interval_s, count = _DEAD_AFTER_S
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)


@dataclass(slots=True)
class _Exchange:
    """One request over one connection.

    Attributes:
        has_begun: Its answer has.
        may_go_on: With the body: the server has said so, or has answered.
    """

    head: Head
    link: _Link
    receive: Receive
    send: Send
    give_back: Callable[[_Link], None]
    is_released: bool = False
    has_begun: bool = False
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Give the connection back, once."""
        if not self.is_released:
            self.is_released = True
            self.give_back(self.link)

    async def run(self) -> None:
        """Until the answer is over, whether or not the request is."""
        await self.link.write(h11.Request(method=self.head.method, target=self.head.target, headers=self.head.headers))
        sending, answering = asyncio.create_task(self._send_body()), asyncio.create_task(self._answer())
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            (answering if answering.done() else sending).result()
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _send_body(self) -> None:
        """Send the body, then wait for the client to leave."""
        if (b"expect", b"100-continue") in self.head.headers:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONTINUE_S):
                    await self.may_go_on.wait()
        is_complete = False
        while (message := await self.receive())["type"] == "http.request":
            if is_complete:
                continue
            is_complete = not message.get("more_body", False)
            try:
                if message.get("body"):
                    await self.link.write(h11.Data(data=message["body"]))
                if is_complete:
                    await self.link.write(h11.EndOfMessage())
            except OSError:  # it takes no more, and the client is not asked for more: the answer says why
                await asyncio.get_running_loop().create_future()
        raise ClientDisconnect

    async def _answer(self) -> None:
        while isinstance(event := await self.link.read(), h11.InformationalResponse):
            self.may_go_on.set()
        assert isinstance(event, h11.Response)
        self.has_begun = True
        self.may_go_on.set()
        # The server that passes an answer on says the time itself.
        headers = [(name, value) for name, value in end_to_end(event.headers) if name != b"date"]
        if event.status_code in {204, 304}:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        if event.status_code == 426:  # which has to name what to upgrade to (RFC 9110, 15.5.22)
            headers += [(name, value) for name, value in event.headers if name == b"upgrade"]
            headers.append((b"connection", b"upgrade"))
        await self.send({"type": "http.response.start", "status": event.status_code, "headers": headers})
        while isinstance(event := await self.link.read(), h11.Data):
            await self.send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        self.release()  # whoever has it all may ask for more at once
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})
