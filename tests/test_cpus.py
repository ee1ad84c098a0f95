"""The number of CPUs: never more than the machine gives, less where a container's quota is less."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voice_stack.core.cpus import available_cpus, take_cpus


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
