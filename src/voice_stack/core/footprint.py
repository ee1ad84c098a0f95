"""How much memory engine processes hold: resident, and on the GPU where there is one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from logging import DEBUG, getLogger

import psutil

from voice_stack.core.logging import log_event

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
