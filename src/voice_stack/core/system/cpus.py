"""How many CPUs this process may use, which in a container is less than the machine has; and who goes first."""

import math
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

CPU_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""Where a container on Linux (cgroup v2) reads its CPU time: `QUOTA PERIOD` in microseconds, or `max PERIOD`."""

CPU_INFO_FILE = Path("/proc/cpuinfo")
"""Where Linux tells of each processor, with a line `flags` or, on Arm, `Features`."""

MIN_MEASURED_S = 0.2
"""The system counts CPU time in steps of 10 ms: a shorter time says little of the load."""
TOLERATED_CPUS = 0.5
"""So much load of others makes no difference."""
LOOKS, LOOK_STEP_S = 3, 0.001


def available_cpus(quota_file: Path = CPU_QUOTA_FILE) -> int:
    """Count the CPUs that this process can keep busy: those it is bound to, and no more than its quota pays for.

    Args:
        quota_file: File with the quota; none there means no limit.

    Returns:
        At least 1; a quota of 1.5 CPUs counts as 2.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(bound, _quota(quota_file) or bound)


def _quota(quota_file: Path) -> int | None:
    try:
        quota_us, _, period_us = quota_file.read_text("ascii").partition(" ")
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # another system, or a sandbox that hides it
        return None
    return None if quota_us == "max" else max(1, math.ceil(int(quota_us) / int(period_us)))


def cpu_features(info_file: Path = CPU_INFO_FILE) -> str:
    """What tells processors apart that run a program in different ways: the instructions they know.

    Args:
        info_file: File with them; none there means that the name of the processor has to do.
    """
    try:
        lines = info_file.read_text("utf-8").splitlines()
    except OSError:  # another system, or a sandbox that hides it
        lines = []
    found = (line for line in lines if line.lower().startswith(("flags", "features")))
    return f"{platform.machine()} {next(found, platform.processor())}"


def take_cpus(replica: int, replicas: int) -> int:
    """Keep the calling thread, and those it starts, to its share of the CPUs; returns how many that are.

    The shares are blocks of neighbours, so that with as many replicas as NUMA nodes each stays in its own node. Where
    the system knows no CPU affinity the number alone is divided.

    Args:
        replica: Which share, from 0.
        replicas: How many shares there are; more than CPUs share some.
    """
    if not hasattr(os, "sched_setaffinity") or replicas == 1:
        return max(1, available_cpus() // replicas)
    cpus = sorted(os.sched_getaffinity(0))
    start, end = replica * len(cpus) // replicas, (replica + 1) * len(cpus) // replicas
    share = cpus[start:end] or [cpus[start]]
    count = max(1, available_cpus() // replicas)
    os.sched_setaffinity(0, share)
    return min(count, len(share))


class OtherLoad:
    """How many of the machine's CPUs other processes keep busy, measured from one question to the next."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._last = self._read()
        self._busy_cpus = 0.0

    def busy_cpus(self) -> float:
        """The mean number of busy CPUs since the question before, or the last answer where that was just now."""
        now = self._read()
        seconds, others = now[0] - self._last[0], now[1] - self._last[1]
        if seconds >= MIN_MEASURED_S:
            self._busy_cpus, self._last = max(0.0, others / seconds), now
        return self._busy_cpus

    def leaves(self, cpus: int) -> bool:
        """Whether so many CPUs are free of other processes at this moment.

        What ran until just now, as a program that hands its work on to this one, says nothing: only where the CPUs have
        been busy is it looked which threads are running, a few times in a row.
        """
        total = os.cpu_count() or 1
        if total - self.busy_cpus() >= cpus - TOLERATED_CPUS:
            return True
        for _ in range(LOOKS):
            if (running := count_running_others()) is None:
                return False
            if total - running >= cpus:
                return True
            time.sleep(LOOK_STEP_S)
        return False

    def _read(self) -> tuple[float, float]:
        """The time, and the CPU time that all other processes have had, in seconds."""
        machine, own = psutil.cpu_times(), self._process.cpu_times()
        busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
        # Linux counts the time of guests as time of users too.
        busy -= getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
        return time.monotonic(), busy - own.user - own.system


def count_running_others() -> int | None:
    """Threads of other processes that run or wait for a CPU right now (proc(5)); None: it is not told."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        running = next(int(line.split()[1]) for line in lines if line.startswith("procs_running"))
        own = 0
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has just ended
                own += (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except (OSError, StopIteration):
        return None
    return max(0, running - own)


def yield_cpu(niceness: int) -> None:
    """Let other threads go before the calling one and those it starts, where the system can tell threads apart.

    Args:
        niceness: Added to the thread's own, 1 to 19: at 5 a thread gets a third of the time of one at 0, at 10 a tenth.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
