"""One life of an engine process: started, spoken with, watched, ended."""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from logging import getLogger
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TypeVar

from voice_stack.core.jobs import Beat, Command, Event, HostEvent, Stop
from voice_stack.core.settings import Patience

# Spawned, not forked: the API process has threads, and a model must not inherit its memory.
_spawn = multiprocessing.get_context("spawn")

logger = getLogger(__name__)

STOP_TIMEOUT_S = 5.0

T = TypeVar("T")

_WORKER = "voice_stack.core.worker.loop"
"""Where the other end of the pipe is served: this side knows it by name alone."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How an engine process is made.

    Attributes:
        engine: Name of the engine.
        model: Name or path of its model.
        factory: `module:function` that builds the `Workload` from `config`; the module's `stand_by` does what can be
            done without the model.
        config: The server's own picklable configuration.
        log_level: As in the settings.
        log_format: As in the settings.
        model_label: The model as metrics name it: one of the catalogue, or `other`.
        replica: Which of several equal engines it is, from 0.
        is_beside: It works beside the models that requests name, and takes none of their places.
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

    @property
    def name(self) -> str:
        """For people, logs and as key: `engine/model`, the second replica with `#2` behind it."""
        return f"{self.engine}/{self.model}" + (f"#{self.replica + 1}" if self.replica else "")

    @property
    def labels(self) -> tuple[str, str]:
        """Engine and model as metrics name them."""
        return self.engine, self.model_label


class EngineProcess:
    """One operating system process and the two threads that talk with it.

    Args:
        spec: What to start.
        on_event: Called on the event loop for each event.
        on_exit: Called on the event loop once, with the exit code, when the process is gone for whatever reason.
        is_wary: The process before it died while it loaded the model: the files are checked first.
        stands_by: It is a spare one: it loads the model when it gets `Load`.

    Attributes:
        last_sign_at: When it was last heard of, on the monotonic clock.
        last_beat: Its last sign of life; None before the first.
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
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._on_exit = on_exit
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._connection, self._far_end = _spawn.Pipe(duplex=True)
        self._process = _spawn.Process(
            target=_serve,
            args=(self._far_end, spec.factory, spec.config, spec.log_level, spec.log_format, is_wary, stands_by),
            name=f"voice-stack {spec.name}",
            daemon=True,
        )
        self.exited = asyncio.Event()
        self.last_sign_at = time.monotonic()
        self.last_beat: Beat | None = None
        # Starting takes some 10 ms of file work: in the thread that then watches the process, not on the event loop.
        threading.Thread(target=self._live, name=f"watch {spec.name}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Send a command; never blocks, the order is kept, and a dead process is no error (`on_exit` says it)."""
        self._commands.put(command)

    def kill(self) -> None:
        """End the process by force; `on_exit` follows."""
        if self._process.pid is not None:
            self._process.kill()

    async def stop(self) -> None:
        """End the process: politely, after a while by force."""
        self.send(Stop())
        try:
            await asyncio.wait_for(self.exited.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self.exited.wait()

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
            self.last_sign_at = time.monotonic()
            if isinstance(event, Beat):
                # Not told to the event loop: it would wake up every second for nothing.
                self.last_beat = event
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

    def _end(self, exit_code: int | None) -> None:
        self.exited.set()
        self._on_exit(exit_code)

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
    """Looks at one process once a second, from its start to `end`; lives on the event loop."""

    def __init__(
        self,
        process: EngineProcess,
        patience: Patience,
        is_loading: Callable[[], bool],
        on_stuck: Callable[[Stuck], None],
    ) -> None:
        self._process, self._patience = process, patience
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
        limit_s, process = self._patience.silence_s, self._process
        if not limit_s:
            return None
        if process.last_beat is None or self._is_loading():
            # Loading holds the interpreter for long at times; then no thread gives signs of life.
            limit_s = max(limit_s, self._patience.unit_s, MIN_START_S)
        silent_s = now - max(process.last_sign_at, self._seen_from)
        return Stuck(f"it gave no sign of life for {silent_s:.0f} s") if silent_s > limit_s else None

    def _find_long_work(self, now: float) -> Stuck | None:
        beat = self._process.last_beat
        # What was said before the API process slept may be over by now.
        if beat is None or self._process.last_sign_at < self._seen_from:
            return None
        limit_s = self._patience.unit_s * beat.units
        if not limit_s or beat.work_s <= limit_s:
            return None
        return Stuck(f"it worked for more than {limit_s:g} s without a result", beat.job_ids)
