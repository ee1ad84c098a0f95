"""The way of one request through the source files, as a table: `make walk`.

A server runs with a profiler in its own process and in its engine processes; what is called between two signals is
counted, without what runs anyway. The first request loads the model, the second one is followed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SOURCE = str(Path(__file__).parents[1] / "src" / "voice_stack")
_FOLDER = "VOICE_STACK_WALK"
SETTLE_S = 1.0
IDLE_S = 11.0
"""As long as what runs every five seconds needs to be seen, also on a machine that has much else to do."""


@dataclass(frozen=True)
class Stop:
    """A file on the way: the functions called in it, and how often; `process` is `API` or `engine`."""

    process: str
    file: str
    functions: int
    calls: int


def follow() -> None:
    """Count calls into our files in this process.

    SIGUSR1 begins anew, and from the second time on without what ran since the last; SIGUSR2 writes the counts down.
    """
    calls: Counter[tuple[str, str]] = Counter()
    idle: set[tuple[str, str]] = set()
    is_settled = False

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SOURCE) and frame.f_code.co_name != "<module>":
            calls[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    def begin(*_: object) -> None:
        nonlocal is_settled
        if is_settled:
            idle.update(calls)
        is_settled = True
        calls.clear()

    def write(*_: object) -> None:
        name = "API" if __name__ == "__main__" else "engine"
        found = [
            [file[len(SOURCE) + 1 :], function, count]
            for (file, function), count in calls.items()
            if (file, function) not in idle
        ]
        Path(os.environ[_FOLDER], f"{name}-{os.getpid()}").write_text(json.dumps(found))

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, write)
    threading.setprofile(note)
    sys.setprofile(note)


def walk(kind: str, port: int, environment: dict[str, str], send: Callable[[str], None]) -> list[Stop]:
    """Follow a request.

    Args:
        kind: `asr` or `tts`.
        port: A free one.
        environment: For the server.
        send: Sends the request to a base URL and waits for the whole answer; called twice.

    Returns:
        The files in the order of the way, first those of the API process.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, kind, "--port", str(port)]
        server = subprocess.Popen(command, env={**os.environ, **environment, _FOLDER: folder})
        try:
            _await(lambda: _is_up(port))
            url = f"http://127.0.0.1:{port}"
            send(url)
            pids = [server.pid, *_children(server.pid)]
            time.sleep(SETTLE_S)
            _signal(pids, signal.SIGUSR1)
            time.sleep(IDLE_S)
            _signal(pids, signal.SIGUSR1)
            send(url)
            _signal(pids, signal.SIGUSR2)
            _await(lambda: len(list(Path(folder).iterdir())) == len(pids))
            time.sleep(SETTLE_S)
            return [stop for file in sorted(Path(folder).iterdir()) for stop in _read(file)]
        finally:
            server.terminate()
            server.wait(20)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def _read(file: Path) -> list[Stop]:
    process = file.name.partition("-")[0]
    functions: dict[str, int] = {}
    calls: Counter[str] = Counter()
    for name, _, count in json.loads(file.read_text()):
        functions[name] = functions.get(name, 0) + 1
        calls[name] += count
    return [Stop(process, name, number, calls[name]) for name, number in functions.items()]


def show(title: str, stops: list[Stop]) -> str:
    """A table of the way."""
    functions, calls = sum(stop.functions for stop in stops), sum(stop.calls for stop in stops)
    lines = [f"{title}: {len({stop.file for stop in stops})} files, {functions} functions, {calls} calls"]
    lines += [f"  {stop.process:7} {stop.file:45} {stop.functions:4} {stop.calls:6}" for stop in stops]
    return "\n".join(lines)


def _children(pid: int) -> list[int]:
    import psutil

    found = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in found if "spawn_main" in " ".join(child.cmdline())]


def _is_up(port: int) -> bool:
    import httpx2

    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def _await(is_done: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not come up, or does not write down its way")
        time.sleep(0.1)


def main() -> None:
    """Print the ways of a transcription and of a speech."""
    import socket

    from long.test_walk import speak, transcribe
    from piper_speech import speak_wav

    with tempfile.TemporaryDirectory() as models:
        for kind, send in (("asr", transcribe(speak_wav("Good morning, everybody."))), ("tts", speak)):
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
            sys.stdout.write(show(kind, walk(kind, port, {"OFFLINE": "true", "MODEL_DIR": models}, send)) + "\n")


if _FOLDER in os.environ:
    # Run as the server, or imported by an engine process that it has spawned.
    follow()
    if __name__ == "__main__":
        from voice_stack.__main__ import main as serve

        serve()
elif __name__ == "__main__":
    main()
