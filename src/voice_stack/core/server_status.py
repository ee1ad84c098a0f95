"""The body of `GET /v1/status`: what a server is doing, as a schema."""

import time
from collections.abc import Mapping, Sequence

import psutil
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from voice_stack.core.settings.limits import LimitSettings
from voice_stack.core.telemetry.labels import find_engine_labels

_MIB = 1 << 20


class EngineStatus(BaseModel):
    """One engine and its process."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field(description="Engine and model, as `faster-whisper/base`.")
    state: str = Field(description="`stopped`, `starting`, `ready` or `stopping`.")
    pid: int | None = Field(None, description="Id of its process; null while it has none.")
    jobs_running: int = Field(description="Jobs that it works on.")
    jobs_waiting: int = Field(description="Jobs that wait for it.")
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


class ServerStatus(BaseModel):
    """What a server is doing."""

    model_config = ConfigDict(extra="allow")

    version: str = Field(description="Of Voice Stack.")
    server: str = Field(description="`asr` or `tts`.")
    uptime_s: float = Field(description="Seconds since its start.")
    ready: bool = Field(description="Whether it takes work; as `/ready` says.")
    reason: str | None = Field(description="Why not.")
    model: str | None = Field(None, description="The default model.")
    engines: list[EngineStatus] = Field(default_factory=list, description="Every engine that was used.")
    queue: QueueStatus
    memory: MemoryStatus
    limits: dict[str, JsonValue] = Field(description="Settings that bound the work that is taken.")
    cache: CacheStatus | None = Field(None, description="Of speech (TTS), of films (ASR).")
    connections: int | None = Field(description="Open connections of clients; null where not known.")


def read_engines(entries: object) -> list[EngineStatus]:
    """The engines of a server.

    Args:
        entries: Mappings as `EngineHost.status` makes them.
    """
    return [EngineStatus.model_validate(entry) for entry in entries] if isinstance(entries, Sequence) else []


def describe_server(
    identity: Mapping[str, str],
    settings: LimitSettings,
    facts: Mapping[str, object],
    reason: str | None,
    connections: int | None,
    started_at: float,
) -> ServerStatus:
    """Put the status together.

    Args:
        identity: `server` and `version`.
        settings: Those of the server.
        facts: What the server says of itself: `model`, `engines`, `memory`, `cache` and what else it likes.
        reason: Why it cannot work yet; None when it can.
        connections: Open connections, None where not known.
        started_at: By `time.monotonic`.
    """
    engines = read_engines(facts.get("engines", ()))
    known_waits = [engine.queue_s for engine in engines if engine.queue_s is not None]
    queue = QueueStatus(
        jobs_running=sum(engine.jobs_running for engine in engines),
        jobs_waiting=sum(engine.jobs_waiting for engine in engines),
        seconds=max(known_waits, default=None),
    )
    models = facts.get("memory")
    memory = {**(models if isinstance(models, Mapping) else {}), "server_mb": _resident_mb()}
    bounds = {name for name in type(settings).model_fields if name.startswith("max_")}
    limits = settings.model_dump(mode="json", include=bounds | set(LimitSettings.model_fields))
    known: dict[str, object] = {
        **identity,
        "uptime_s": round(time.monotonic() - started_at, 1),
        "ready": reason is None,
        "reason": reason,
        "queue": queue,
        "memory": memory,
        "limits": limits,
        "connections": connections,
    }
    return ServerStatus.model_validate({**facts, **known, "engines": [engine.model_dump() for engine in engines]})


def _resident_mb() -> float:
    return round(float(psutil.Process().memory_info().rss) / _MIB, 1)
