"""Engines that are tasks in this process: a job is an asynchronous generator function, which the engine runs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.memory import MemoryBudget
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.engine.task import AsyncWorkload
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.jobs import Job
from voice_stack.core.settings import Patience
from voice_stack.core.system.memory import Footprint, MemoryMeter

Script = Callable[[], AsyncGenerator[object, None]]


@dataclass(eq=False)
class Config:
    """How the engine is, and what becomes of it."""

    load_error: Exception | None = None
    lives: list[str] = field(default_factory=list)
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)


class Scripted(AsyncWorkload):
    lanes = 2

    def __init__(self, config: Config) -> None:
        self._config = config

    async def load(self) -> None:
        if self._config.load_error:
            raise self._config.load_error
        self._config.lives.append("loaded")

    def run(self, job: Job) -> AsyncGenerator[object, None]:
        assert callable(job.request)
        steps: AsyncGenerator[object, None] = job.request()
        return steps

    async def close(self) -> None:
        self._config.lives.append("closed")
        self._config.is_closed.set()


def task_spec(name: str = "elsewhere", config: Config | None = None) -> EngineSpec:
    return EngineSpec("scripted", name, f"{__name__}:Scripted", config or Config(), link="task")


@asynccontextmanager
async def open_pool(idle_timeout_s: float = -1.0, memory_mb: float = 0.0) -> AsyncIterator[EnginePool]:
    budget = MemoryBudget(Footprint(memory_mb), MemoryMeter(has_gpu=False))
    pool = EnginePool(1, idle_timeout_s, Patience(0, 0), budget)
    try:
        yield pool
    finally:
        await pool.close()


async def run(
    pool: EnginePool, script: Script, spec: EngineSpec | None = None, substitute: Substitute | None = None
) -> list[object]:
    """All outputs of a job."""
    handle = await pool.submit([spec or task_spec()], script, "req", substitute, work_s=10.0)
    return [output async for output in handle.outputs()]


async def error_of(
    pool: EnginePool, script: Script, spec: EngineSpec | None = None, substitute: Substitute | None = None
) -> VoiceStackError:
    try:
        outputs = await run(pool, script, spec, substitute)
    except VoiceStackError as error:
        return error
    raise AssertionError(f"the job gave {outputs}")
