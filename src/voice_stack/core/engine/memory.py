"""How much memory a server's models may hold together; idle ones go when they hold more."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from logging import INFO, WARNING, getLogger
from pathlib import Path

from voice_stack.core.engine.host import EngineHost
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.errors import InsufficientMemoryError
from voice_stack.core.logging import log_event
from voice_stack.core.models.files import is_filled, model_files
from voice_stack.core.models.sources import pack_size_bytes
from voice_stack.core.models.store import ModelStore
from voice_stack.core.settings import EngineSettings
from voice_stack.core.system.files import write_whole
from voice_stack.core.system.memory import Footprint, MemoryMeter, add_up, free_memory_bytes, memory_limit_bytes

logger = getLogger(__name__)

FIGURES = ".memory.json"
_MIB = 1 << 20
PROCESS_MB = 200.0
"""An engine process with its libraries and the buffers of one job, without its model."""
FILE_FACTOR = 1.2
"""Memory of a model over the size of its files; quantised weights need less, a second copy more."""
SMALL_SHARE = 1 / 4
"""A model that takes no more of the free memory is loaded before somebody asks for it."""
_CHANGE = 0.05


@dataclass(frozen=True, slots=True)
class Need:
    """What a model is expected to hold, and how that is known."""

    footprint: Footprint
    is_measured: bool


class MemoryBudget:
    """The limit, the meter, and the figures of earlier lives; the methods block.

    Args:
        limit: For all models together; 0 is no limit.
        meter: Measures processes.
        figures: File with what models held; None: nothing is remembered.
        size_bytes: Size of a model's files by its name; 0 where it is not known.
        variable: Setting that names the limit, for messages.
    """

    def __init__(
        self,
        limit: Footprint,
        meter: MemoryMeter,
        figures: Path | None = None,
        size_bytes: Callable[[str], int] = lambda _model: 0,
        variable: str = "MEMORY_MB",
    ) -> None:
        self.limit, self.meter = limit, meter
        self._figures, self._size_bytes, self._variable = figures, size_bytes, variable
        self._known = self._read()

    def expect(self, spec: EngineSpec) -> Need:
        """What an engine will hold: as measured earlier, else by the size of its files."""
        if spec.name in self._known:
            return Need(self._known[spec.name], is_measured=True)
        return Need(Footprint(PROCESS_MB + FILE_FACTOR * self._size_bytes(spec.model) / _MIB), is_measured=False)

    def require_fit(self, engine: str, need: Need, held: Mapping[str, Footprint]) -> None:
        """Do nothing if the engine could be loaded with nothing beside it.

        Raises:
            InsufficientMemoryError: It could not; the message names the need, the limit, and what is loaded.
        """
        if not need.footprint.exceeds(self.limit):
            return
        how = "as measured when it was last loaded" if need.is_measured else "by the size of its files"
        loaded = ", ".join(f"{name} {footprint.describe()}" for name, footprint in held.items())
        raise InsufficientMemoryError(
            f"{engine} needs {need.footprint.describe()} ({how}) and all models together may have "
            f"{self.limit.describe()} ({self._variable}); loaded now: {loaded or 'nothing'}"
        )

    def has_room(self, need: Need, held: Iterable[Footprint]) -> bool:
        """Whether an engine fits beside those that are loaded."""
        return not (add_up(held) + need.footprint).exceeds(self.limit)

    def is_small(self, specs: Sequence[EngineSpec]) -> bool:
        """Whether equal engines would together take no more than a quarter of the memory that is free now.

        Not where the size of their files is unknown: they are not on this machine yet.
        """
        need = add_up(self.expect(spec).footprint for spec in specs)
        free_mb = min(free_memory_bytes(), memory_limit_bytes()) / _MIB
        is_here = all(self._size_bytes(spec.model) > 0 for spec in specs)
        return is_here and need.memory_mb <= free_mb * SMALL_SHARE and not need.exceeds(self.limit)

    def remember(self, engine: str, footprint: Footprint) -> None:
        """Keep what an engine holds for its next life; a disk that cannot be written costs only that.

        What fitted once and has grown since is kept as fitting by itself: it must not be refused for ever.
        """
        footprint = footprint.within(self.limit)
        known = self._known.get(engine)
        if known and abs(known.memory_mb - footprint.memory_mb) <= _CHANGE * known.memory_mb:
            return
        self._known[engine] = footprint
        if self._figures is None:
            return
        self._known = {**self._read(), engine: footprint}
        try:
            self._figures.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({name: asdict(kept) for name, kept in self._known.items()}, indent=1)
            write_whole(self._figures, content.encode(), mode=0o644)
        except OSError as error:
            log_event(logger, WARNING, "memory figures are not kept", file=str(self._figures), reason=str(error))

    def _read(self) -> dict[str, Footprint]:
        if self._figures is None:
            return {}
        try:
            content = json.loads(self._figures.read_text("utf-8"))
            return {str(name): Footprint(**kept) for name, kept in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log_event(logger, WARNING, "memory figures are read anew", file=str(self._figures), reason=str(error))
            return {}


def open_budget(settings: EngineSettings, store: ModelStore) -> MemoryBudget:
    """The budget as the settings describe it."""
    return MemoryBudget(
        Footprint(settings.memory_mb, settings.gpu_memory_mb),
        MemoryMeter(has_gpu=settings.device != "cpu"),
        store.model_dir / FIGURES,
        lambda model: model_size_bytes(store, model),
        settings.env_name("memory_mb"),
    )


def model_size_bytes(store: ModelStore, model: str) -> int:
    """Size of a model's files, or of the packages they come from; 0 where nothing is on this machine yet."""
    spec = store.find(model)
    if spec is None:
        return 0
    place = store.path(model)
    if place.is_file():
        return place.stat().st_size
    if is_filled(place):
        return sum(path.stat().st_size for path in model_files(place))
    return pack_size_bytes(spec.pack) if spec.pack is not None else 0


FIRST_LOOK_S = 1.0
LOOK_S = 5.0


class MemoryWatch:
    """Works while engines are loaded; lives on the event loop.

    Args:
        loaded: The engines with a process, the least recently used first.
    """

    def __init__(self, budget: MemoryBudget, loaded: Callable[[], Sequence[EngineHost]]) -> None:
        self.budget = budget
        self._loaded = loaded
        self._task: asyncio.Task[None] | None = None
        self._is_told = False

    def start(self) -> None:
        """Begin to look, if nobody does."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_on())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, float]:
        """What is held and what may be held, in MiB."""
        held, limit = add_up(host.footprint for host in self._loaded()), self.budget.limit
        return {
            "models_mb": round(held.memory_mb, 1),
            "budget_mb": limit.memory_mb,
            "gpu_models_mb": round(held.gpu_memory_mb, 1),
            "gpu_budget_mb": limit.gpu_memory_mb,
        }

    async def _look_on(self) -> None:
        await asyncio.sleep(FIRST_LOOK_S)
        while self._loaded():
            await self._measure()
            await self._shrink()
            await asyncio.sleep(LOOK_S)

    async def _measure(self) -> None:
        hosts = {host.pid: host for host in self._loaded() if host.pid is not None}
        footprints = await asyncio.to_thread(self.budget.meter.measure, list(hosts))
        for pid, footprint in footprints.items():
            host = hosts[pid]
            if host.pid == pid:
                host.note_memory(footprint)
            # What work takes for a moment is no measure of what the model needs.
            if host.is_idle:
                await asyncio.to_thread(self.budget.remember, host.spec.name, footprint)

    async def _shrink(self) -> None:
        while add_up(host.footprint for host in self._loaded()).exceeds(self.budget.limit):
            idle = next((host for host in self._loaded() if host.is_idle), None)
            held = add_up(host.footprint for host in self._loaded()).describe()
            if idle is None:
                if not self._is_told:
                    self._is_told = True
                    log_event(logger, WARNING, "models hold more memory than they may, and none is idle", held=held)
                return
            log_event(logger, INFO, "idle engine goes: models hold too much memory", engine=idle.spec.name, held=held)
            await idle.stop("memory")
        self._is_told = False
