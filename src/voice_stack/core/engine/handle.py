"""A job as its requester sees it: outputs as they come, a closing statement, times, and a way to cancel."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.feeds import Draft, InputFeeds, Notice, Settled, Starved, size_bytes
from voice_stack.core.jobs import (
    Cancel,
    Command,
    Expected,
    Job,
    JobCancelled,
    JobDone,
    JobEvent,
    JobFailed,
    Output,
    Pause,
    Submit,
    UnitDone,
    UnitPaused,
    UnitStarted,
)
from voice_stack.core.telemetry.registry import current_context

_TRUSTED_SHARE = 0.1
"""From here on what a job has cost so far tells more than its length: a film is half silence, which costs nothing."""


@runtime_checkable
class Located(Protocol):
    """An output that says how far into the audio it reaches, in seconds, and how long the audio is; 0: not known."""

    @property
    def heard_s(self) -> float: ...

    @property
    def total_s(self) -> float: ...


FULL_COUNT, LOW_COUNT = 32, 8
"""So many outputs wait before the job pauses, and are left when it goes on."""
FULL_BYTES, LOW_BYTES = 1 << 20, 1 << 19
"""The same for large ones: 10 and 5 seconds of sound at 24 kHz. What is being made comes on top."""


class WaitingOutputs:
    """A queue that says when it is full, and when it is nearly empty again; true while it holds something."""

    def __init__(self) -> None:
        self._outputs: deque[object] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._outputs)

    @property
    def is_full(self) -> bool:
        """Whether the job should pause."""
        return len(self._outputs) >= FULL_COUNT or self._bytes >= FULL_BYTES

    @property
    def is_low(self) -> bool:
        """Whether a paused job should go on."""
        return len(self._outputs) <= LOW_COUNT and self._bytes <= LOW_BYTES

    def put(self, output: object) -> None:
        """Add the next one."""
        self._outputs.append(output)
        self._bytes += size_bytes(output)

    def take(self) -> object:
        """Remove the oldest one; there must be one."""
        output = self._outputs.popleft()
        self._bytes -= size_bytes(output)
        return output

    def clear(self) -> None:
        """Forget them all."""
        self._outputs.clear()
        self._bytes = 0


class WorkLeft:
    """What is left of one job.

    Args:
        expected_s: Its work in seconds of audio, as guessed before anybody has looked.
    """

    def __init__(self, expected_s: float) -> None:
        self._expected_s = expected_s
        self._done_s = 0.0
        self._share = 0.0

    @property
    def left_s(self) -> float:
        """Work that is left, in seconds of audio."""
        if self._share >= _TRUSTED_SHARE:
            return self._done_s * (1 - self._share) / self._share
        return max(0.0, self._expected_s - self._done_s)

    def expect(self, work_s: float) -> None:
        """The engine has looked at it: so much work it is in all."""
        self._expected_s = work_s

    def finish(self, work_s: float) -> None:
        """So much more of it is done."""
        self._done_s += work_s

    def reach(self, output: object) -> None:
        """Learn from an output how far the job is, if it tells."""
        if isinstance(output, Located) and output.total_s > 0:
            self._share = min(1.0, output.heard_s / output.total_s)


LIVE_S = 10.0
"""A job without input for so long asks nothing of its engine."""
Outcome = Literal["done", "failed", "cancelled"]


class JobHandle:
    """One job of one requester; lives on the event loop.

    Args:
        job: The job as submitted.
        send: Takes commands to the engine process of the moment.
        work_s: Its work in seconds of audio, as guessed.

    Attributes:
        work: What is left of it.
        is_wanted: The requester still waits for it.
        substitute: The engine that does the job in place of the one that was asked for; None: that one does.
        on_failure: Asked where the engine cannot do the job; True: another one takes it, and it begins anew there.
        error: Why it failed.
        trace_context: What spans of the job are put below: the request that it is for.
        prepared_from: When the engine began to cut it into units, by `time.monotonic`; None: not yet, or unseen.
        prepared_until: When it last stopped doing so.
    """

    def __init__(self, job: Job, send: Callable[[Command], None], work_s: float = 0.0) -> None:
        self.job = job
        self.work = WorkLeft(work_s)
        self.outcome: Outcome = "done"
        self.error: VoiceStackError | None = None
        self.trace_context = current_context()
        self.prepared_from: float | None = None
        self.prepared_until: float | None = None
        self._on_over: Callable[[JobHandle], None] | None = None
        self.summary: object = None
        self.submitted_at = time.monotonic()
        self.started_at: float | None = None
        self.finished_at: float | None = None
        self._send = send
        self._outputs = WaitingOutputs()
        self._news = asyncio.Event()
        self._is_paused = False
        self._running: set[int] = set()
        self._part_of_unit_is_out = False
        self._is_begun = False
        self._input = InputFeeds()
        self._fed_at = self.submitted_at
        self._input_news = asyncio.Event()
        self.is_wanted = True
        self.substitute: EngineSpec | None = None
        self.on_failure: Callable[[VoiceStackError], bool] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the engine is done with the job, however it ended."""
        return self.finished_at is not None

    @property
    def is_running(self) -> bool:
        """Whether the engine works on one of its units right now."""
        return bool(self._running)

    @property
    def holds_up_others(self) -> bool:
        """Whether the engine would work on it now: somebody waits for it, and reads fast enough."""
        return self.is_wanted and not self._is_paused

    @property
    def can_resume(self) -> bool:
        """Whether the job can go on in a new process: no unit was delivered in part."""
        return not self._part_of_unit_is_out

    @property
    def queue_wait_s(self) -> float:
        """Seconds from submission until the engine began with it."""
        return (self.started_at or self.finished_at or time.monotonic()) - self.submitted_at

    @property
    def run_s(self) -> float:
        """Seconds from the engine's beginning until the end."""
        return (self.finished_at or time.monotonic()) - self.started_at if self.started_at else 0.0

    async def outputs(self) -> AsyncIterator[object]:
        """The outputs in order; ends when the job is complete.

        Raises:
            VoiceStackError: The job failed; after everything that came before the failure.
        """
        while True:
            while self._outputs:
                payload = self._outputs.take()
                if self._is_paused and self._outputs.is_low:
                    self._pause(False)
                yield payload
            if self.error is not None:
                raise self.error
            if self.is_over:
                return
            self._news.clear()
            await self._news.wait()

    @property
    def is_live(self) -> bool:
        """Whether its input comes over time, and has come just now."""
        return self.job.is_fed and not self.is_over and time.monotonic() - self._fed_at < LIVE_S

    async def feed(self, data: object) -> None:
        """Give the job more of its input; waits while the engine has too much of it before it."""
        self._fed_at = time.monotonic()
        self._send(self._input.add(self.job.id, data))
        while self._input.is_full and self.is_wanted and not self.is_over:
            self._input_news.clear()
            await self._input_news.wait()

    def end_input(self) -> None:
        """There is no more input: the job ends when it has done with what it has. Harmless when done before."""
        if self._input.last is None:
            self._send(self._input.close(self.job.id))

    @property
    def beginning(self) -> list[Command]:
        """What an engine process must be told of the job."""
        return [Submit(self.job), *self._input.again(self.job.id)]

    def cancel(self) -> None:
        """Nobody waits any more: the engine drops the job within one unit. Harmless when the job is over."""
        self._outputs.clear()
        if self.is_wanted and not self.is_over:
            self.is_wanted = False
            self._input_news.set()
            self._send(Cancel(self.job.id))

    def accept(self, event: JobEvent) -> None:
        """Take an event of the engine process."""
        match event:
            case Expected(_, work_s):
                self.work.expect(work_s)
            case UnitStarted(_, index):
                self.started_at = self.started_at or time.monotonic()
                self._running.add(index)
            case UnitPaused(_, index):
                self._running.discard(index)
            case Output(_, _, payload):
                self._part_of_unit_is_out = True
                self.work.reach(payload)
                self._take(payload)
            case UnitDone(_, index):
                self._running.discard(index)
                if index >= 0:
                    self._part_of_unit_is_out = False
                    self.job = replace(self.job, first_unit=index + 1)
            case Draft(_, payload) | Notice(_, payload):
                self._take(payload)
            case Starved() | Settled():
                self._note_input(event)
            case JobDone() | JobFailed() | JobCancelled():
                self._end(event)

    def _note_input(self, event: Starved | Settled) -> None:
        if isinstance(event, Starved):
            self._input.take(event.taken)
        else:
            # What begins anew with other input is not what an engine died of before.
            attempt = 0 if self._input.settle(event.feed) else self.job.attempt
            self._is_begun = True
            self.job = replace(self.job, mark=event.mark, attempt=attempt)
        self._input_news.set()

    def _end(self, event: JobDone | JobFailed | JobCancelled) -> None:
        if isinstance(event, JobFailed):
            self.fail(event.error)
            return
        if isinstance(event, JobDone):
            self.summary = event.summary
        else:
            self.outcome = "cancelled"
        self._finish()

    def fail(self, error: VoiceStackError) -> None:
        """End the job with an error."""
        self.error, self.outcome = error, "failed" if self.is_wanted else "cancelled"
        self._finish()

    def fail_over(self, error: VoiceStackError) -> bool:
        """The engine cannot do the job: another one takes it, once, if one may and nothing was delivered, or it fails.

        Returns whether another one takes it.
        """
        if self._is_begun or not self.is_wanted or self.on_failure is None or not self.on_failure(error):
            self.fail(error)
            return False
        return True

    def connect(self, send: Callable[[Command], None], on_over: Callable[["JobHandle"], None]) -> None:
        """From now on commands go to this engine, which is told when the job is over."""
        self._send, self._on_over = send, on_over

    def move(self, job: Job, engine: EngineSpec) -> None:
        """Begin anew in another engine."""
        self.job, self.substitute, self.on_failure = job, engine, None
        self._running.clear()

    def survive(self, *, is_suspect: bool) -> None:
        """The engine process died: get ready for the next one. A job that may be why counts the attempt."""
        self.job = replace(self.job, attempt=self.job.attempt + int(is_suspect))
        self._running.clear()

    def _take(self, payload: object) -> None:
        if not self.is_wanted:
            return
        self._is_begun = True
        self._outputs.put(payload)
        if not self._is_paused and self._outputs.is_full:
            self._pause(True)
        self._news.set()

    def _pause(self, paused: bool) -> None:
        self._is_paused = paused
        self._send(Pause(self.job.id, paused))

    def _finish(self) -> None:
        self.finished_at = time.monotonic()
        self._news.set()
        self._input_news.set()
        if self._on_over is not None:
            self._on_over(self)
