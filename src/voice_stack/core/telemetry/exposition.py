"""The body of `GET /metrics`: the registry, and the engines as they are at this moment."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from voice_stack.core.server_status import EngineStatus
from voice_stack.core.telemetry.registry import ENGINE, REGISTRY

BYTES_PER_MB = 1 << 20


def render_metrics(
    accept: str, engines: Sequence[EngineStatus], connections: int | None, *, is_ready: bool
) -> tuple[bytes, str]:
    """The metrics in the form that a scraper accepts; takes milliseconds, so not on the event loop.

    Args:
        accept: The request's `Accept`: Prometheus's text, or OpenMetrics, which carries exemplars.
        engines: As they are now.
        connections: Open connections of clients, None where not known.
        is_ready: Whether the server takes work, as `/ready` says.

    Returns:
        The body and its media type.
    """
    encode, media_type = choose_encoder(accept)
    whole = CollectorRegistry()
    whole.register(_Present(engines, connections, is_ready=is_ready))
    whole.register(_Counted())
    return encode(whole), media_type


class _Counted(Collector):
    """Everything that is counted as it happens."""

    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()


class _Present(Collector):
    """What is asked for when somebody looks."""

    def __init__(self, engines: Sequence[EngineStatus], connections: int | None, *, is_ready: bool) -> None:
        self._engines, self._connections, self._is_ready = engines, connections, is_ready

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("voice_stack_ready", "Whether the server takes work: 1 or 0.", value=self._is_ready)
        if self._connections is not None:
            yield GaugeMetricFamily(
                "voice_stack_open_connections", "Open connections of clients.", value=self._connections
            )
        memory = self._bytes(engine.memory_mb for engine in self._engines)
        yield self._gauge("voice_stack_engine_memory_bytes", "Memory of engine processes.", memory)
        gpu_memory = self._bytes(engine.gpu_memory_mb for engine in self._engines)
        yield self._gauge("voice_stack_engine_gpu_memory_bytes", "Their memory on GPUs.", gpu_memory)
        yield self._gauge(
            "voice_stack_queue_seconds", "How long a new job would wait, at the measured speed.", self._queue()
        )
        yield _family("voice_stack_engine_jobs", "Jobs by what they do.", (*ENGINE, "state"), self._jobs())
        yield _family("voice_stack_engine_processes", "Engines by state.", (*ENGINE, "state"), self._states())

    @staticmethod
    def _gauge(name: str, text: str, samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
        return _family(name, text, ENGINE, samples)

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
