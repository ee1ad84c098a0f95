"""The metrics of this process, in a registry of their own: Prometheus's names and base units; and where its spans go.

There is one API process per server, so that numbers add up without files shared between processes. Values of labels are
bounded everywhere: routes are templates, models are those of the catalogue, statuses are classes.

OpenTelemetry's own variables are the settings of traces: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

import asyncio
import os
import platform
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from logging import getLogger
from pathlib import PurePath
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.datastructures import Headers
from starlette.types import Scope

from voice_stack.core.errors import VoiceStackError

if TYPE_CHECKING:
    from voice_stack.core.telemetry.otel import OtelTraces

logger = getLogger(__name__)

# A `_created` series beside every counter doubles what is scraped and says nothing that `process_start_time_seconds`
# does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_counter = partial(Counter, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY)

ENGINE = ("engine", "model")
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
"""Seconds: from a health check to a film."""
WAIT_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
LOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
RATIO_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 5, 10)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

BUILD = Info("voice_stack_build", "The running server.", registry=REGISTRY)

REQUESTS = _counter(
    "voice_stack_http_requests",
    "Answered requests by route template and class of status; 499: the client left before the status.",
    ("method", "route", "status"),
)
ABORTED = _counter(
    "voice_stack_http_aborted",
    "Requests whose answer did not go out to its end: the client left, or the work failed half-way.",
    ("route",),
)
IN_PROGRESS = Gauge("voice_stack_http_requests_in_progress", "Requests that are being answered.", registry=REGISTRY)
DURATION = _histogram(
    "voice_stack_http_request_duration_seconds",
    "From the head of a request to the end of its answer.",
    ("method", "route"),
    buckets=REQUEST_BUCKETS,
)
FIRST_BYTE = _histogram(
    "voice_stack_http_time_to_first_byte_seconds",
    "From the head of a request to the first byte of the answer's body.",
    ("route",),
    buckets=REQUEST_BUCKETS,
)
SOCKETS = _counter(
    "voice_stack_websockets",
    "Ended WebSockets by route and outcome: closed, lost (the connection ended without a word), failed.",
    ("route", "outcome"),
)
OPEN_SOCKETS = Gauge("voice_stack_websockets_open", "Open WebSockets.", registry=REGISTRY)
SOCKET_DURATION = _histogram(
    "voice_stack_websocket_duration_seconds",
    "From the upgrade of a WebSocket to its end.",
    ("route",),
    buckets=REQUEST_BUCKETS,
)
ERRORS = _counter(
    "voice_stack_errors",
    "Errors that clients were told, by OpenAI's type and by code; without a code, http_ and the status.",
    ("type", "code"),
)
FALLBACKS = _counter(
    "voice_stack_fallbacks",
    "Answers in the second-best way, as `x-fallback` and `x-fallback-model` tell clients: vad, language, model.",
    ("kind",),
)

JOBS = _counter("voice_stack_jobs", "Ended jobs: done, failed or cancelled.", (*ENGINE, "outcome"))
QUEUE_WAIT = _histogram(
    "voice_stack_queue_wait_seconds",
    "From a job's request for an engine to its first unit at work.",
    ENGINE,
    buckets=WAIT_BUCKETS,
)
REAL_TIME_FACTOR = _histogram(
    "voice_stack_real_time_factor_ratio",
    "Seconds of work for a second of audio, by job; below 1 is faster than real time.",
    ENGINE,
    buckets=RATIO_BUCKETS,
)
RUN = _counter("voice_stack_run_seconds", "Seconds that ended jobs were at work in the engine.", ENGINE)
CANCELLED_RUN = _counter(
    "voice_stack_cancelled_run_seconds",
    "Seconds that jobs were at work in the engine before they were cancelled: work for nobody.",
    ENGINE,
)
AUDIO_IN = _counter("voice_stack_audio_input_seconds", "Length of audio heard.", ENGINE)
AUDIO_OUT = _counter("voice_stack_audio_output_seconds", "Length of audio spoken.", ENGINE)
CHARACTERS_IN = _counter("voice_stack_input_characters", "Characters of text spoken.", ENGINE)
BATCH = _histogram(
    "voice_stack_batch_units", "Units that went through the model together.", ENGINE, buckets=BATCH_BUCKETS
)

LOADS = _counter("voice_stack_model_loads", "Loads of a model: loaded or failed.", (*ENGINE, "outcome"))
LOAD = _histogram(
    "voice_stack_model_load_seconds",
    "From the start of the load in its process until the model is ready.",
    ENGINE,
    buckets=LOAD_BUCKETS,
)
EVICTIONS = _counter(
    "voice_stack_evictions",
    "Engines that gave their memory back: idle, room (for another model), request (unloaded by somebody).",
    (*ENGINE, "reason"),
)
CRASHES = _counter("voice_stack_engine_crashes", "Engine processes that died.", ENGINE)
CACHE = _counter(
    "voice_stack_cache_requests",
    "What a cache had for a request: hit, miss, or joined to equal work under way.",
    ("cache", "outcome"),
)
OBJECTS = _counter(
    "voice_stack_object_store_requests",
    "What was asked of an object store that replicas share. Speech: hit, miss, failed, skipped (it was away just now), "
    "damaged, stored, there (already), not_stored, dropped (not sent). Voices: pulled, stored, failed.",
    ("use", "outcome"),
)
SHARED = _counter(
    "voice_stack_shared_requests",
    "What became of questions for what replicas share, by kind of entry: hit, miss, kept, refused (a limit is reached, "
    "or it is too large), damaged, away.",
    ("kind", "outcome"),
)
SHARED_UP = Gauge(
    "voice_stack_shared_up",
    "Whether what replicas share can be reached: 1 or 0; 0 without `SHARED_URL`.",
    registry=REGISTRY,
)
CHAT_STAGE = _histogram(
    "voice_stack_chat_stage_seconds",
    "Of a conversation's turn: stt, the time for the transcript; first_token, first_text, first_sentence, first_audio, "
    "llm_done and done, from the request for a reply until then.",
    ("stage",),
    buckets=WAIT_BUCKETS,
)
OPEN_TURNS = Gauge("voice_stack_chat_turns_open", "Replies that are being written or spoken.", registry=REGISTRY)
LOOP_LAG = _histogram(
    "voice_stack_event_loop_lag_seconds", "How late the event loop wakes a timer.", buckets=LAG_BUCKETS
)


def show_zeros(labels: tuple[str, str]) -> None:
    """Begin an engine's counters at 0: the first crash is an increase only where there was a number before."""
    CRASHES.labels(*labels)
    CANCELLED_RUN.labels(*labels)
    for outcome in ("done", "failed", "cancelled"):
        JOBS.labels(*labels, outcome)
    for outcome in ("loaded", "failed"):
        LOADS.labels(*labels, outcome)
    for reason in ("idle", "room", "memory", "request"):
        EVICTIONS.labels(*labels, reason)


def observe_chat_stages(timings: Mapping[str, float]) -> None:
    """Note how long the stages of a turn took, in seconds."""
    for stage, duration_s in timings.items():
        CHAT_STAGE.labels(stage).observe(duration_s)


def count_error(error: VoiceStackError) -> None:
    """Count an error that a client is told within an answer that had begun well."""
    ERRORS.labels(error.type, error.code or f"http_{error.status}").inc()


CLIENT_CLOSED_REQUEST = 499
"""The status that nginx made customary for a request whose client left before an answer; it is never sent."""
OTHER = "other"
UNMATCHED = "unmatched"
"""Route of a request that no route took: unknown paths, and what was refused on the way."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CONVERTER = re.compile(r":\w+}")
_CODE = re.compile(r"[a-z0-9_]{1,60}")


def label_model(model: str, listed: Collection[str], chosen: Collection[str]) -> str:
    """The label of a model: its name if the catalogue lists it or the operator chose it, else `other`.

    Args:
        model: Name or path.
        listed: Names of the catalogue.
        chosen: Names and paths in the settings; of a path only the last part is shown.
    """
    if model in listed:
        return model
    return PurePath(model).name or OTHER if model in chosen else OTHER


def label_method(method: str) -> str:
    """The method of a request; `other` for one that HTTP does not name."""
    return method if method in _METHODS else OTHER


def label_status(status: int) -> str:
    """The class of a status, as `2xx`; a client that left before it is told apart."""
    return str(status) if status == 499 else f"{status // 100}xx"


def label_code(code: object, status: int) -> str:
    """The code of an error; for one without, its status as `http_404`."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"http_{status}"


def label_route(scope: Scope) -> str:
    """The template of the route that took a request, as `/v1/models/{name}`; never the path itself."""
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return UNMATCHED
    prefix = _find_prefix(scope, template, scope.get("path_params", {}))
    return prefix + _CONVERTER.sub("}", template)


def _find_prefix(scope: Scope, template: str, parameters: Mapping[str, object]) -> str:
    """What stands before the route's own path: the prefixes under which its routers are included."""
    own = _CONVERTER.sub("}", template)
    for name, value in parameters.items():
        own = own.replace(f"{{{name}}}", str(value))
    path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
    return path[: -len(own)] if own and path.endswith(own) else ""


_engine_labels: dict[str, tuple[str, str]] = {}


def note_engine(name: str, labels: tuple[str, str]) -> None:
    """From now on the engine with this name, as people read it, has these labels: engine and model."""
    _engine_labels[name] = labels


def find_engine_labels(name: str) -> tuple[str, str]:
    """The labels of an engine that was noted before."""
    return _engine_labels.get(name, (OTHER, OTHER))


def count_request(
    scope: Scope, status: int, duration_s: float, first_byte_s: float | None, *, is_complete: bool
) -> None:
    """Count and time a request that is over; the times count from its head, and no body has no first byte."""
    route, method, state = label_route(scope), label_method(scope["method"]), scope.get("state", {})
    trace_id = state.get("log_fields", {}).get("trace_id")
    exemplar = {"trace_id": trace_id} if trace_id else None
    REQUESTS.labels(method, route, label_status(status)).inc(exemplar=exemplar)
    DURATION.labels(method, route).observe(duration_s, exemplar)
    if first_byte_s is not None:
        FIRST_BYTE.labels(route).observe(first_byte_s)
    # Whichever layer refused has noted what it told.
    error_type, code = state.get("error", (None, None))
    if error_type and status >= 400:
        ERRORS.labels(error_type, label_code(code, status)).inc()
    if not is_complete:
        ABORTED.labels(route).inc()


def count_socket(scope: Scope, code: int | None, duration_s: float, status: int | None) -> None:
    """Count and time a WebSocket that is over, by its close code; `status` is that of the error it failed by."""
    route = label_route(scope)
    outcome = {1000: "closed", 1001: "closed", 1005: "closed", 1006: "lost"}.get(code or 1006, "failed")
    SOCKETS.labels(route, outcome).inc()
    SOCKET_DURATION.labels(route).observe(duration_s)
    error_type, error_code = scope.get("state", {}).get("error", (None, None))
    if error_type and status and outcome == "failed":
        ERRORS.labels(error_type, label_code(error_code, status)).inc()


def count_fallbacks(headers: Headers) -> None:
    """Count the second-best ways that the headers of an answer tell of."""
    kinds = headers.get("x-fallback", "").split(", ") + ["model"] * ("x-fallback-model" in headers)
    for kind in filter(None, kinds):
        FALLBACKS.labels(kind).inc()


Attributes = Mapping[str, str | int | float | bool]
"""What is told of a span."""

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
