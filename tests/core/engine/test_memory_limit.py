"""How much memory there is, giving back what is not in use, and what the search for garbage looks at."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from voice_stack.core.system.memory import memory_limit_bytes

TOTAL = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "expected"), [("1000000\n", 1_000_000), ("max\n", TOTAL), (str(TOTAL * 2), TOTAL), (None, TOTAL)]
)
def test_a_container_has_less_than_the_machine(tmp_path: Path, limit: str | None, expected: int) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert memory_limit_bytes(tmp_path / "memory.max") == expected


FRAGMENTS = """
import ctypes, psutil, sys, threading
from voice_stack.core.system.memory import give_memory_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(2000)]
for block in blocks:
    ctypes.memset(ctypes.c_void_p(block), 1, 100_000)
last = libc.malloc(100_000)
for block in blocks:
    libc.free(block)
held = psutil.Process().memory_info().rss
give_memory_back()
print(held - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' C libraries give memory back by themselves")
def test_what_is_free_goes_back_to_the_system() -> None:
    given = subprocess.run([sys.executable, "-c", FRAGMENTS], check=True, capture_output=True, text=True)
    assert int(given.stdout) > 100_000_000


LIVING_AND_GARBAGE = """
import gc, json, weakref
from voice_stack.core.system.memory import freeze_living_objects
class Node:
    pass
def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)
gc.disable()
living = [[number] for number in range(100_000)]
garbage = cycle()
freeze_living_objects()
later = cycle()
searched = len(gc.get_objects())
gc.collect()
print(json.dumps([searched, garbage() is None, later() is None, len(living)]))
"""


def test_a_collection_searches_only_what_came_after_the_start() -> None:
    ended = subprocess.run([sys.executable, "-c", LIVING_AND_GARBAGE], capture_output=True, text=True, check=True)
    searched, is_garbage_freed, is_later_freed, living = json.loads(ended.stdout)
    assert searched < 1000
    assert is_garbage_freed
    assert is_later_freed
    assert living == 100_000
