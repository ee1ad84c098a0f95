"""The measures and the span of every request, and what measures from a server's start to its stop.

OpenTelemetry's own variables are the settings of traces: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from logging import getLogger
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.telemetry import registry
from voice_stack.core.telemetry.registry import (
    BUILD,
    CLIENT_CLOSED_REQUEST,
    LOOP_LAG,
    label_code,
    label_method,
    label_route,
    label_status,
)

if TYPE_CHECKING:
    from voice_stack.core.telemetry.otel import OtelTraces

Attributes = Mapping[str, str | int | float | bool]
"""What is told of a span."""

logger = getLogger(__name__)

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


_active: "OtelTraces | None" = None


def start_traces(server: str, version: str) -> None:
    """Begin tracing if a collector is named; warns where the extra for it is missing."""
    global _active
    if _active is not None or not is_wanted(os.environ):
        return
    try:
        from voice_stack.core.telemetry.otel import OtelTraces
    except ImportError as error:
        logger.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced (%s): pip install 'voice-stack[otel]'", error
        )
        return
    _active = OtelTraces(server, version)


def stop_traces() -> None:
    """Send what is left and trace no more; blocks for some seconds at most."""
    global _active
    stopped, _active = _active, None
    if stopped is not None:
        stopped.close()


def active_traces() -> "OtelTraces | None":
    """Where spans go; None where nothing is traced."""
    return _active


def current_context() -> object:
    """What later spans are put below; None where nothing is traced."""
    return None if _active is None else _active.current()


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") not in {"", "otlp"}:
        return False
    return any(environment.get(name) for name in ENDPOINT_VARIABLES)


class RequestTelemetry:
    """ASGI middleware, the outermost: counts, times and traces every request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        traces = active_traces()
        answer = _Answer(send)
        registry.IN_PROGRESS.inc()
        try:
            if traces is None:
                await self.app(scope, receive, answer.send)
            else:
                await traces.serve(self.app, scope, receive, answer.send)
        finally:
            registry.IN_PROGRESS.dec()
            answer.observe(scope)


class _Answer:
    """An answer on its way out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._began_at = time.perf_counter()
        self._first_byte_s: float | None = None
        self._status = CLIENT_CLOSED_REQUEST
        self._is_complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            _count_fallbacks(Headers(raw=message.get("headers", [])))
        elif message["type"] == "http.response.body":
            if message.get("body") and self._first_byte_s is None:
                self._first_byte_s = time.perf_counter() - self._began_at
            self._is_complete = not message.get("more_body", False)
        await self._send(message)

    def observe(self, scope: Scope) -> None:
        route, method = label_route(scope), label_method(scope["method"])
        trace_id = scope.get("state", {}).get("log_fields", {}).get("trace_id")
        exemplar = {"trace_id": trace_id} if trace_id else None
        registry.REQUESTS.labels(method, route, label_status(self._status)).inc(exemplar=exemplar)
        duration_s = time.perf_counter() - self._began_at
        registry.DURATION.labels(method, route).observe(duration_s, exemplar)
        if self._first_byte_s is not None:
            registry.FIRST_BYTE.labels(route).observe(self._first_byte_s)
        # Whichever layer refused has noted what it told.
        error_type, code = scope.get("state", {}).get("error", (None, None))
        code = label_code(code, self._status)
        if error_type and self._status >= 400:
            registry.ERRORS.labels(error_type, code).inc()
        if not self._is_complete:
            registry.ABORTED.labels(route).inc()


def _count_fallbacks(headers: Headers) -> None:
    kinds = headers.get("x-fallback", "").split(", ") + ["model"] * ("x-fallback-model" in headers)
    for kind in filter(None, kinds):
        registry.FALLBACKS.labels(kind).inc()


INTERVAL_S = 0.5


async def watch_event_loop() -> None:
    """Measure until cancelled: two wake-ups a second, some ten microseconds each."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        LOOP_LAG.observe(max(0.0, loop.time() - due_at))


@asynccontextmanager
async def measuring(server: str, version: str) -> AsyncIterator[None]:
    """What measures from a server's start to its stop.

    Args:
        server: Its name.
        version: Of the package.
    """
    BUILD.info({"server": server, "version": version, "python": platform.python_version()})
    start_traces(server, version)
    lag = asyncio.create_task(watch_event_loop())
    try:
        yield
    finally:
        lag.cancel()
        await asyncio.to_thread(stop_traces)
