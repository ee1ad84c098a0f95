"""The number of CPUs: never more than the machine gives, less where a container's quota is less."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voice_stack.core.system.cpus import MIN_MEASURED_S, OtherLoad, available_cpus, take_cpus, yield_cpu


@pytest.mark.parametrize(("quota", "cpus"), [("5000 100000", 1), ("100000 100000", 1), ("30000 20000", 2)])
def test_quota_of_a_container_is_rounded_up(tmp_path: Path, quota: str, cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    without_quota = available_cpus(tmp_path / "none")
    assert available_cpus(tmp_path / "cpu.max") == min(cpus, without_quota)


@pytest.mark.parametrize("quota", ["max 100000\n", "100000000 100000\n", None], ids=["max", "1000 CPUs", "no file"])
def test_what_is_no_limit_changes_nothing(tmp_path: Path, quota: str | None) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert available_cpus(tmp_path / "cpu.max") == bound


def test_replicas_divide_the_cpus() -> None:
    """In threads of their own: what a thread keeps to ends with it."""
    allowed = os.sched_getaffinity(0)

    def take(replica: int) -> tuple[int, set[int]]:
        return take_cpus(replica, len(allowed)), os.sched_getaffinity(0)

    shares = []
    for replica in range(len(allowed)):
        with ThreadPoolExecutor(1) as thread:
            shares.append(thread.submit(take, replica).result())
    assert [count for count, _ in shares] == [1] * len(allowed)
    assert set.union(*(cpus for _, cpus in shares)) == allowed
    assert os.sched_getaffinity(0) == allowed


def test_more_replicas_than_cpus_share_them() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(take_cpus, 999, 1000).result() == 1


@pytest.mark.alone
def test_the_load_of_other_processes_is_seen() -> None:
    load = OtherLoad()
    spin = "import time\nprint(flush=True)\nwhile time.monotonic() < {}: pass"
    until_s = time.monotonic() + 5
    with subprocess.Popen([sys.executable, "-c", spin.format(until_s)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        load.busy_cpus()
        time.sleep(MIN_MEASURED_S + 1)
        busy_cpus = load.busy_cpus()
        other.kill()
    assert busy_cpus >= 0.5


@pytest.mark.alone
def test_a_cpu_is_free_as_soon_as_another_process_has_ended() -> None:
    load, cpus = OtherLoad(), os.cpu_count() or 1
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        time.sleep(MIN_MEASURED_S + 1)
        was_free = load.leaves(cpus)
        other.kill()
    assert not was_free
    assert load.leaves(cpus)


@pytest.mark.alone
def test_the_load_of_this_process_is_not_counted() -> None:
    """Spinning here for a while adds one CPU to the machine's load, and none to that of the others."""
    load = OtherLoad()
    started_s, cpu_s = time.monotonic(), time.process_time()
    while time.process_time() - cpu_s < 1:
        pass
    others = (os.cpu_count() or 1) * (time.monotonic() - started_s) - 1
    assert load.busy_cpus() * (time.monotonic() - started_s) <= others + 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_a_thread_gives_way_and_so_do_those_it_starts() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def give_way() -> tuple[int, int]:
        yield_cpu(3)
        with ThreadPoolExecutor(1) as started:
            return niceness(), started.submit(niceness).result()

    before = niceness()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(give_way).result() == (before + 3, before + 3)
    assert niceness() == before
