"""What a server holds: memory, threads, descriptors, processes, files, slots."""

import time
from dataclasses import dataclass
from functools import partial

import psutil

from running_server import RunningServer, wait_until

QUIET_TIMEOUT_S = 60.0
GIVEN_BACK_S = 6.0
"""An engine gives free memory back when it has had nothing to do for a second, the API process every 5 s."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Footprint:
    """A server at one moment; memory in MiB, of the API process alone and of all its descendants; files: uploads."""

    api_mib: float
    engines_mib: float
    descriptors: int
    threads: int
    processes: int
    files: int

    @property
    def memory_mib(self) -> float:
        """Of all processes together."""
        return self.api_mib + self.engines_mib

    def __str__(self) -> str:
        return (
            f"API {self.api_mib:.1f} MiB, engines {self.engines_mib:.1f} MiB, {self.descriptors} descriptors, "
            f"{self.threads} threads, {self.processes} processes, {self.files} files"
        )


def measure(server: RunningServer) -> Footprint:
    """Look at a server."""
    process = psutil.Process(server.process.pid)
    children = process.children(recursive=True)
    everybody = [process, *children]
    return Footprint(
        process.memory_info().rss / _MIB,
        sum(child.memory_info().rss for child in children) / _MIB,
        sum(one.num_fds() for one in everybody),
        sum(one.num_threads() for one in everybody),
        len(everybody),
        len(server.uploads()),
    )


def await_idle(server: RunningServer) -> None:
    """Nothing runs, nothing waits, and no upload is left."""
    wait_until(lambda: server.count_jobs() == (0, 0), QUIET_TIMEOUT_S, "no job is left")
    server.expect_no_uploads()


def await_quiet(*servers: RunningServer) -> None:
    """Nothing is left to do, nobody is connected (not for tests that are themselves), free memory is given back."""
    for server in servers:
        await_idle(server)
        process = psutil.Process(server.process.pid)
        wait_until(partial(_is_alone, process), QUIET_TIMEOUT_S, "all connections are closed")
    time.sleep(GIVEN_BACK_S)


def _is_alone(process: psutil.Process) -> bool:
    """Whether only we are connected; connections that wait for their last packet are none any more."""
    return sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections("tcp")) <= 1
