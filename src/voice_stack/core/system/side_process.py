"""A process for what an API process must not do, and how a process ends with the one it works for.

It starts with the first call and ends when nobody has called for a while. What a call may take is bounded, in memory
and in time; a process that dies or is too slow costs its caller an error, and the next call gets a new one.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from logging import getLogger
from multiprocessing.connection import Connection
from multiprocessing.process import parent_process
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar, cast

from voice_stack.core.errors import ShuttingDownError, VoiceStackError
from voice_stack.core.logging import configure_logging, describe_logging

_PR_SET_PDEATHSIG = 1  # of Linux's sys/prctl.h

NICENESS = 1
"""Of processes that work for the API process, which must win the processor; beside other programs they must not starve.

At 5 a clip took 24 times as long beside two busy programs of the same session, at 0 seven times; `/health` under 60
requests had its 99th percentile at 14 and at 16 to 26 ms.
"""


def end_with_parent() -> None:
    """Have this process killed when its parent is gone, even if it stands still then; elsewhere than on Linux nothing.

    The signal comes with the end of the thread that started this process, which must live as long as it.
    """
    parent = parent_process()
    if sys.platform != "linux" or parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent.pid:  # it was gone already
        os._exit(0)


_spawn = multiprocessing.get_context("spawn")
logger = getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class GivenUpError(VoiceStackError):
    """The work was given up: it took too long or too much memory, or its process died."""


class _LostError(GivenUpError):
    """The process is gone, or nobody knows what it does."""


@dataclass(frozen=True, slots=True)
class _Call:
    work: Callable[[], object]
    timeout_s: float
    answer: Future[object] = field(default_factory=Future)


class SideProcess:
    """One process at most, which does one call after another. Any thread may call.

    Args:
        purpose: For people who look at the processes.
        idle_s: The process ends when nobody has called for so long; None: with this one.
        max_data_mb: What it may allocate, on Linux; 50 to 100 MB of it are libraries and tables.
    """

    def __init__(self, purpose: str, idle_s: float | None, max_data_mb: int = 512) -> None:
        self._purpose, self._idle_s, self._max_data_mb = purpose, idle_s, max_data_mb
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.RLock()  # a finalizer that submits work may come while its thread holds it
        self._is_served = self._is_closed = False
        self._child: _Child | None = None

    def call(self, work: Callable[P, T], timeout_s: float, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a function of a module called in the process; blocks until it has returned.

        Args:
            work: The function; it, its arguments and its result are pickled.
            timeout_s: Seconds it may take, its process' start included, the calls before it not.
            args: Its arguments.
            kwargs: Its arguments by name.

        Raises:
            GivenUpError: It took too long or too much memory, or failed in a way nobody thought of.
            VoiceStackError: What the function raises; so with `OSError`.
        """
        return cast("T", self.submit(partial(work, *args, **kwargs), timeout_s).result())

    def submit(self, work: Callable[[], object], timeout_s: float) -> Future[object]:
        """As `call`, without waiting."""
        call = _Call(work, timeout_s)
        with self._lock:
            self._calls.put(call)
            if not self._is_served:
                self._is_served = True
                # Linux ends a process with the thread that started it: this one lives as long as the process.
                threading.Thread(target=self._serve, name=self._purpose, daemon=True).start()
        return call.answer

    async def close(self) -> None:
        """End the process for good; a call that is not done is given up."""
        self._is_closed = True
        self._calls.put(None)
        if child := self._child:
            child.process.kill()

    def _serve(self) -> None:
        while (call := self._next_call()) is not None:
            try:
                call.answer.set_result(self._living_child().do(call.work, call.timeout_s))
            except Exception as error:  # noqa: BLE001 - it is the caller's
                if isinstance(error, GivenUpError):
                    logger.warning("%s: given up: %s", self._purpose, error.message)
                if isinstance(error, _LostError):
                    self._end_child()
                call.answer.set_exception(error)
        self._end_child()

    def _next_call(self) -> _Call | None:
        """The next call; None when there is none for long."""
        try:
            call = self._calls.get(timeout=self._idle_s)
        except Empty:
            call = None
        with self._lock:
            while call is None and not self._calls.empty():
                call = self._calls.get()
            self._is_served = call is not None
        return call

    def _living_child(self) -> "_Child":
        if self._is_closed:
            raise ShuttingDownError("the server is stopping")
        if self._child is not None and not self._child.process.is_alive():
            self._end_child()  # between two calls: that is no fault of the next one
        if self._child is None:
            self._child = _Child(self._purpose, self._max_data_mb)
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One life of the process; for one thread, but any may kill the process."""

    def __init__(self, purpose: str, max_data_mb: int) -> None:
        self._connection, far_end = _spawn.Pipe()
        self.process = _spawn.Process(
            target=_work, args=(far_end, max_data_mb, *describe_logging()), name=f"voice-stack {purpose}", daemon=True
        )
        try:
            self.process.start()
        except OSError as error:
            raise _LostError(f"its process does not start: {error.strerror}") from None
        far_end.close()

    def do(self, work: Callable[[], object], timeout_s: float) -> object:
        try:
            self._connection.send(work)
            if not self._connection.poll(timeout_s):
                raise _LostError(f"it takes longer than {timeout_s:g} s")
            result, error = self._connection.recv()
        except (EOFError, OSError):
            raise _LostError("its process died") from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self._connection.close()


def _work(connection: Connection, max_data_mb: int, log_level: str, log_format: str) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    configure_logging(log_level, log_format, "side")
    _bound_itself(max_data_mb)
    while True:
        try:
            work: Callable[[], object] = connection.recv()
        except EOFError:
            return
        connection.send(_try_out(work))


def _bound_itself(max_data_mb: int) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform != "win32":
        os.nice(max(0, NICENESS - os.nice(0)))  # an engine has its niceness already
    if sys.platform == "linux":
        import resource

        bound = max_data_mb << 20
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _try_out(work: Callable[[], object]) -> tuple[object, Exception | None]:
    """The result, or what went wrong."""
    try:
        return work(), None
    except (VoiceStackError, OSError) as error:
        return None, error
    except MemoryError:
        return None, GivenUpError("it needs too much memory")
    except Exception as error:
        logger.exception("work in a side process failed")
        return None, GivenUpError(f"it fails with {type(error).__name__}")
