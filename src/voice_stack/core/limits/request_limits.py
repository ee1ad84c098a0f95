"""How often and how much at once one key or one address may ask."""

import math
import time
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.limits.answer_headers import note_answer_headers
from voice_stack.core.limits.callers import Allowance, Callers, LimitedKey, Usage, name_client
from voice_stack.core.limits.errors import TooManyRequestsError

AT_ONCE_RETRY_S = 2.0
"""When one of several open requests ends nobody knows; their clients have that much patience."""


class RequestLimits:
    """ASGI middleware: 429 for who asks too often or too much at once.

    Must be inside of what checks keys and knows the true client: it reads `scope["state"]["api_key"]` and
    `scope["client"]`. A limit of the key counts for all who have it; where a key has none, the address counts.

    Args:
        app: The application behind.
        default: For every address.
        is_limited: Whether a path is counted.
    """

    def __init__(self, app: ASGIApp, default: Allowance, is_limited: Callable[[str], bool]) -> None:
        self.app, self.default, self.is_limited = app, default, is_limited
        self.callers = Callers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http" or not self.is_limited(scope["path"]):
            await self.app(scope, receive, send)
            return
        rate_caller, per_minute, at_once_caller, at_once = self._limits_of(scope)
        error = self._count(scope, rate_caller, per_minute) if per_minute else None
        if error is None and at_once:
            usage = self.callers.find(at_once_caller, 0, time.monotonic())
            error = _check_open(usage, at_once)
            if error is None:
                await self._serve_counted(usage, scope, receive, send)
                return
        if error is None:
            await self.app(scope, receive, send)
        else:
            await JSONResponse(error.body(), error.status, error.headers())(scope, receive, send)

    async def _serve_counted(self, usage: Usage, scope: Scope, receive: Receive, send: Send) -> None:
        usage.open += 1
        try:
            await self.app(scope, receive, send)
        finally:
            usage.open -= 1

    def _limits_of(self, scope: Scope) -> tuple[str, int, str, int]:
        """Who is counted for requests a minute, how many there may be; and both for requests at once."""
        key: LimitedKey | None = scope.get("state", {}).get("api_key")
        client = scope.get("client")
        by_address = f"client {name_client(client[0])}" if client else "client unknown"
        rate, rate_of = self.default.per_minute, by_address
        at_once, at_once_of = self.default.at_once, by_address
        if key is not None and key.requests_per_minute is not None:
            rate, rate_of = key.requests_per_minute, f"key {key.name}"
        if key is not None and key.jobs_at_once is not None:
            at_once, at_once_of = key.jobs_at_once, f"key {key.name}"
        return rate_of, rate, at_once_of, at_once

    def _count(self, scope: Scope, caller: str, per_minute: int) -> TooManyRequestsError | None:
        now = time.monotonic()
        bucket = self.callers.find(caller, per_minute, now).bucket
        assert bucket is not None
        is_taken = bucket.take(now)
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


def _check_open(usage: Usage, at_once: int) -> TooManyRequestsError | None:
    if usage.open < at_once:
        return None
    return TooManyRequestsError(
        f"Too many requests at once: {usage.open} are open, {at_once} may be. Try again when one of them is over.",
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
