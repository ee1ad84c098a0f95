"""What operators look at: `/status` for people and scripts, `/metrics` for Prometheus."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import psutil
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from voice_stack.core.settings import LimitSettings, ServerSettings
from voice_stack.core.telemetry.registry import ENGINE, REGISTRY, find_engine_labels

BYTES_PER_MB = 1 << 20


class EngineStatus(BaseModel):
    """One engine and its process."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field(description="Engine and model, as `faster-whisper/base`.")
    state: str = Field(description="`stopped`, `starting`, `ready` or `stopping`.")
    pid: int | None = Field(None, description="Id of its process; null while it has none.")
    jobs_running: int = Field(description="Jobs that it works on.")
    jobs_waiting: int = Field(description="Jobs that wait for it.")
    lanes: int = Field(0, description="Batches that its process runs at once, as it said within the last second.")
    lanes_busy: int = Field(0, description="Those of them that were at work then.")
    busy_s: float = Field(0.0, description="Seconds that lanes were at work since the start, those of each one.")
    queue_s: float | None = Field(None, description="Seconds a new job would wait; null while not known.")
    speed: float | None = Field(
        None, description="Measured seconds of work for a second of audio; null while not known."
    )
    memory_mb: float = Field(0.0, description="Memory of its process in MiB, measured every few seconds.")
    gpu_memory_mb: float = Field(0.0, description="Its memory on the GPU in MiB.")
    error: str | None = Field(None, description="Why its model does not load.")

    @property
    def labels(self) -> tuple[str, str]:
        """Engine and model as its metrics name them."""
        return find_engine_labels(self.engine)


class QueueStatus(BaseModel):
    """All engines together."""

    jobs_running: int = Field(description="Jobs that are worked on.")
    jobs_waiting: int = Field(description="Jobs that wait.")
    seconds: float | None = Field(description="Longest wait of a new job at an engine; null while not known.")


class MemoryStatus(BaseModel):
    """Memory in MiB; budgets are 0 where there is no limit."""

    model_config = ConfigDict(extra="allow")

    server_mb: float = Field(description="Resident memory of the process that answers requests.")
    models_mb: float = Field(0.0, description="Memory of all engine processes.")
    budget_mb: float = Field(0.0, description="What they may have.")
    gpu_models_mb: float = Field(0.0, description="Their memory on the GPU.")
    gpu_budget_mb: float = Field(0.0, description="What they may have there.")


class CacheStatus(BaseModel):
    """What the cache had for requests since the start."""

    model_config = ConfigDict(extra="allow")

    hits: int = Field(description="Requests whose result was there.")
    joined: int = Field(description="Requests that joined equal work under way.")
    misses: int = Field(description="Requests whose result was made.")


class SharedStatus(BaseModel):
    """What it shares with its replicas."""

    state: Literal["off", "ok", "away"] = Field(description="`off` without `SHARED_URL`.")
    url: str | None = Field(description="Where, without user and password.")
    reason: str | None = Field(description="Why it is away.")


class ServerStatus(BaseModel):
    """What a server is doing."""

    model_config = ConfigDict(extra="allow")

    version: str = Field(description="Of Voice Stack.")
    server: str = Field(description="`asr`, `tts` or `chat`.")
    replica: str | None = Field(description="`REPLICA`: its name among several; null if it has none.")
    uptime_s: float = Field(description="Seconds since its start.")
    ready: bool = Field(description="Whether it takes work; as `/ready` says.")
    reason: str | None = Field(description="Why not.")
    model: str | None = Field(None, description="The default model.")
    engines: list[EngineStatus] = Field(default_factory=list, description="Every engine that was used.")
    queue: QueueStatus
    memory: MemoryStatus
    limits: dict[str, JsonValue] = Field(description="Settings that bound the work that is taken.")
    background_jobs: dict[str, int] | None = Field(
        None, description="Background jobs that are not over: `queued`, `running` (ASR)."
    )
    cache: CacheStatus | None = Field(None, description="Of speech (TTS), of films (ASR).")
    shared: SharedStatus = Field(description="What replicas share in Redis or Valkey.")
    connections: int | None = Field(description="Open connections of clients; null where not known.")
    further_ports: list[int] = Field(default_factory=list, description="Ports it listens on besides its own.")


def _read_engines(facts: Mapping[str, object]) -> list[EngineStatus]:
    entries = facts.get("engines")
    return [EngineStatus.model_validate(entry) for entry in entries] if isinstance(entries, Sequence) else []


def _sum_queue(engines: Sequence[EngineStatus]) -> QueueStatus:
    return QueueStatus(
        jobs_running=sum(engine.jobs_running for engine in engines),
        jobs_waiting=sum(engine.jobs_waiting for engine in engines),
        seconds=max((engine.queue_s for engine in engines if engine.queue_s is not None), default=None),
    )


def _read_memory(facts: Mapping[str, object]) -> MemoryStatus:
    models, server = facts.get("memory"), psutil.Process().memory_info()
    known = models if isinstance(models, Mapping) else {}
    return MemoryStatus.model_validate({**known, "server_mb": round(float(server.rss) / BYTES_PER_MB, 1)})


def render_metrics(
    accept: str,
    engines: Sequence[EngineStatus],
    connections: int | None,
    jobs: Mapping[str, int],
    *,
    is_ready: bool,
) -> tuple[bytes, str]:
    """The metrics and their media type, in the form that a scraper accepts; takes milliseconds: not on the event loop.

    That is Prometheus's text, or OpenMetrics, which carries exemplars.
    """
    encode, media_type = choose_encoder(accept)
    whole = CollectorRegistry()
    whole.register(_Whole(engines, connections, jobs, is_ready=is_ready))
    return encode(whole), media_type


class _Whole(Collector):
    """What is asked for when somebody looks, then everything that is counted as it happens."""

    def __init__(
        self, engines: Sequence[EngineStatus], connections: int | None, jobs: Mapping[str, int], *, is_ready: bool
    ) -> None:
        self._engines, self._connections, self._background, self._is_ready = engines, connections, jobs, is_ready

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("voice_stack_ready", "Whether the server takes work: 1 or 0.", value=self._is_ready)
        if self._connections is not None:
            yield GaugeMetricFamily(
                "voice_stack_open_connections", "Open connections of clients.", value=self._connections
            )
        if self._background:
            states: dict[tuple[str, ...], float] = {(state,): count for state, count in self._background.items()}
            yield _family("voice_stack_background_jobs", "Background jobs that are not over.", ("state",), states)
        memory = self._bytes(engine.memory_mb for engine in self._engines)
        yield _family("voice_stack_engine_memory_bytes", "Memory of engine processes.", ENGINE, memory)
        gpu_memory = self._bytes(engine.gpu_memory_mb for engine in self._engines)
        yield _family("voice_stack_engine_gpu_memory_bytes", "Their memory on GPUs.", ENGINE, gpu_memory)
        wait = "How long a new job would wait, at the measured speed."
        yield _family("voice_stack_queue_seconds", wait, ENGINE, self._queue())
        yield _family("voice_stack_engine_jobs", "Jobs by what they do.", (*ENGINE, "state"), self._jobs())
        lanes = "Batches that engine processes can run at once: busy, and free for more."
        yield _family("voice_stack_engine_lanes", lanes, (*ENGINE, "state"), self._lanes())
        busy = CounterMetricFamily("voice_stack_lane_busy_seconds", "Seconds that lanes were at work.", labels=ENGINE)
        for values, busy_s in _add_up((engine.labels, engine.busy_s) for engine in self._engines).items():
            busy.add_metric(values, busy_s)
        yield busy
        yield _family("voice_stack_engine_processes", "Engines by state.", (*ENGINE, "state"), self._states())
        yield from REGISTRY.collect()

    def _bytes(self, mebibytes: Iterable[float]) -> dict[tuple[str, ...], float]:
        # Replicas of one engine are one series.
        labels = (engine.labels for engine in self._engines)
        return _add_up((name, value * BYTES_PER_MB) for name, value in zip(labels, mebibytes, strict=True))

    def _queue(self) -> dict[tuple[str, ...], float]:
        """Of replicas the shortest: a new job goes there."""
        waits: dict[tuple[str, ...], float] = {}
        for engine in self._engines:
            if engine.queue_s is not None:
                waits[engine.labels] = min(engine.queue_s, waits.get(engine.labels, engine.queue_s))
        return waits

    def _jobs(self) -> dict[tuple[str, ...], float]:
        running = (((*engine.labels, "running"), engine.jobs_running) for engine in self._engines)
        waiting = (((*engine.labels, "waiting"), engine.jobs_waiting) for engine in self._engines)
        return _add_up([*running, *waiting])

    def _lanes(self) -> dict[tuple[str, ...], float]:
        busy = (((*engine.labels, "busy"), engine.lanes_busy) for engine in self._engines)
        free = (((*engine.labels, "free"), engine.lanes - engine.lanes_busy) for engine in self._engines)
        return _add_up([*busy, *free])

    def _states(self) -> dict[tuple[str, ...], float]:
        return _add_up(((*engine.labels, engine.state), 1) for engine in self._engines)


def _add_up(pairs: Iterable[tuple[tuple[str, ...], float]]) -> dict[tuple[str, ...], float]:
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for labels, value in pairs:
        sums[labels] += value
    return sums


def _family(name: str, text: str, labels: Sequence[str], samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def observation_routes(
    settings: ServerSettings,
    identity: Mapping[str, str],
    readiness: Callable[[], str | None],
    status: Callable[[], Mapping[str, object]],
) -> APIRouter:
    """The routes, not below the API prefix.

    Args:
        settings: Those of the server.
        identity: `server` and `version`.
        readiness: Why the server cannot work yet; None when it can.
        status: What the server says of itself: `model`, `engines` as `EngineHost.status` makes them, `memory`, `cache`
            and what else it likes.
    """
    router = APIRouter(tags=["server"])
    started_at = time.monotonic()
    most = {name for name in type(settings).model_fields if name.startswith("max_")}

    async def show_status(request: Request) -> ServerStatus:
        """What the server is doing: engines, queue, memory, limits, cache."""
        facts, reason = status(), readiness()
        engines = _read_engines(facts)
        known: dict[str, object] = {
            **identity,
            "replica": settings.replica_name or None,
            "uptime_s": round(time.monotonic() - started_at, 1),
            "ready": reason is None,
            "reason": reason,
            "engines": engines,
            "queue": _sum_queue(engines),
            "memory": _read_memory(facts),
            "limits": settings.model_dump(mode="json", include=most | LimitSettings.model_fields.keys()),
            "connections": _count_connections(request.app),
            "further_ports": settings.further_ports,
        }
        return ServerStatus.model_validate({**facts, **known})

    router.add_api_route("/status", show_status, methods=["GET"])
    if settings.api_v1_str:
        router.add_api_route(f"{settings.api_v1_str}/status", show_status, methods=["GET"], name="status")

    async def show_metrics(request: Request) -> Response:
        """The metrics of this server for Prometheus, as text or as OpenMetrics."""
        # What lives on the event loop is asked here; putting it into text takes milliseconds, so a thread does.
        facts, connections = status(), _count_connections(request.app)
        accept, is_ready = request.headers.get("accept", ""), readiness() is None
        jobs = facts.get("background_jobs")
        counts: Mapping[str, int] = jobs if isinstance(jobs, Mapping) else {}
        body, media_type = await asyncio.to_thread(
            render_metrics, accept, _read_engines(facts), connections, counts, is_ready=is_ready
        )
        return Response(body, headers={"content-type": media_type})

    router.add_api_route("/metrics", show_metrics, methods=["GET"], response_class=Response)
    return router


def _count_connections(app: FastAPI) -> int | None:
    """Open connections of clients; None where the server that runs the application does not tell."""
    count = getattr(app.state, "count_connections", None)
    return int(count()) if callable(count) else None
