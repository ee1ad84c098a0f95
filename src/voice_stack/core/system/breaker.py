"""What is asked elsewhere and may be away: after a failure nobody asks for a while, and the log says so once."""

import logging
import threading
import time
from collections.abc import Callable

from voice_stack.core.logging import log_event

PAUSE_S = 30.0
logger = logging.getLogger(__name__)


class Breaker:
    """A failure opens it; after a pause one may try again, and success closes it. Any thread may use it.

    Args:
        what: Is asked, as the log names it: a URL without secrets.
        without: What is done meanwhile: `speech is served, but not shared`.
        clock: Seconds that only go forward.
    """

    def __init__(self, what: str, without: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._without, self._clock = what, without, clock
        self._lock = threading.Lock()
        self._open_until: float | None = None
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why nobody asks now; empty while all is well."""
        return self._reason

    def admits(self) -> bool:
        """Whether to ask now; who is let through after a pause is alone until it has told how that went."""
        with self._lock:
            if self._open_until is None:
                return True
            now = self._clock()
            if now < self._open_until:
                return False
            self._open_until = now + PAUSE_S
            return True

    def note_failure(self, reason: str) -> None:
        """It did not answer, or answered wrongly."""
        with self._lock:
            was_open, self._open_until = self._open_until is not None, self._clock() + PAUSE_S
            self._reason = reason
        if not was_open:
            log_event(logger, logging.WARNING, self._without, of=self._what, reason=reason)

    def note_success(self) -> None:
        """It did what it was asked for."""
        with self._lock:
            was_open, self._open_until, self._reason = self._open_until is not None, None, ""
        if was_open:
            log_event(logger, logging.INFO, "it answers again", of=self._what)
