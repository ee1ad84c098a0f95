"""A link to an operating system process: started, spoken with through a pipe, ended."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from importlib import import_module
from logging import getLogger
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TypeVar

from voice_stack.core.engine.link import STOP_TIMEOUT_S, EngineLink, EngineSpec
from voice_stack.core.jobs import Beat, Command, Event, HostEvent

# Spawned, not forked: the API process has threads, and a model must not inherit its memory.
_spawn = multiprocessing.get_context("spawn")

logger = getLogger(__name__)

T = TypeVar("T")

_WORKER = "voice_stack.core.worker.loop"
"""Where the other end of the pipe is served: this side knows it by name alone."""


class ProcessLink(EngineLink):
    """One operating system process and the two threads that talk with it.

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
