"""The servers on free ports of this machine, started as a user would and stopped again."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
NAMES = ("asr", "tts", "chat")


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers.

    Attributes:
        urls: Base URL of each server by its name: `asr`, `tts`, `chat`.
        api_processes: The API process of each server.
        start_s: From the start of the command until all answered `/healthz`.
    """

    urls: dict[str, str]
    api_processes: dict[str, psutil.Process]
    start_s: float

    def rss_mb(self, server: str) -> float:
        """Resident memory of a server's API process, in MB (1,000,000 bytes)."""
        return float(self.api_processes[server].memory_info().rss) / 1e6

    def engine_process(self, server: str, model: str) -> psutil.Process:
        """The engine process that has a model loaded."""
        with httpx2.Client(base_url=self.urls[server], trust_env=False) as client:
            engines = client.get("/status").json()["engines"]
        return psutil.Process(next(engine["pid"] for engine in engines if engine["engine"].endswith(f"/{model}")))

    @staticmethod
    def peak_rss(process: psutil.Process) -> int:
        """The most memory a process ever had resident, in bytes."""
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def find_free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def run_servers(**settings: str) -> Iterator[Servers]:
    """Run `voice-stack up`; all servers are gone when the block ends.

    Args:
        **settings: Environment variables, as `ASR_VAD_ENABLED="false"`.

    Raises:
        TimeoutError: A server did not answer in time.
    """
    with (
        # Nothing that was measured yesterday may answer today.
        tempfile.TemporaryDirectory() as cache_dir,
        _run_servers({"TTS_CACHE_DIR": cache_dir, "CHAT_DB": f"{cache_dir}/chat.db", **settings}) as servers,
    ):
        yield servers


@contextmanager
def _run_servers(settings: Mapping[str, str]) -> Iterator[Servers]:
    ports = {server: find_free_port() for server in NAMES}
    variables = {f"{server.upper()}_PORT": str(port) for server, port in ports.items()}
    environment = {**os.environ, **variables, "LOG_LEVEL": "WARNING", "OFFLINE": "true", **settings}
    urls = {server: f"http://127.0.0.1:{port}" for server, port in ports.items()}
    started = time.perf_counter()
    command = [sys.executable, "-m", "voice_stack", "up"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _await_health(list(urls.values()), process)
        start_s = time.perf_counter() - started
        yield Servers(urls, _find_api_processes(process.pid), start_s)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_TIMEOUT_S)


def _await_health(urls: list[str], process: subprocess.Popen[bytes]) -> None:
    deadline = time.perf_counter() + START_TIMEOUT_S
    with httpx2.Client(trust_env=False) as client:
        for url in urls:
            while not _is_healthy(client, url):
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise TimeoutError(f"{url}/healthz does not answer; voice-stack up: exit code {process.poll()}")
                time.sleep(0.01)


def _is_healthy(client: httpx2.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/healthz").status_code == 200
    except httpx2.TransportError:
        return False


def _find_api_processes(parent_id: int) -> dict[str, psutil.Process]:
    children = psutil.Process(parent_id).children()
    return {server: next(c for c in children if server in c.cmdline()) for server in NAMES}
