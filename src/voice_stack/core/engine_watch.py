"""Finds engine processes that hang: stopped ones, and calls into native code that never return."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from voice_stack.core.jobs import Beat

LOOK_S = 1.0
BLIND_S = 5.0
"""After so long without a look the API process itself did not run: what the engine did meanwhile is not known."""
MIN_START_S = 60.0
"""A process that is just starting imports libraries before it can give a sign of life."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine process may take, in seconds; 0: for ever.

    Attributes:
        unit_s: For one unit of work without a result, or to load the model without a sign of life. Units that run side
            by side share the machine: they get as many times as long.
        silence_s: Without a sign of life.
    """

    unit_s: float = 300.0
    silence_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Stuck:
    """What hangs: the reason in words, and the jobs it hangs on; none where that is not known."""

    reason: str
    suspects: frozenset[str] = frozenset()


class LivingProcess(Protocol):
    """What the watch looks at.

    Attributes:
        last_sign_at: When it was last heard of, on the monotonic clock.
        last_beat: Its last sign of life; None before the first.
    """

    last_sign_at: float
    last_beat: Beat | None


class EngineWatch:
    """Looks at one process once a second, from its start to `end`; lives on the event loop.

    Args:
        process: The engine process.
        patience: How long it may take.
        is_loading: Whether its model is still being loaded.
        on_stuck: Called once, when it hangs.
    """

    def __init__(
        self,
        process: LivingProcess,
        patience: Patience,
        is_loading: Callable[[], bool],
        on_stuck: Callable[[Stuck], None],
    ) -> None:
        self._process, self._patience = process, patience
        self._is_loading, self._on_stuck = is_loading, on_stuck
        self._seen_from = self._looked_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at > BLIND_S:
            self._seen_from = now
        self._looked_at = now
        stuck = self._find_silence(now) or self._find_long_work(now)
        if stuck:
            self._on_stuck(stuck)
        else:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _find_silence(self, now: float) -> Stuck | None:
        limit_s, process = self._patience.silence_s, self._process
        if not limit_s:
            return None
        if process.last_beat is None or self._is_loading():
            # Loading holds the interpreter for long at times; then no thread gives signs of life.
            limit_s = max(limit_s, self._patience.unit_s, MIN_START_S)
        silent_s = now - max(process.last_sign_at, self._seen_from)
        return Stuck(f"it gave no sign of life for {silent_s:.0f} s") if silent_s > limit_s else None

    def _find_long_work(self, now: float) -> Stuck | None:
        beat = self._process.last_beat
        # What was said before the API process slept may be over by now.
        if beat is None or self._process.last_sign_at < self._seen_from:
            return None
        limit_s = self._patience.unit_s * beat.units
        if not limit_s or beat.work_s <= limit_s:
            return None
        return Stuck(f"it worked for more than {limit_s:g} s without a result", beat.job_ids)
