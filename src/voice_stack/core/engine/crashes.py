"""What deaths and failures of an engine mean: who is suspected, and when the engine is left alone for a while."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from logging import ERROR, getLogger

from voice_stack.core.engine.link import Stuck
from voice_stack.core.errors import EngineError, EngineUnavailableError, ModelLoadError, VoiceStackError
from voice_stack.core.logging import log_event

MAX_CRASHES = 4
WINDOW_S = 120.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0


class Circuit:
    """A circuit breaker: closed, open for a while that doubles each time, then half-open for one job to try.

    Crashes count when they have nothing to do with each other: those of one job, which is tried twice, count once, and
    so does the crash of a batch and the crash of one job out of it. An engine that brings a job to its end is well.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._crashes: list[tuple[float, frozenset[str]]] = []
        self._pauses = 0
        self._open_until: float | None = None
        self._probe: str | None = None

    @property
    def wait_s(self) -> float:
        """Seconds until the next try; 0 where one is allowed."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def admit(self, job_id: str) -> float:
        """Let a job through: 0; or the seconds after which it may come again."""
        if self._open_until is None or self.wait_s:
            return self.wait_s
        if self._probe is not None:
            return FIRST_PAUSE_S
        self._probe = job_id
        return 0.0

    def note_crash(self, suspects: frozenset[str]) -> bool:
        """A process died, or its model did not load; returns whether the circuit opens.

        Args:
            suspects: Jobs that may be why; none: it was no job's fault.
        """
        now = self._clock()
        recent = [(at, jobs) for at, jobs in self._crashes if now - at <= WINDOW_S]
        if not suspects or all(suspects.isdisjoint(jobs) for _, jobs in recent):
            recent.append((now, suspects))
        self._crashes = recent
        if self._open_until is None and len(recent) < MAX_CRASHES:
            return False
        self._open_until = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._pauses)
        self._pauses += 1
        self._probe = None
        return True

    def note_end(self, job_id: str, *, is_done: bool) -> None:
        """A job is over, and the engine lives.

        Args:
            job_id: The job.
            is_done: The engine brought it to its end, with a result or with an error of its own; not so if nobody
                wanted it any more.
        """
        if is_done:
            self._crashes, self._pauses, self._open_until, self._probe = [], 0, None, None
        elif self._probe == job_id:
            self._probe = None


logger = getLogger(__name__)

MAX_LOAD_CRASHES = 2
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Autopsy:
    """What is known of a process that died.

    Attributes:
        how: What happened, in words.
        suspects: Jobs that may be why.
        load_error: Not None where it is no use to load the model once more.
    """

    how: str
    suspects: frozenset[str]
    load_error: ModelLoadError | None


class CrashReview:
    """What became of the processes of one engine, over all their lives.

    Attributes:
        preparing: The job that is being prepared.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self.preparing: str | None = None
        self._circuit = Circuit()
        self._stuck: Stuck | None = None
        self._load_crashes = 0
        self._last_error: VoiceStackError | None = None
        self._failures = Circuit()
        self._last_failure: VoiceStackError | None = None

    @property
    def died_loading(self) -> bool:
        """Whether the last process died while it loaded the model."""
        return self._load_crashes > 0

    @property
    def outage(self) -> EngineUnavailableError | None:
        """Why no job is taken at the moment; None if one is."""
        return self._explain(self._circuit.wait_s, self._last_error)

    def admit(self, job_id: str, *, has_other: bool) -> EngineUnavailableError | None:
        """Take a job, None; or why it is refused.

        Args:
            job_id: The job.
            has_other: Another engine may do it: then it is not tried here where the last jobs failed, one after the
                other, maybe each after a long wait.
        """
        refusal = self._explain(self._circuit.admit(job_id), self._last_error)
        if refusal is None and has_other:
            refusal = self._explain(self._failures.admit(job_id), self._last_failure)
            if refusal is not None:
                self._circuit.note_end(job_id, is_done=False)
        return refusal

    def note_loaded(self) -> None:
        """The model is loaded."""
        self._load_crashes = 0

    def note_load_failure(self, error: VoiceStackError) -> None:
        """The model could not be loaded; the process said so itself."""
        self._last_error = error
        if error.status >= _SERVER_ERROR:
            self._note_crash(frozenset())

    def note_end(self, job_id: str, *, is_done: bool) -> None:
        """A job is over; see `Circuit.note_end`."""
        self._circuit.note_end(job_id, is_done=is_done)
        self._failures.note_end(job_id, is_done=is_done)

    def note_failure(self, job_id: str, error: VoiceStackError) -> None:
        """A job that another engine may do failed here in a way that is not its own fault."""
        if self._failures.wait_s:
            return  # one outage, of which each job at work tells
        self._last_failure = error
        if self._failures.note_crash(frozenset({job_id})):
            what = "engine fails again and again: what a fall-back model can do goes there for a while"
            pause_s = round(self._failures.wait_s, 1)
            log_event(logger, ERROR, what, engine=self._engine, pause_s=pause_s, reason=error.message)

    def note_answer(self, job_id: str) -> None:
        """The engine lives: it said itself that the job failed."""
        self._circuit.note_end(job_id, is_done=True)

    def note_stuck(self, stuck: Stuck) -> None:
        """The process hangs and is about to be killed."""
        log_event(logger, ERROR, "engine process hangs and is killed", engine=self._engine, reason=stuck.reason)
        self._stuck = stuck

    def review(self, exit_code: int | None, running: Collection[str], *, was_loading: bool) -> Autopsy:
        """A process died."""
        stuck, self._stuck = self._stuck, None
        preparing, self.preparing = self.preparing, None
        how = f"was stuck: {stuck.reason}" if stuck else f"died (exit code {exit_code})"
        # What ran is the first suspect; what was only being prepared is one if nothing ran.
        suspects = (stuck.suspects if stuck else None) or frozenset(running or ([preparing] if preparing else ()))
        self._last_error = EngineError(f"its process {how}")
        self._note_crash(frozenset() if was_loading else suspects)
        return Autopsy(how, suspects, self._count_load_crash(how) if was_loading else None)

    def _count_load_crash(self, how: str) -> ModelLoadError | None:
        self._load_crashes += 1
        if self._load_crashes % MAX_LOAD_CRASHES:
            return None
        return ModelLoadError(f"the engine process of {self._engine} {how} while loading the model")

    def _note_crash(self, suspects: frozenset[str]) -> None:
        if self._circuit.note_crash(suspects):
            what = "engine fails again and again: it is left alone for a while"
            log_event(logger, ERROR, what, engine=self._engine, pause_s=round(self._circuit.wait_s, 1))

    def _explain(self, wait_s: float, last: VoiceStackError | None) -> EngineUnavailableError | None:
        if not wait_s:
            return None
        return EngineUnavailableError(
            f"the engine {self._engine} failed again and again; the next try is in {wait_s:.0f} s. "
            f"The last failure: {last}",
            retry_after_s=wait_s,
        )
