"""What the deaths of an engine's processes mean: who is suspected, and when the engine is left alone for a while."""

from collections.abc import Collection
from dataclasses import dataclass
from logging import ERROR, getLogger

from voice_stack.core.circuit import Circuit
from voice_stack.core.engine_watch import Stuck
from voice_stack.core.errors import EngineError, EngineUnavailableError, ModelLoadError, VoiceStackError
from voice_stack.core.logging import log_event

logger = getLogger(__name__)

MAX_LOAD_CRASHES = 2
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Verdict:
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

    Args:
        engine: Its name, for messages.

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

    @property
    def died_loading(self) -> bool:
        """Whether the last process died while it loaded the model."""
        return self._load_crashes > 0

    @property
    def outage(self) -> EngineUnavailableError | None:
        """Why no job is taken at the moment; None if one is."""
        return self._explain(self._circuit.wait_s)

    def admit(self, job_id: str) -> EngineUnavailableError | None:
        """Take a job, None; or why it is refused."""
        return self._explain(self._circuit.admit(job_id))

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

    def note_stuck(self, stuck: Stuck) -> None:
        """The process hangs and is about to be killed."""
        log_event(logger, ERROR, "engine process hangs and is killed", engine=self._engine, reason=stuck.reason)
        self._stuck = stuck

    def review(self, exit_code: int | None, running: Collection[str], *, was_loading: bool) -> Verdict:
        """A process died.

        Args:
            exit_code: Of the process.
            running: Jobs that it worked on.
            was_loading: The model was not there yet.
        """
        stuck, self._stuck = self._stuck, None
        preparing, self.preparing = self.preparing, None
        how = f"was stuck: {stuck.reason}" if stuck else f"died (exit code {exit_code})"
        # What ran is the first suspect; what was only being prepared is one if nothing ran.
        suspects = (stuck.suspects if stuck else None) or frozenset(running or ([preparing] if preparing else ()))
        self._last_error = EngineError(f"its process {how}")
        self._note_crash(frozenset() if was_loading else suspects)
        return Verdict(how, suspects, self._count_load_crash(how) if was_loading else None)

    def _count_load_crash(self, how: str) -> ModelLoadError | None:
        self._load_crashes += 1
        if self._load_crashes % MAX_LOAD_CRASHES:
            return None
        return ModelLoadError(f"the engine process of {self._engine} {how} while loading the model")

    def _note_crash(self, suspects: frozenset[str]) -> None:
        if self._circuit.note_crash(suspects):
            what = "engine fails again and again: it is left alone for a while"
            log_event(logger, ERROR, what, engine=self._engine, pause_s=round(self._circuit.wait_s, 1))

    def _explain(self, wait_s: float) -> EngineUnavailableError | None:
        if not wait_s:
            return None
        error = EngineUnavailableError(
            f"the engine {self._engine} failed again and again; the next try is in {wait_s:.0f} s. "
            f"The last failure: {self._last_error}"
        )
        error.retry_after_s = wait_s
        return error
