"""Memory: how much this process may use, giving it back, and not searching it for garbage over and over."""

import ctypes
import gc
import sys
from functools import cache
from pathlib import Path

import psutil

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


def freeze_living_objects() -> None:
    """Free the cycles there are, and let no collection look at what lives now: it lives until the process ends.

    A hundred thousand objects of a started server take a collection 60 ms, in which the process does nothing else.
    """
    gc.collect()
    gc.freeze()


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None
