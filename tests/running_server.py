"""A server as users run it: a process of its own on a free port, its output in a file."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from openai import AsyncOpenAI, OpenAI

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
REQUEST_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    spool_dir: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def openai(self, api_key: str = "unused") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, timeout=REQUEST_TIMEOUT_S)

    def async_openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=REQUEST_TIMEOUT_S)

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=REQUEST_TIMEOUT_S, trust_env=False)

    def engines(self) -> list[dict[str, object]]:
        """What `/status` says of the engine processes."""
        with self.http() as client:
            engines: list[dict[str, object]] = client.get("/status").json()["engines"]
        return engines

    def engine_pid(self) -> int | None:
        """Process id of the only engine; None while it has no process."""
        engines = self.engines()
        assert len(engines) <= 1, engines
        pid = engines[0]["pid"] if engines else None
        assert pid is None or isinstance(pid, int)
        return pid

    def count_jobs(self) -> tuple[int, int]:
        """Running and waiting jobs of all engines."""
        running = waiting = 0
        for engine in self.engines():
            running += int(str(engine["jobs_running"]))
            waiting += int(str(engine["jobs_waiting"]))
        return running, waiting

    @contextmanager
    def file_limit(self, limit_bytes: int) -> Iterator[None]:
        """The server, and only it, cannot write longer files while the context lasts."""
        process = psutil.Process(self.process.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (limit_bytes, hard))
        try:
            yield
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, (soft, hard))

    def expect_no_uploads(self) -> None:
        """No upload may lie in the spool folder; the file of the last request goes moments after its answer."""
        wait_until(lambda: not self.uploads(), 10, "all uploads are gone")

    def uploads(self) -> list[Path]:
        """The files that lie in the spool folder; the lock of the server's own folder is none."""
        return list_uploads(self.spool_dir)


def list_uploads(spool_dir: Path) -> list[Path]:
    """The files in a spool folder, in whichever server's part of it; locks are none."""
    return [path for path in spool_dir.rglob("*") if path.is_file() and path.name != ".lock"]


def wait_until(is_true: Callable[[], object], timeout_s: float, what: str) -> float:
    """Poll until something holds; returns the seconds it took."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < timeout_s, f"{what}: not within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - started


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _is_healthy(server: RunningServer) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return httpx2.get(f"{server.url}/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def run_server(
    kind: str,
    folder: Path,
    environment: Mapping[str, str],
    flags: tuple[str, ...] = (),
    is_ready: Callable[[], bool] | None = None,
) -> Iterator[RunningServer]:
    """Run `voice-stack asr`, `tts` or `chat` while the context lasts.

    Args:
        kind: `asr`, `tts` or `chat`.
        folder: For the log, and for uploads; also the working folder, so that no `.env` is found.
        environment: Variables on top of those that are no settings of ours.
        flags: More of the command line.
        is_ready: Whether it answers, for one that does not listen on its port.
    """
    port, log, spool_dir = free_port(), folder / f"{kind}.log", folder / "spool"
    spool_dir.mkdir(parents=True)
    ours = ("ASR_", "TTS_", "CHAT_", "VOICE_PORTS", "API_", "LOG_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    folders = {"ASR_JOBS_DIR": str(folder / "jobs"), "TTS_CACHE_DIR": str(folder / "cache")}
    folders |= {"API_KEYS_FILE": str(folder / "keys.json"), "CHAT_DB": str(folder / "chat.db")}
    # Most tests need no model, and those that do wait for it.
    lazy = {"ASR_PRELOAD": "false", "TTS_PRELOAD": "false"}
    command = [sys.executable, "-m", "voice_stack", kind, "--port", str(port), *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, "OFFLINE": "true", "SPOOL_DIR": str(spool_dir), **folders, **lazy, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = RunningServer(port, process, log, spool_dir)
    try:
        wait_until(is_ready or (lambda: _is_healthy(server)), START_TIMEOUT_S, f"start of {kind}")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
