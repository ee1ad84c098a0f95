"""Traces for an OpenTelemetry collector, when one is named; until then everything here is a comparison with None.

OpenTelemetry's own variables are its settings: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

import os
from collections.abc import Mapping
from logging import getLogger
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice_stack.core.telemetry.otel import OtelTraces

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
