"""How often, how much at once and how long: one key or address, one upload, one request."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import RequestTimeoutError, ShuttingDownError, TooManyRequestsError
from voice_stack.core.http.connections import MIN_UPLOAD_BYTES_PER_S
from voice_stack.core.http.context import Layer, answer_error, client_of, note_answer_headers
from voice_stack.core.http.keys import NamedKey
from voice_stack.core.http.serving import REASON, Stopping
from voice_stack.core.shared.limits import Lease, SharedLimits
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.system.addresses import parse_address

MINUTE_S = 60.0


@dataclass(slots=True)
class TokenBucket:
    """One caller's requests of the last minute. Times are seconds on any steady clock, the same for all calls.

    Attributes:
        limit: Requests a minute, above 0.
        tokens: Requests that may come at once, as of `filled_at`.
        filled_at: When that was.
    """

    limit: int
    tokens: float
    filled_at: float

    def take(self, now: float) -> bool:
        """Take a token; false if there is none."""
        self._fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until there is a token."""
        self._fill(now)
        return max(0.0, 1 - self.tokens) * MINUTE_S / self.limit

    def reset_s(self, now: float) -> float:
        """Seconds until the bucket is full."""
        self._fill(now)
        return (self.limit - self.tokens) * MINUTE_S / self.limit

    def _fill(self, now: float) -> None:
        self.tokens = min(float(self.limit), self.tokens + (now - self.filled_at) * self.limit / MINUTE_S)
        self.filled_at = now


MAX_CALLERS = 10_000
IPV6_PREFIX = 64
"""One customer of a provider has at least so large a network: a single IPv6 address says nothing."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may do; 0: as much as they like."""

    per_minute: int = 0
    at_once: int = 0


@dataclass(slots=True)
class Usage:
    """What one caller does: a bucket where requests are counted by the minute, and how many are open."""

    bucket: TokenBucket | None = None
    open: int = 0


@dataclass(slots=True)
class Callers:
    """Usage by caller; the one that has been quiet for longest is forgotten when the table is full."""

    max_callers: int = MAX_CALLERS
    _usage: OrderedDict[str, Usage] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._usage)

    def find(self, caller: str, per_minute: int, now: float) -> Usage:
        """The usage of a caller, with a bucket for so many requests a minute if not 0."""
        usage = self._usage.setdefault(caller, Usage())
        self._usage.move_to_end(caller)
        if per_minute and (usage.bucket is None or usage.bucket.limit != per_minute):
            usage.bucket = TokenBucket(per_minute, float(per_minute), now)
        while len(self._usage) > self.max_callers:
            self._usage.popitem(last=False)
        return usage


def name_client(host: str) -> str:
    """How a client is counted: an IPv4 address by itself, an IPv6 address by its network of 64 bits."""
    address = parse_address(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


def name_caller(scope: Scope) -> str:
    """Who sent a request, where all that one caller has is counted together: by key, or by address without keys."""
    key = _find_key(scope)
    return _name_address(scope) if key is None else f"key {key.name}"


def _find_key(scope: Scope) -> NamedKey | None:
    key: NamedKey | None = scope.get("state", {}).get("api_key")
    return key


def _name_address(scope: Scope) -> str:
    client = client_of(scope)
    return "client unknown" if client is None else f"client {name_client(client)}"


AT_ONCE_RETRY_S = 2.0
"""When one of several open requests ends nobody knows; their clients have that much patience."""


class RequestLimits(Layer):
    """429 for who asks too often or too much at once.

    Must be inside of what checks keys and knows the true client: it reads `scope["state"]["api_key"]` and
    `scope["client"]`. A limit of the key counts for all who have it; where a key has none, the address counts. What is
    shared is counted over all replicas; while it is away, or without it, over this one.
    """

    def __init__(
        self, app: ASGIApp, default: Allowance, is_limited: Callable[[str], bool], shared: SharedState = OFF
    ) -> None:
        super().__init__(app)
        self.default, self.is_limited = default, is_limited
        self.callers, self.shared = Callers(), SharedLimits(shared)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_limited(scope["path"]):
            await self.app(scope, receive, send)
            return
        rate_caller, per_minute, at_once_caller, at_once = self._limits_of(scope)
        usage, lease = Usage(), None
        error = await self._count(scope, rate_caller, per_minute) if per_minute else None
        if error is None and at_once:
            usage = self.callers.find(at_once_caller, 0, time.monotonic())
            lease = await self.shared.open(at_once_caller, at_once)
            if not isinstance(lease, Lease):
                error = _check_open(usage.open if lease is None else lease, at_once)
        if error is not None:
            await answer_error(error, scope)(scope, receive, send)
            return
        usage.open += 1
        if isinstance(lease, Lease):
            await self._serve_leased(lease, usage, scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            usage.open -= 1

    async def _serve_leased(self, lease: Lease, usage: Usage, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_release(message: Message) -> None:
            # Before the client knows that it is over: its next request may come to another replica.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await self.shared.release(lease)
            await send(message)

        try:
            await self.app(scope, receive, send_and_release)
        finally:
            usage.open -= 1
            await self.shared.release(lease)

    def _limits_of(self, scope: Scope) -> tuple[str, int, str, int]:
        """Who is counted for requests a minute, how many there may be; and both for requests at once."""
        key = _find_key(scope)
        rate_of = at_once_of = _name_address(scope)
        rate, at_once = self.default.per_minute, self.default.at_once
        if key is not None and key.requests_per_minute is not None:
            rate, rate_of = key.requests_per_minute, f"key {key.name}"
        if key is not None and key.jobs_at_once is not None:
            at_once, at_once_of = key.jobs_at_once, f"key {key.name}"
        return rate_of, rate, at_once_of, at_once

    async def _count(self, scope: Scope, caller: str, per_minute: int) -> TooManyRequestsError | None:
        shared, now = await self.shared.take(caller, per_minute), time.monotonic()
        if shared is None:
            bucket = self.callers.find(caller, per_minute, now).bucket
            assert bucket is not None
            is_taken = bucket.take(now)
        else:
            is_taken, bucket = shared[0], TokenBucket(per_minute, shared[1], now)
        headers = {
            "x-ratelimit-limit-requests": str(per_minute),
            "x-ratelimit-remaining-requests": str(math.floor(bucket.tokens)),
            "x-ratelimit-reset-requests": tell_duration(bucket.reset_s(now)),
        }
        note_answer_headers(scope, headers)
        if is_taken:
            return None
        wait_s = bucket.wait_s(now)
        return TooManyRequestsError(
            f"Rate limit reached on requests per min (RPM): Limit {per_minute}. Please try again in "
            f"{tell_duration(wait_s)}.",
            retry_after_s=wait_s,
        )


def _check_open(count: int, at_once: int) -> TooManyRequestsError | None:
    if count < at_once:
        return None
    return TooManyRequestsError(
        f"Too many requests at once: {count} are open, {at_once} may be. Try again when one of them is over.",
        retry_after_s=AT_ONCE_RETRY_S,
        code="too_many_open_requests",
    )


def tell_duration(seconds: float) -> str:
    """A time as OpenAI writes it in its rate limit headers: `120ms`, `1s`, `6m0s`."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


class UploadTimes(Layer):
    """408 for a body that stops in the middle, or is too slow on the whole; 503 when the server stops.

    Only time counts in which the server waits for the client.
    """

    def __init__(self, app: ASGIApp, idle_s: float, stopping: Stopping) -> None:
        super().__init__(app)
        self.idle_s, self.stopping = idle_s, stopping

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            receive = _TimedBody(receive, self.idle_s, self.stopping).receive
        await self.app(scope, receive, send)


class _TimedBody:
    """The body of one request on its way in."""

    def __init__(self, receive: Receive, idle_s: float, stopping: Stopping) -> None:
        self._receive, self._idle_s, self._stopping = receive, idle_s, stopping
        self.is_complete = False
        self._waited_s = 0.0
        self._size = 0

    async def receive(self) -> Message:
        """The next message; after the body, what comes takes its time.

        Raises:
            RequestTimeoutError: The body does not come, or too slowly.
            ShuttingDownError: The server stops, and the rest of the body is still to come.
        """
        if self.is_complete:
            return await self._receive()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._idle_s) as timeout:
                with self._stopping.ending(timeout):
                    message = await self._receive()
        except TimeoutError:
            if self._stopping.refuses_work:
                raise ShuttingDownError(REASON) from None
            raise RequestTimeoutError(
                f"No byte of the request body came for {self._idle_s:g} s; {self._size} bytes had arrived."
            ) from None
        self._waited_s += time.monotonic() - started
        self._size += len(message.get("body", b""))
        self.is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        self._check_speed()
        return message

    def _check_speed(self) -> None:
        if self.is_complete or self._waited_s <= self._idle_s:
            return
        if self._size < MIN_UPLOAD_BYTES_PER_S * self._waited_s:
            raise RequestTimeoutError(
                f"The request body comes too slowly: {self._size} bytes in {self._waited_s:.0f} s; "
                f"{MIN_UPLOAD_BYTES_PER_S} bytes a second is the least."
            )
