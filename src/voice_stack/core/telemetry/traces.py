"""The spans of requests and jobs, and what measures from a server's start to its stop.

OpenTelemetry's own variables are the settings of traces: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from logging import getLogger
from typing import TYPE_CHECKING

from voice_stack.core.telemetry.registry import BUILD, LOOP_LAG

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
    """What measures from a server's start to its stop."""
    BUILD.info({"server": server, "version": version, "python": platform.python_version()})
    start_traces(server, version)
    lag = asyncio.create_task(watch_event_loop())
    try:
        yield
    finally:
        lag.cancel()
        await asyncio.to_thread(stop_traces)
