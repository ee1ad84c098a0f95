"""All that is left of an archive, on all transcribers; and how far it is."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from voice_stack.archive.crew import Crew, Seat
from voice_stack.archive.heard import Wanted
from voice_stack.archive.making import archive_item, left_of
from voice_stack.archive.manifest import Done, Item, Manifest, State
from voice_stack.archive.outputs import Outputs
from voice_stack.archive.transcribers import BUSY_S, Transcriber, outcome_of
from voice_stack.core.errors import EngineError, VoiceStackError

MAX_TRIES = 5
"""A recording with which so many connections broke fails: it may be why."""
MOST_FAILURES = 25
"""After so many in a row it is not the recordings: the run ends."""


class Tally:
    """What a run has done, noted in the manifest; and how long the rest will take.

    Args:
        manifest: With what is left.
        tell: Told what became of each recording, once that is noted.

    Attributes:
        total: Recordings that are left when it begins; `total_bytes` is their size.
        ended: How many recordings ended in which state.
        audio_s: Length of those that are done, in seconds.
    """

    def __init__(self, manifest: Manifest, tell: Callable[[Done], None]) -> None:
        summary = manifest.summary()
        self.total, self.total_bytes = summary.counts.get("waiting", 0), summary.sizes.get("waiting", 0)
        self.ended, self.audio_s = Counter[State](), 0.0
        self._manifest, self._tell = manifest, tell
        self._began, self._done_bytes, self._failures = time.monotonic(), 0, 0
        self._shares = dict[str, float]()

    @property
    def percent(self) -> float:
        """How much of the bytes is done, 0 to 100."""
        return 100 * self._bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until all is done, if it goes on at the mean speed so far; None while nothing is."""
        passed_s = time.monotonic() - self._began
        return passed_s * (self.total_bytes - self._bytes) / self._bytes if self._bytes else None

    def note(self, item: Item, done: Done) -> None:
        """A recording has ended.

        Raises:
            EngineError: Too many failed one after the other.
            StorageFullError: There is no room to note it.
        """
        self._manifest.record(done)
        self._shares.pop(item.key, None)
        self._done_bytes += item.size
        self.ended[done.state] += 1
        self.audio_s += done.audio_s
        self._failures = self._failures + 1 if done.state == "failed" else 0
        self._tell(done)
        if self._failures >= MOST_FAILURES:
            raise EngineError(f"{MOST_FAILURES} recordings in a row failed, the last: {done.reason}")

    def note_share(self, item: Item, percent: float | None) -> None:
        """A recording that is worked on is so far."""
        self._shares[item.key] = item.size * (percent or 0.0) / 100

    @property
    def _bytes(self) -> float:
        return self._done_bytes + sum(self._shares.values())


class Run:
    """Works through an archive on transcribers; lives on the event loop.

    Args:
        manifest: With what is left.
        outputs: Where the texts go.
        wanted: What texts.
        tally: Takes what becomes of the recordings.
        transcribers: Who hears them.
    """

    def __init__(
        self,
        manifest: Manifest,
        outputs: Outputs,
        wanted: Wanted,
        tally: Tally,
        transcribers: Sequence[Transcriber],
    ) -> None:
        self._manifest, self._outputs, self._wanted, self._tally = manifest, outputs, wanted, tally
        self._crew = Crew(transcribers)
        self._again, self._tries = deque[Item](), Counter[str]()

    async def work(self) -> None:
        """Do all of it; what is not done when this raises is left to the next run.

        Raises:
            VoiceStackError: Something else than a recording is at fault.
        """
        await self._crew.check()
        tuning, tasks = asyncio.create_task(self._crew.keep_tuned()), set[asyncio.Task[None]]()
        items = self._manifest.waiting()
        try:
            while (item := self._next(items)) or tasks:
                if item:
                    seat = await self._crew.take()
                    tasks.add(asyncio.create_task(self._carry_out(item, seat), name=item.key))
                else:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task.done()]:
                    tasks.discard(task)
                    task.result()
        finally:
            for task in (tuning, *tasks):
                task.cancel()
            await asyncio.gather(tuning, *tasks, return_exceptions=True)

    def _next(self, items: Iterator[Item]) -> Item | None:
        return self._again.popleft() if self._again else next(items, None)

    async def _carry_out(self, item: Item, seat: Seat) -> None:
        done = None
        try:
            done = await archive_item(
                item,
                seat.transcriber,
                self._outputs,
                self._wanted,
                show=lambda percent, _eta_s, _state: self._tally.note_share(item, percent),
                find_twin=self._manifest.find_twin,
            )
        except VoiceStackError as error:
            done = self._try_elsewhere(item, seat, error)
        finally:
            self._crew.give_back(seat, did_well=done is not None and done.state == "done")
        if done is not None:
            self._tally.note(item, done)

    def _try_elsewhere(self, item: Item, seat: Seat, error: VoiceStackError) -> Done | None:
        outcome = outcome_of(error)
        if outcome == "busy":
            self._crew.slow_down(seat, error.retry_after_s or BUSY_S)
        elif outcome == "away":
            self._crew.leave_out(seat, error)
            self._tries[item.key] += 1
            if self._tries[item.key] >= MAX_TRIES:
                reason = f"{MAX_TRIES} connections broke with it, the last: {error.message}"
                return Done(item.key, "failed", outputs=left_of(item), reason=reason)
        else:
            raise error
        self._again.append(item)
        return None
