"""Measures the loaded engines now and then; idle ones go when all together hold more than they may."""

import asyncio
from collections.abc import Callable, Sequence
from logging import INFO, WARNING, getLogger

from voice_stack.core.engine_host import EngineHost
from voice_stack.core.footprint import add_up
from voice_stack.core.logging import log_event
from voice_stack.core.memory_budget import MemoryBudget, Need

logger = getLogger(__name__)

FIRST_LOOK_S = 1.0
LOOK_S = 5.0


class MemoryWatch:
    """Works while engines are loaded; lives on the event loop.

    Args:
        budget: What they may hold.
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

    async def expect(self, engine: str) -> Need:
        """See `MemoryBudget.expect`."""
        return await asyncio.to_thread(self.budget.expect, engine)

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
