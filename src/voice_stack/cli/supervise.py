"""`voice-stack up --prod`: each server is started again when it ends, and the other one goes on meanwhile."""

import logging
import time
from collections.abc import Callable
from typing import NoReturn

from voice_stack.cli.child import Child
from voice_stack.core.logging import log_event

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
CALM_S = 300.0
"""A server that ran so long ended by chance: the delay begins at the first again."""
POLL_S = 0.2
_log = logging.getLogger(__name__)


def restart_delay_s(crashes: int) -> float:
    """Seconds until a server is started again that ended for the n-th time in a row: 1, 2, 4 and so on up to 60."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(crashes - 1, 30))


def describe_end(code: int) -> str:
    """An exit code in words: `exit code 1`, `signal 9`."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class Watch:
    """One server and when it is started again.

    Args:
        server: It runs.
        start: Starts it anew.
    """

    def __init__(self, server: Child, start: Callable[[Child], Child]) -> None:
        self.server = server
        self._start = start
        self._started_s = time.monotonic()
        self._crashes = 0
        self._restart_s: float | None = None

    def look(self) -> None:
        """Note an end, or start the server again once its delay is over."""
        now_s = time.monotonic()
        if self._restart_s is not None:
            if now_s >= self._restart_s:
                self._restart_s, self._started_s = None, now_s
                self.server = self._start(self.server)
                log_event(_log, logging.INFO, "server starts again", ended=self.server.server)
        elif (code := self.server.process.poll()) is not None:
            self._crashes = 1 if now_s - self._started_s > CALM_S else self._crashes + 1
            delay_s = restart_delay_s(self._crashes)
            self._restart_s = now_s + delay_s
            ended = {"ended": self.server.server, "by": describe_end(code), "restart_in_s": delay_s}
            log_event(_log, logging.ERROR, "server ended", **ended)


def supervise(servers: list[Child], start: Callable[[Child], Child]) -> NoReturn:
    """Keep servers running until this process is told to stop.

    Args:
        servers: They run; a server that was started again takes the place of the one before.
        start: Starts a server that ended anew.
    """
    watches = [Watch(server, start) for server in servers]
    log_event(_log, logging.INFO, "servers are supervised", count=len(watches))
    while True:
        for number, watch in enumerate(watches):
            watch.look()
            servers[number] = watch.server
        time.sleep(POLL_S)
