"""A network of machines on this one: a namespace for each, with an address of its own, on one bridge.

The process of the tests leaves the machine's network for an empty one of its own first, so that the addresses are those
of the files in deploy/ and nobody else's are touched. It is `HOME` there.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from running_server import wait_until

CLONE_NEWNET = 0x4000_0000
BRIDGE = "lan"
HOME = "10.0.0.1"
NEEDED = (
    "tests/scale makes network namespaces, which needs Linux, root (CAP_SYS_ADMIN and CAP_NET_ADMIN; a container: "
    "`--privileged`) and `ip` (Debian: iproute2)"
)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}. {NEEDED}."


def _list(*words: str) -> list[str]:
    return subprocess.run(["ip", "netns", *words], capture_output=True, text=True, check=True).stdout.splitlines()


def _kill_all(namespace: str) -> None:
    for pid in _list("pids", namespace):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: not _list("pids", namespace), 30, f"end of all that runs in {namespace}")


def _remove_namespaces() -> None:
    """Those of this process, and of others that were killed before they could."""
    for line in _list("list"):
        named = re.match(r"voice-(\d+)-\S+", line)
        if named and (int(named[1]) == os.getpid() or not psutil.pid_exists(int(named[1]))):
            _kill_all(named[0])
            _ip("netns", "delete", named[0])


class Machine:
    """One machine: what is started on it sees only its own addresses and the bridge."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.namespace = f"voice-{os.getpid()}-{name}"
        self._link = f"v-{name}"
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        _ip("link", "set", self._link, "master", BRIDGE, "up")
        _ip("-n", self.namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self.namespace, "link", "set", device, "up")

    def command(self, *words: str) -> list[str]:
        """The command line that runs a command there; the process is the command's own."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def unplug(self) -> None:
        """Nothing goes in or out, and nobody is told."""
        _ip("link", "set", self._link, "down")

    def plug_in(self) -> None:
        """As before."""
        _ip("link", "set", self._link, "up")

    def kill(self) -> None:
        """End all that runs there, engine processes too, without a word."""
        _kill_all(self.namespace)


class Lan:
    """The bridge and the machines on it."""

    def add(self, name: str, address: str) -> Machine:
        """One more machine."""
        return Machine(name, address)

    def add_home_addresses(self, count: int) -> list[str]:
        """So many addresses more of this end, for clients of their own."""
        addresses = [f"10.0.0.{100 + number}" for number in range(count)]
        for address in addresses:
            _ip("address", "add", f"{address}/24", "dev", BRIDGE)
        return addresses


@contextmanager
def run_lan() -> Iterator[Lan]:
    """Leave the machine's network while the context lasts; a machine of its own that lacks what is needed fails."""
    if not hasattr(os, "fork") or shutil.which("ip") is None:
        pytest.fail(f"There is no `ip`. {NEEDED}.", pytrace=False)
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if libc.unshare(CLONE_NEWNET):
            pytest.fail(f"unshare: {os.strerror(ctypes.get_errno())}. {NEEDED}.", pytrace=False)
        _remove_namespaces()
        try:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", BRIDGE, "type", "bridge")
            _ip("address", "add", f"{HOME}/24", "dev", BRIDGE)
            _ip("link", "set", BRIDGE, "up")
            yield Lan()
        finally:
            _remove_namespaces()
            libc.setns(before.fileno(), CLONE_NEWNET)


def now_s() -> float:
    """The clock of all that is measured here."""
    return time.monotonic()
