"""How many CPUs this process may use, which in a container is less than the machine has."""

import math
import os
from pathlib import Path

CPU_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""Where a container on Linux (cgroup v2) reads its CPU time: `QUOTA PERIOD` in microseconds, or `max PERIOD`."""


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
