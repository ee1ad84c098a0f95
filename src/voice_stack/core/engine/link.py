"""The way to one engine, for one life of it: how it is made, what is said over it, and when it is taken for stuck.

An engine is a process of this machine, or a task in the API process that asks somebody else. Above the link nothing
knows which.
"""

import asyncio
import multiprocessing
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from logging import getLogger
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Literal, TypeVar

from voice_stack.core.jobs import Beat, Command, Event, HostEvent, Stop
from voice_stack.core.settings import Patience

T = TypeVar("T")
logger = getLogger(__name__)

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How an engine is made.

    Attributes:
        engine: Name of the engine.
        model: Name or path of its model.
        factory: `module:function` that builds from `config` the `Workload` of a process, whose module's `stand_by` does
            what can be done without the model; or the `AsyncWorkload` of a task.
        config: The server's own configuration; for a process it must pickle.
        log_level: As in the settings.
        log_format: As in the settings.
        model_label: The model as metrics name it: one of the catalogue, or `other`.
        replica: Which of several equal engines it is, from 0.
        is_beside: It works beside the models that requests name, and takes none of their places.
        link: What it is: a process with a model, or a task in the API process, which asks somebody else and holds no
            memory worth counting.
    """

    engine: str
    model: str
    factory: str
    config: object
    log_level: str = "INFO"
    log_format: str = "text"
    model_label: str = "other"
    replica: int = 0
    is_beside: bool = False
    link: Literal["process", "task"] = "process"

    @property
    def name(self) -> str:
        """For people, logs and as key: `engine/model`, the second replica with `#2` behind it."""
        return f"{self.engine}/{self.model}" + (f"#{self.replica + 1}" if self.replica else "")

    @property
    def labels(self) -> tuple[str, str]:
        """Engine and model as metrics name them."""
        return self.engine, self.model_label

    @property
    def takes_place(self) -> bool:
        """Whether it counts among the models that may be loaded at once."""
        return self.link == "process" and not self.is_beside


class EngineLink(ABC):
    """One life of an engine; all of it is called, and calls back, on the event loop.

    Args:
        on_event: Called for each event.
        on_exit: Called once, with the exit code of a process, when the engine is gone for whatever reason.
    """

    def __init__(self, on_event: Callable[[HostEvent], None], on_exit: Callable[[int | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_event, self._on_exit = on_event, on_exit
        self._exited = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether the engine is not gone yet; one that has not started yet is alive."""
        return not self._exited.is_set()

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Process id; None before the start, and of what is no process."""

    @property
    @abstractmethod
    def last_sign_at(self) -> float:
        """When the engine was last heard of, on the monotonic clock."""

    @property
    @abstractmethod
    def last_beat(self) -> Beat | None:
        """Its last sign of life; None before the first, and where nothing need be said of what it works on."""

    @abstractmethod
    def send(self, command: Command) -> None:
        """Send a command; never blocks, the order is kept, and a dead engine is no error (`on_exit` says it)."""

    @abstractmethod
    def kill(self) -> None:
        """End the engine by force; `on_exit` follows."""

    async def stop(self) -> None:
        """End the engine: politely, after a while by force."""
        self.send(Stop())
        try:
            await asyncio.wait_for(self._exited.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.kill()
            await self._exited.wait()

    def _end(self, exit_code: int | None) -> None:
        if self.is_alive:
            self._exited.set()
            self._on_exit(exit_code)


# Spawned, not forked: the API process has threads, and a model must not inherit its memory.
_spawn = multiprocessing.get_context("spawn")
_WORKER = "voice_stack.core.worker.loop"
"""Where the other end of the pipe is served: this side knows it by name alone."""


class ProcessLink(EngineLink):
    """An operating system process with a model, and the two threads that talk with it through a pipe.

    Args:
        spec: What to start.
        on_event: See `EngineLink`.
        on_exit: See `EngineLink`.
        is_wary: The process before it died while it loaded the model: the files are checked first.
        stands_by: It is a spare one: it loads the model when it gets `Load`.
    """

    def __init__(
        self,
        spec: EngineSpec,
        on_event: Callable[[HostEvent], None],
        on_exit: Callable[[int | None], None],
        is_wary: bool,
        *,
        stands_by: bool = False,
    ) -> None:
        super().__init__(on_event, on_exit)
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._connection, self._far_end = _spawn.Pipe(duplex=True)
        self._process = _spawn.Process(
            target=_serve,
            args=(self._far_end, spec.factory, spec.config, spec.log_level, spec.log_format, is_wary, stands_by),
            name=f"voice-stack {spec.name}",
            daemon=True,
        )
        self._last_sign_at = time.monotonic()
        self._last_beat: Beat | None = None
        # Starting takes some 10 ms of file work: in the thread that then watches the process, not on the event loop.
        threading.Thread(target=self._live, name=f"watch {spec.name}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return self._process.pid

    @property
    def last_sign_at(self) -> float:
        """See `EngineLink`."""
        return self._last_sign_at

    @property
    def last_beat(self) -> Beat | None:
        """See `EngineLink`."""
        return self._last_beat

    def send(self, command: Command) -> None:
        """See `EngineLink`."""
        self._commands.put(command)

    def kill(self) -> None:
        """See `EngineLink`."""
        if self._process.pid is not None:
            self._process.kill()

    def _live(self) -> None:
        try:
            self._process.start()
        except OSError:
            logger.exception("the engine process does not start")
            self._call(self._end, None)
            return
        self._far_end.close()
        writer = threading.Thread(target=self._write, args=(self._connection,), daemon=True)
        writer.start()
        while True:
            try:
                event: Event = self._connection.recv()
            except (EOFError, OSError):
                break
            self._last_sign_at = time.monotonic()
            if isinstance(event, Beat):
                # Not told to the event loop: it would wake up every second for nothing.
                self._last_beat = event
            else:
                self._call(self._on_event, event)
        # The pipe is closed, so the process is gone or about to be.
        self._process.join(STOP_TIMEOUT_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._commands.put(None)
        writer.join()
        exit_code = self._process.exitcode
        self._connection.close()
        self._call(self._end, exit_code)

    def _write(self, connection: Connection) -> None:
        while (command := self._commands.get()) is not None:
            try:
                connection.send(command)
            except OSError:
                return

    def _call(self, function: Callable[[T], None], argument: T) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            # The event loop is closed: the server has ended, nobody listens.
            self._process.kill()


def _serve(*args: object) -> None:
    import_module(_WORKER).serve_engine(*args)


LOOK_S = 1.0
BLIND_S = 5.0
"""After so long without a look the API process itself did not run: what the engine did meanwhile is not known."""
MIN_START_S = 60.0
"""A process that is just starting imports libraries before it can give a sign of life."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """What hangs: the reason in words, and the jobs it hangs on; none where that is not known."""

    reason: str
    suspects: frozenset[str] = frozenset()


class EngineWatch:
    """Looks at one engine once a second, from its start to `end`; lives on the event loop."""

    def __init__(
        self,
        link: EngineLink,
        patience: Patience,
        is_loading: Callable[[], bool],
        on_stuck: Callable[[Stuck], None],
    ) -> None:
        self._link, self._patience = link, patience
        self._is_loading, self._on_stuck = is_loading, on_stuck
        self._seen_from = self._looked_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at > BLIND_S:
            self._seen_from = now
        self._looked_at = now
        stuck = self._find_silence(now) or self._find_long_work(now)
        if stuck:
            self._on_stuck(stuck)
        else:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _find_silence(self, now: float) -> Stuck | None:
        limit_s, link = self._patience.silence_s, self._link
        if not limit_s:
            return None
        if link.last_beat is None or self._is_loading():
            # Loading holds the interpreter for long at times; then no thread gives signs of life.
            limit_s = max(limit_s, self._patience.unit_s, MIN_START_S)
        silent_s = now - max(link.last_sign_at, self._seen_from)
        return Stuck(f"it gave no sign of life for {silent_s:.0f} s") if silent_s > limit_s else None

    def _find_long_work(self, now: float) -> Stuck | None:
        beat = self._link.last_beat
        # What was said before the API process slept may be over by now.
        if beat is None or self._link.last_sign_at < self._seen_from:
            return None
        limit_s = self._patience.unit_s * beat.units
        if not limit_s or beat.work_s <= limit_s:
            return None
        return Stuck(f"it worked for more than {limit_s:g} s without a result", beat.job_ids)
