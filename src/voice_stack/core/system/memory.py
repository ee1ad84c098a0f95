"""Memory: how much a process may use and holds, giving it back, not searching it for garbage over and over."""

import ctypes
import gc
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from logging import DEBUG, getLogger
from pathlib import Path

import psutil

from voice_stack.core.logging import log_event

MEMORY_LIMIT_FILE = Path("/sys/fs/cgroup/memory.max")
"""Where a container on Linux (cgroup v2) reads its limit in bytes, or `max`."""

_M_ARENA_MAX = -8  # of glibc's malloc.h


def memory_limit_bytes(limit_file: Path = MEMORY_LIMIT_FILE) -> int:
    """Memory that this process and its children may use at most, swap not counted.

    Args:
        limit_file: File with the container's limit; none there means no limit.
    """
    total = int(psutil.virtual_memory().total)
    try:
        limit = limit_file.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # another system, or a sandbox that hides it
        return total
    return total if limit == "max" else min(total, int(limit))


def free_memory_bytes() -> int:
    """Memory of the machine that programs could have now without swapping."""
    return int(psutil.virtual_memory().available)


def use_one_heap() -> None:
    """Let all threads to come allocate from one heap: else each keeps what its largest batch needed.

    Models and encoders allocate few and large blocks, so that the threads hardly wait for one another. Only glibc keeps
    a heap for each thread; elsewhere nothing is done.
    """
    libc = _glibc()
    if libc:
        libc.mallopt(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return what is allocated no more to the system, where the C library keeps it otherwise (glibc)."""
    libc = _glibc()
    if libc:
        libc.malloc_trim(0)


def pause_collections() -> None:
    """Look for no cycles until `freeze_living_objects`: what a start makes stays, and no look would find garbage."""
    gc.disable()


def freeze_living_objects() -> None:
    """Free the cycles there are, and let no collection look at what lives now: it lives until the process ends.

    A hundred thousand objects of a started server take a collection 60 ms, in which the process does nothing else.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None


logger = getLogger(__name__)

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory in MiB; as a budget, 0 means no limit."""

    memory_mb: float = 0.0
    gpu_memory_mb: float = 0.0

    def __add__(self, other: "Footprint") -> "Footprint":
        return Footprint(self.memory_mb + other.memory_mb, self.gpu_memory_mb + other.gpu_memory_mb)

    def exceeds(self, budget: "Footprint") -> bool:
        """Whether either kind of memory is more than the budget allows."""
        return bool(
            (budget.memory_mb and self.memory_mb > budget.memory_mb)
            or (budget.gpu_memory_mb and self.gpu_memory_mb > budget.gpu_memory_mb)
        )

    def within(self, budget: "Footprint") -> "Footprint":
        """At most as much as the budget allows."""
        return Footprint(
            min(self.memory_mb, budget.memory_mb or self.memory_mb),
            min(self.gpu_memory_mb, budget.gpu_memory_mb or self.gpu_memory_mb),
        )

    def describe(self) -> str:
        """For people."""
        gpu = f" and {self.gpu_memory_mb:.0f} MB of GPU memory" if self.gpu_memory_mb else ""
        return f"{self.memory_mb:.0f} MB{gpu}"


def add_up(footprints: Iterable[Footprint]) -> Footprint:
    """All of them together."""
    return sum(footprints, Footprint())


class MemoryMeter:
    """Measures processes; its method blocks for some milliseconds.

    Args:
        has_gpu: Whether models may be on a GPU; its memory is read with nvidia-ml-py, where that is installed.
    """

    def __init__(self, *, has_gpu: bool) -> None:
        self._has_gpu = has_gpu and find_spec("pynvml") is not None

    def measure(self, pids: Collection[int]) -> dict[int, Footprint]:
        """The memory of each process that is still there."""
        on_gpus = self._measure_gpus() if self._has_gpu else {}
        resident = {pid: _resident_mb(pid) for pid in pids}
        return {pid: Footprint(mb, on_gpus.get(pid, 0.0)) for pid, mb in resident.items() if mb is not None}

    def _measure_gpus(self) -> Mapping[int, float]:
        """Process id to MiB on all GPUs. In a container the driver knows other ids: then nothing is found."""
        import pynvml

        found: dict[int, float] = {}
        try:
            pynvml.nvmlInit()
            for index in range(pynvml.nvmlDeviceGetCount()):
                device = pynvml.nvmlDeviceGetHandleByIndex(index)
                for process in pynvml.nvmlDeviceGetComputeRunningProcesses(device):
                    found[process.pid] = found.get(process.pid, 0.0) + (process.usedGpuMemory or 0) / _MIB
        except pynvml.NVMLError as error:
            # No driver: it will not come while the server runs.
            self._has_gpu = False
            log_event(logger, DEBUG, "GPU memory is not measured", reason=str(error))
        return found


def _resident_mb(pid: int) -> float | None:
    """Resident memory, shared pages counted in parts where the system tells; None if the process is gone."""
    try:
        process = psutil.Process(pid)
        try:
            # Linux counts a library that several engines have loaded once for all of them (PSS).
            full = process.memory_full_info()
            return float(getattr(full, "pss", full.uss)) / _MIB
        except psutil.AccessDenied:
            return float(process.memory_info().rss) / _MIB
    except psutil.NoSuchProcess:
        return None
