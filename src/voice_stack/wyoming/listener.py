"""The port for Wyoming: its name in the network, who may connect, the requests with their log lines and measures."""

import asyncio
import logging
import socket
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

from voice_stack.core.errors import (
    ConfigurationError,
    OverloadedError,
    PermissionDeniedError,
    RequestTimeoutError,
    ShuttingDownError,
    VoiceStackError,
)
from voice_stack.core.http.app import VERSION
from voice_stack.core.http.serving import REASON, Stopping
from voice_stack.core.logging import log_event, logged_for
from voice_stack.core.settings import EngineSettings
from voice_stack.core.system.addresses import parse_networks
from voice_stack.core.telemetry.registry import (
    ABORTED,
    CLIENT_CLOSED_REQUEST,
    DURATION,
    FIRST_BYTE,
    IN_PROGRESS,
    REQUESTS,
    count_error,
    label_status,
)
from voice_stack.wyoming.wire import MAX_LINE_BYTES, Event, read_event

MAX_CONNECTIONS = 64
"""Home Assistant has one for each request; beyond so many those make room that have waited longest without one."""
SERVICE = "_wyoming._tcp.local."
"""What Home Assistant looks for in the network."""
_FAR_AWAY = {socket.AF_INET: "198.51.100.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses that no machine has: RFC 5737, 3849."""
INBOX_EVENTS = 4
LINGER_S = 2.0
"""For a client to read the last words to it while it is still sending; a connection closed before would take them."""
IDLE_PATIENCE = 2.0
"""Longer than an event may take to come."""
METHOD = "WYOMING"
"""What stands in logs and metrics where requests of HTTP have their method."""

_logger = logging.getLogger(__name__)


class Door(ABC):
    """What one server does with Wyoming's events; one for all connections.

    Attributes:
        title: What it does, as a person says it.
        events: Types of those it knows; others are passed over, as later versions of the protocol may have more.
    """

    title: str
    events: frozenset[str]

    @abstractmethod
    def describe(self) -> Mapping[str, object]:
        """The data of `info`; may look at the disk."""

    @abstractmethod
    async def take(self, link: "Link", event: Event) -> None:
        """Serve the request that begins with an event, to its end.

        Raises:
            VoiceStackError: It failed; the client is told, and the connection ends, as with all servers of Wyoming.
        """


class Link:
    """A client.

    Attributes:
        client: Its address.
        is_busy: Whether a request of it is open.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: EngineSettings) -> None:
        self._reader, self._writer, self._settings = reader, writer, settings
        self._inbox = asyncio.Queue[Event](INBOX_EVENTS)
        self._first_sent_at: float | None = None
        self._is_told = self.is_busy = False
        self.client = str((writer.get_extra_info("peername") or ["unknown"])[0])

    async def receive(self, door: Door) -> None:
        """Take in what comes until the client goes; what it asks of the server itself is answered at once.

        Raises:
            ConnectionError: The client is gone.
            InvalidRequestError: What comes is no event.
            RequestTimeoutError: It comes too slowly.
        """
        while (event := await read_event(self._reader, self._settings.upload_timeout_s)) is not None:
            if event.type == "describe":
                await self.send("info", await asyncio.to_thread(door.describe))
            elif event.type == "ping":
                await self.send("pong", {"text": event.data.get("text")})
            elif event.type in door.events:
                await self._inbox.put(event)
        raise ConnectionAbortedError("the client has left")

    async def next(self, patience: float = 1.0) -> Event:
        """The next event that the door knows.

        Args:
            patience: How many times the usual time it may take.

        Raises:
            RequestTimeoutError: None comes.
        """
        limit_s = self._settings.upload_timeout_s * patience
        try:
            async with asyncio.timeout(limit_s):
                return await self._inbox.get()
        except TimeoutError:
            raise RequestTimeoutError(f"Nothing came for {limit_s:g} s.") from None

    async def send(self, kind: str, data: Mapping[str, object] | None = None, payload: bytes = b"") -> None:
        """Send an event; waits for a client that reads slowly.

        Raises:
            ConnectionError: It is gone, or has read nothing for a long time.
        """
        self._writer.write(Event(kind, data or {}, payload).encode())
        self._first_sent_at = self._first_sent_at or time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.reader_timeout_s):
                await self._writer.drain()
        except OSError as error:  # TimeoutError is one
            self._writer.transport.abort()
            raise ConnectionAbortedError("the client is gone, or does not read") from error

    async def tell(self, error: VoiceStackError) -> None:
        """Tell the client of an error, the first time."""
        if not self._is_told:
            self._is_told = True
            count_error(error)
            with suppress(ConnectionError):
                await self.send("error", {"text": error.told, "code": error.code or error.type})

    @asynccontextmanager
    async def request(self, kind: str) -> AsyncIterator[dict[str, object]]:
        """Log and measure a request, and tell the client of the error that ends it.

        Yields:
            Fields for its log line.

        Raises:
            VoiceStackError: What ended it.
        """
        request_id, fields, status = f"req_{uuid.uuid4().hex}", dict[str, object](), CLIENT_CLOSED_REQUEST
        started_at, self._first_sent_at, self.is_busy = time.perf_counter(), None, True
        with logged_for([request_id]), IN_PROGRESS.track_inprogress():
            try:
                yield fields
                status = 200
            except (VoiceStackError, ConnectionError) as error:
                if isinstance(error, VoiceStackError):
                    status = error.status
                    await self.tell(error)
                raise
            except Exception:  # the last border: logged, and told
                _logger.exception("request failed")
                status = VoiceStackError.status
                told = f"The server failed on this request; its log has the reason under {request_id}."
                await self.tell(VoiceStackError(told))
                raise VoiceStackError(told) from None
            finally:
                self.is_busy = False
                self._report(kind, status, started_at, fields)

    def _report(self, kind: str, status: int, started_at: float, fields: Mapping[str, object]) -> None:
        route, duration_s = f"wyoming/{kind}", time.perf_counter() - started_at
        REQUESTS.labels(METHOD, route, label_status(status)).inc()
        DURATION.labels(METHOD, route).observe(duration_s)
        if self._first_sent_at is not None:
            FIRST_BYTE.labels(route).observe(self._first_sent_at - started_at)
        if status == CLIENT_CLOSED_REQUEST:
            ABORTED.labels(route).inc()
            fields = {**fields, "aborted": True}
        known = {"method": METHOD, "path": kind, "status": status, "duration_s": round(duration_s, 4)}
        log_event(_logger, logging.INFO, "request", **known, client=self.client, **fields)

    async def part(self) -> None:
        """End the connection; what was sent is read first, if that is soon."""
        with suppress(OSError):
            async with asyncio.timeout(LINGER_S):
                if not self._writer.is_closing():
                    self._writer.write_eof()
                while await self._reader.read(MAX_LINE_BYTES):
                    pass
        self._writer.close()


async def run_both(feeding: Coroutine[object, object, None], telling: Coroutine[object, object, None]) -> None:
    """Take in and give out at the same time, until both are done.

    Raises:
        VoiceStackError: One failed; the other is cancelled.
        ConnectionError: The client is gone.
    """
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(feeding)
            both.create_task(telling)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def describe_artifact(name: str, description: str, **more: object) -> dict[str, object]:
    """A program, a model or a voice, as `info` has them."""
    attribution = {"name": "Voice Stack", "url": ""}
    known: dict[str, object] = {"name": name, "description": description, "attribution": attribution}
    return {**known, "installed": True, "version": VERSION, **more}


def _find_addresses(server: asyncio.Server) -> list[str]:
    """Where other machines reach a server; one that listens everywhere has the address of the default route."""
    found = []
    for listening in server.sockets:
        address = listening.getsockname()[0]
        if ip_address(address).is_unspecified:
            with socket.socket(listening.family, socket.SOCK_DGRAM) as probe, suppress(OSError):
                probe.connect((_FAR_AWAY[listening.family], 9))  # sends nothing
                address = probe.getsockname()[0]
        found.append(address)
    return [address for address in found if not (ip_address(address).is_loopback or ip_address(address).is_unspecified)]


async def _announce(name: str, port: int, addresses: list[str]) -> None:
    """Tell the network of a port (RFC 6762 and 6763), so that Home Assistant finds it; a goodbye when cancelled."""
    if not addresses:
        return
    try:
        from zeroconf import Error
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
    except ImportError:
        log_event(_logger, logging.INFO, "Wyoming is not announced: pip install 'voice-stack[home-assistant]'")
        return
    label = name.replace(".", "-").encode()[:60].decode(errors="ignore")  # of 63, for others may have the name, too
    try:
        async with AsyncZeroconf(interfaces=addresses) as network:
            service = AsyncServiceInfo(SERVICE, f"{label}.{SERVICE}", port, parsed_addresses=addresses)
            await network.async_register_service(service, allow_name_change=True)
            log_event(_logger, logging.INFO, "Wyoming is announced", name=service.name, addresses=addresses)
            await asyncio.Future()
    except (OSError, RuntimeError, Error) as error:
        log_event(_logger, logging.WARNING, "Wyoming is not announced", reason=f"{error!r}")


class WyomingListener:
    """Listens while the server runs, if it has a port for it; lives on the event loop.

    Args:
        door: What is behind the port.
        settings: Those of the server.
    """

    def __init__(self, door: Door, settings: EngineSettings) -> None:
        self._door, self._settings = door, settings
        self._networks = parse_networks(settings.wyoming_networks)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: Another program has the port.
        """
        host, port = self._settings.host, self._settings.wyoming_port
        if not port:
            return
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=MAX_LINE_BYTES)
        except OSError as error:
            variable = self._settings.env_name("wyoming_port")
            reason = error.strerror or error
            raise ConfigurationError(f"cannot listen on {host} port {port} ({variable}): {reason}") from error
        log_event(_logger, logging.INFO, "Wyoming is listened for", host=host, port=port)
        name = f"{self._settings.project_name}: {self._door.title} ({socket.gethostname()})"
        self._announcing = asyncio.create_task(_announce(name, port, _find_addresses(self._server)))

    def stop_with(self, stopping: Stopping) -> None:
        """Let open requests end when the server stops, for as long as those of HTTP; then they are handed back."""
        stopping.at_refusal(self._refuse_work)
        stopping.at_end(self._hand_back)

    async def _refuse_work(self) -> None:
        self._is_stopping = True
        if self._server is None or self._announcing is None:
            return
        self._server.close()
        for task in (self._announcing, *(task for link, task in self._links.items() if not link.is_busy)):
            task.cancel()
        await asyncio.wait({self._announcing, *self._links.values()}, timeout=self._settings.shutdown_grace_s)

    async def _hand_back(self) -> None:
        links = dict(self._links)
        await asyncio.gather(*(link.tell(ShuttingDownError(REASON)) for link in links))
        for task in links.values():
            task.cancel()
        if links:
            await asyncio.wait(links.values(), timeout=LINGER_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link, task = Link(reader, writer, self._settings), asyncio.current_task()
        assert task is not None
        is_full = len(self._links) >= MAX_CONNECTIONS
        if idle := next((other for other in self._links if is_full and not other.is_busy), None):
            self._links.pop(idle).cancel()
        self._links[link] = task
        try:
            with suppress(ConnectionError):
                await self._converse(link, has_place=idle is not None or not is_full)
            await link.part()
        except asyncio.CancelledError:
            # asyncio would report a connection that is cancelled, as those of a stopping server are, as a failure.
            writer.close()
        finally:
            self._links.pop(link, None)

    async def _converse(self, link: Link, *, has_place: bool) -> None:
        try:
            if not self._networks.holds(link.client):
                variable = self._settings.env_name("wyoming_networks")
                raise PermissionDeniedError(f"{link.client} may not use this server: {variable} says who may.")
            if not has_place:
                raise OverloadedError("The server has as many connections as it can serve. Try again in a moment.")
            await run_both(link.receive(self._door), self._serve(link))
        except VoiceStackError as error:
            log_event(_logger, logging.INFO, "Wyoming connection ends", client=link.client, reason=error.message)
            await link.tell(error)

    async def _serve(self, link: Link) -> None:
        while not self._is_stopping:
            try:
                event = await link.next(IDLE_PATIENCE)
            except RequestTimeoutError:
                break  # an idle client needs no word
            await self._door.take(link, event)
        raise ConnectionAbortedError("no more is served")
