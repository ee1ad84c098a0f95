"""All engines of a server: at most so many processes at once; where one cannot work, another model may."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from logging import WARNING, getLogger

from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.host import EngineHost
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.memory import MemoryBudget, MemoryWatch
from voice_stack.core.engine.queue import EngineQueue, EngineWork
from voice_stack.core.errors import (
    EngineUnavailableError,
    InsufficientMemoryError,
    ModelBusyError,
    ModelNotFoundError,
    ShuttingDownError,
    VoiceStackError,
)
from voice_stack.core.jobs import Job
from voice_stack.core.logging import log_event
from voice_stack.core.settings import Patience, Preload

logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Substitute:
    """The engine that does a job where its own cannot, once.

    Attributes:
        replicas: Equal engines with the other model.
        request: The work in the form that fits it.
        for_missing: Also where the model is nowhere to be had: not so for a model that the client has named.
    """

    replicas: Sequence[EngineSpec]
    request: object
    for_missing: bool


class EnginePool:
    """Hands jobs to engines; lives on the event loop.

    Args:
        max_loaded: Engine processes at the same time, those that work beside the models not among them.
        idle_timeout_s: Seconds without a job after which a process ends; 0: at once, negative: never.
        patience: How long a process may take until it is taken for stuck.
        budget: Memory that all processes together may hold.
    """

    def __init__(self, max_loaded: int, idle_timeout_s: float, patience: Patience, budget: MemoryBudget) -> None:
        self._max_loaded = max_loaded
        self._memory = MemoryWatch(budget, self._loaded)
        self._patience = patience
        self._idle_timeout_s = idle_timeout_s
        # Least recently used first: a host moves to the end when it gets a job.
        self._hosts: dict[str, EngineHost] = {}
        self._moves: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()
        self._room = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def submit(
        self,
        replicas: Sequence[EngineSpec],
        request: object,
        request_id: str,
        substitute: Substitute | None = None,
        *,
        work_s: float = 0.0,
        is_fed: bool = False,
    ) -> JobHandle:
        """Give a job to the least busy of equal engines, once that one has or gets a process.

        Args:
            replicas: Engines that can do the job, with the same model; one at least.
            request: The server's own picklable description of the work.
            request_id: For the logs.
            substitute: Does it where these engines cannot work at all.
            work_s: The work as guessed, in seconds of audio.
            is_fed: The input comes over time.

        Raises:
            InsufficientMemoryError: The model does not fit into the memory of the settings.
        """
        job = Job(f"job-{next(self._numbers)}", request, request_id, is_fed=is_fed)
        # Commands go nowhere before an engine has the job.
        handle = JobHandle(job, lambda _command: None, work_s)
        if substitute is not None:
            handle.on_failure = partial(self._substitute, handle, substitute)
        try:
            host = await self._admit_one(replicas)
        except InsufficientMemoryError as error:
            if substitute is None:
                raise
            handle.fail_over(error)
        else:
            host.submit(handle)
        return handle

    def _substitute(self, handle: JobHandle, substitute: Substitute, error: VoiceStackError) -> bool:
        """Let a job go on with its substitute, if this error of its engine is a reason to."""
        if isinstance(error, ModelNotFoundError) and not substitute.for_missing:
            return False
        move = asyncio.get_running_loop().create_task(self._move(handle, substitute, error))
        self._moves.add(move)
        move.add_done_callback(self._moves.discard)
        return True

    async def _move(self, handle: JobHandle, substitute: Substitute, error: VoiceStackError) -> None:
        try:
            host = await self._admit_one(substitute.replicas)
        except VoiceStackError:
            # Why the model that was asked for cannot work says more.
            handle.fail(error)
            return
        except asyncio.CancelledError:
            handle.fail(ShuttingDownError("the server is stopping"))
            raise
        if not handle.is_wanted:
            handle.fail(error)
            return
        fields = {"engine": host.spec.name, "reason": error.message, "job_request": handle.job.request_id}
        log_event(logger, WARNING, "model cannot work: the fall-back model does the job", **fields)
        handle.move(replace(handle.job, request=substitute.request, first_unit=0, attempt=0), host.spec)
        host.submit(handle)

    async def _admit_one(self, replicas: Sequence[EngineSpec]) -> EngineHost:
        return await self._admit(min(replicas, key=self._business))

    def queue(self, replicas: Sequence[EngineSpec] | None) -> EngineQueue:
        """What a new job would find before it.

        Args:
            replicas: Engines that can do the job; None where that is not known: then the engine with the least to do.
        """
        placed = [host.work.queue for host in self._placed()]
        least = min(placed, key=lambda queue: queue.total_s, default=EngineQueue())
        if replicas is None:
            return least
        spec = min(replicas, key=self._business)
        host = self._hosts.get(spec.name)
        queue = self._work(spec).queue
        has_place = not self._needs_place(spec) or (host is not None and host.state != "stopped")
        # An engine makes room when it has nothing left to do.
        return queue if has_place else queue.joined_by(least.lefts_s)

    def live_load(self, replicas: Sequence[EngineSpec], more: int) -> float:
        """What more live jobs would bring the share of the least busy engine's time to that such jobs take."""
        return min(work.live_load + work.load_of(more) for work in map(self._work, replicas))

    def _work(self, spec: EngineSpec) -> EngineWork:
        host = self._hosts.get(spec.name)
        return host.work if host else EngineWork({}, spec)

    def is_held(self, replicas: Sequence[EngineSpec]) -> bool:
        """Whether none of these engines has or gets a process before somebody ends who feeds another one."""
        placed = self._placed()
        is_there = {host.spec.name for host in placed} & {spec.name for spec in replicas}
        return any(map(self._needs_place, replicas)) and not is_there and all(host.is_fed for host in placed)

    def _business(self, spec: EngineSpec) -> float:
        """Jobs of an engine; one that would have to start counts as less busy than any that works."""
        host = self._hosts.get(spec.name)
        return 0.5 if host is None or host.state == "stopped" else float(host.job_count)

    async def preload(self, replicas: Sequence[EngineSpec], wanted: Preload) -> None:
        """Start the engines of the default model and keep them quick to start, if that is wanted."""
        budget = self._memory.budget
        if wanted is True or (wanted == "auto" and await asyncio.to_thread(budget.is_small, replicas)):
            await self.load(replicas)
            for spec in replicas:
                self._hosts[spec.name].keeps_spare = spec.link == "process"

    async def load(self, replicas: Sequence[EngineSpec]) -> None:
        """Start engines without a job; one that has no room says so in its `load_error`."""
        for spec in replicas:
            try:
                (await self._admit(spec)).start()
            except InsufficientMemoryError as error:
                log_event(logger, WARNING, "model is not loaded", engine=spec.name, reason=error.message)
                self._hosts[spec.name].load_error = error

    async def load_now(self, replicas: Sequence[EngineSpec]) -> None:
        """Start engines without a job and wait until their model is there.

        Raises:
            ModelLoadError: It does not load.
            ModelNotFoundError: It is not to be had.
            InsufficientMemoryError: It does not fit into the memory of the settings.
            EngineUnavailableError: It failed again and again, and is left alone for a while.
        """
        await self.load(replicas)
        for host in [self._hosts[spec.name] for spec in replicas]:
            while host.state != "ready":
                if host.load_error is not None:
                    raise host.load_error
                # One that was just ending, or died, needs another process; where one is on its way this does nothing.
                host.start()
                self._change.clear()
                await self._change.wait()

    async def unload(self, replicas: Sequence[EngineSpec]) -> None:
        """Stop engines that nobody works with and give their memory back; harmless where none has a process.

        Raises:
            ModelBusyError: Jobs are waiting or running; nothing is stopped.
        """
        hosts = [host for spec in replicas if (host := self._hosts.get(spec.name))]
        jobs = sum(host.job_count for host in hosts)
        if jobs:
            raise ModelBusyError(f"{hosts[0].spec.name} has {jobs} jobs to do; unload it when they are done")
        await asyncio.gather(*(host.stop("request") for host in hosts))

    def outage(self, replicas: Sequence[EngineSpec]) -> EngineUnavailableError | None:
        """Why none of these engines takes a job, and for how long; None where one does."""
        outages = [host.outage for spec in replicas if (host := self._hosts.get(spec.name))]
        return outages[0] if len(outages) == len(replicas) and all(outages) else None

    def explain_unreadiness(self, spec: EngineSpec, *, is_preloaded: bool, has_substitute: bool = False) -> str | None:
        """Why an engine cannot serve at once.

        None if it can, was stopped for being idle, loads when first used, or if another one does its work meanwhile.
        """
        host = self._hosts.get(spec.name)
        if has_substitute and host is not None and host.load_error:
            return None
        if host is not None and (outage := host.outage):
            return outage.told
        if not is_preloaded:
            return None
        if host is None or host.state == "starting":
            return f"{spec.name} is loading"
        return host.load_error.told if host.load_error else None

    def status(self) -> list[dict[str, object]]:
        """One entry per engine, for `/status`."""
        return [host.status() for host in self._hosts.values()]

    def memory(self) -> dict[str, float]:
        """Memory of all engine processes and what they may have, in MiB, 0 for no limit; for `/status`."""
        return self._memory.status()

    async def give_up_loading(self) -> None:
        """Load no model any further: who waits for one is told that the server stops."""
        await asyncio.gather(*(host.close() for host in self._hosts.values() if host.state == "starting"))

    async def close(self) -> None:
        """Stop all processes; jobs that are left fail with `ShuttingDownError`."""
        await self._memory.close()
        for move in self._moves:
            move.cancel()
        await asyncio.gather(*self._moves, return_exceptions=True)
        await asyncio.gather(*(host.close() for host in self._hosts.values()))

    async def _admit(self, spec: EngineSpec) -> EngineHost:
        host = self._hosts.pop(spec.name, None) or self._make_host(spec)
        self._hosts[spec.name] = host
        if host.state != "stopped" or host.outage or spec.link == "task":
            return host
        # One at a time: two requests for two new models must not both take the last place.
        async with self._room:
            if host.state == "stopped":
                await self._find_room(host)
            return host

    async def _find_room(self, host: EngineHost) -> None:
        """Wait until there is a place and memory for an engine; idle ones give theirs up."""
        need = await asyncio.to_thread(self._memory.budget.expect, host.spec)
        held = {other.spec.name: other.footprint for other in self._loaded()}
        self._memory.budget.require_fit(host.spec.name, need, held)
        while host.state == "stopped" and not (
            not self._needs_place(host.spec)
            and self._memory.budget.has_room(need, (other.footprint for other in self._loaded()))
        ):
            await self._make_room(self._placed() if self._needs_place(host.spec) else self._loaded())
        host.note_memory(need.footprint)
        self._memory.start()

    def _make_host(self, spec: EngineSpec) -> EngineHost:
        return EngineHost(spec, self._idle_timeout_s, self._change.set, self._patience)

    def _loaded(self) -> list[EngineHost]:
        """Engines with a process, the least recently used first."""
        return [host for host in self._hosts.values() if host.state != "stopped" and host.spec.link == "process"]

    def _placed(self) -> list[EngineHost]:
        """Those of them that take a place."""
        return [host for host in self._loaded() if host.spec.takes_place]

    def _needs_place(self, spec: EngineSpec) -> bool:
        """Whether another engine has to go before this one gets a process."""
        return spec.takes_place and len(self._placed()) >= self._max_loaded

    async def _make_room(self, hosts: Sequence[EngineHost]) -> None:
        """Stop one of them that is idle; where none is, wait for a change."""
        self._change.clear()
        idle = next((host for host in hosts if host.is_idle), None)
        if idle is not None:
            logger.info("engine makes room", extra={"fields": {"engine": idle.spec.name}})
            await idle.stop("room")
        else:
            await self._change.wait()
