"""The work before an engine, how fast the engine is, and so how long a request will be held up.

The scheduler lets short jobs go first and long ones share the engine. So each other job takes from a request at most
as much time as the request itself needs, or a batch, if that is more: a clip waits for a batch of a film, not for all
of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.jobs import BatchDone

PRIOR_SPEED = 0.25
"""Taken of an engine that has not run yet: four seconds of audio in a second."""
PRIOR_BATCH_S = 10.0
PRIOR_LANES = 32
BATCH_WEIGHT = 0.2
"""How much the last batch says of the next."""
PRIOR_WEIGHT_S = 10.0
"""The assumption counts like so much audio; after a minute of real work little of it is left."""
HALF_LIFE_S = 120.0
"""Audio after which older work counts half: a burst of batches, or another load of the machine, soon shows."""


@dataclass(frozen=True, slots=True)
class EngineQueue:
    """What waits for an engine or is in it.

    Attributes:
        lefts_s: What is left of each job, in seconds of audio.
        speed: Seconds that the engine takes for a second of audio.
        batch_s: Audio in a usual batch, in seconds: so long a request waits at least where the engine is at work.
        lanes: Jobs that run at once, of which none holds up another.
    """

    lefts_s: tuple[float, ...] = ()
    speed: float = PRIOR_SPEED
    batch_s: float = PRIOR_BATCH_S
    lanes: int = 1

    @property
    def total_s(self) -> float:
        """Seconds until everything is done; 0 where a lane is free."""
        return 0.0 if self._has_free_lane else self.speed * sum(self.lefts_s)

    @property
    def _has_free_lane(self) -> bool:
        return len(self.lefts_s) < self.lanes

    def joined_by(self, lefts_s: Iterable[float]) -> "EngineQueue":
        """The queue with more work in it."""
        return replace(self, lefts_s=(*self.lefts_s, *lefts_s))

    def wait_s(self, work_s: float) -> float:
        """How much later a request of so much work is done because of the others, in seconds."""
        if self._has_free_lane:
            return 0.0
        share_s = max(work_s, self.batch_s)
        return self.speed * sum(min(left_s, share_s) for left_s in self.lefts_s)

    def seconds_until(self, wait_s: float, work_s: float) -> float:
        """When the wait of such a request will have come down to `wait_s`: the shortest jobs end first."""
        share_s = max(work_s, self.batch_s)
        excess_s = self.wait_s(work_s) - wait_s
        passed_s = 0.0
        for left_s in sorted(self.lefts_s):
            if excess_s <= 0:
                break
            # Of a long job only the last part, as long as a share, makes the wait shorter.
            drop_s = self.speed * min(left_s, share_s)
            passed_s += self.speed * left_s - max(0.0, drop_s - excess_s)
            excess_s -= drop_s
        return passed_s


LIVE_PRIOR_SPEED, LIVE_PRIOR_WEIGHT_S = 0.1, 60.0
"""The same for live jobs, which learn of themselves alone: other clips may be short, and a first one is slow. A place
that is refused for nothing costs more than a few late texts."""
SPEECH_SHARE = 0.4
"""Of the time of a conversation, one voice."""
TURN_S = 5.0
"""Speech of a usual turn: so much a live job has before it."""


def _left_s(handle: JobHandle) -> float:
    return TURN_S if handle.is_live else handle.work.left_s


class _Speed:
    """An exponentially weighted measure of the time that work takes, which begins with an assumption."""

    def __init__(self, work_s: float, value: float) -> None:
        self._work_s, self._busy_s = work_s, work_s * value

    @property
    def value(self) -> float:
        """Seconds for a second of audio."""
        return self._busy_s / self._work_s

    def learn(self, work_s: float, busy_s: float) -> None:
        kept = 0.5 ** (work_s / HALF_LIFE_S)
        self._work_s, self._busy_s = self._work_s * kept + work_s, self._busy_s * kept + busy_s


class EngineWork:
    """Lives on the event loop; outlives the engine's processes, and so does what it has learned.

    The speed is an exponentially weighted measure, weighted by work: long batches tell more than short ones, idle time
    nothing.

    Args:
        jobs: All jobs of the engine, as they are at any time.
        spec: How it is made.

    Attributes:
        lanes: See `Loaded`; of a task that has not loaded yet, a guess.
    """

    def __init__(self, jobs: Mapping[str, JobHandle], spec: EngineSpec) -> None:
        self._jobs = jobs
        self.lanes = PRIOR_LANES if spec.link == "task" else 1
        self._all, self._live = _Speed(PRIOR_WEIGHT_S, PRIOR_SPEED), _Speed(LIVE_PRIOR_WEIGHT_S, LIVE_PRIOR_SPEED)
        self._batch_s = PRIOR_BATCH_S

    @property
    def speed(self) -> float:
        """Seconds that the engine takes for a second of audio, all its lanes and batches together."""
        return self._all.value / self.lanes

    @property
    def queue(self) -> EngineQueue:
        """What is left, job by job; jobs whose reader is slow hold nobody up."""
        lefts_s = tuple(_left_s(handle) for handle in self._jobs.values() if handle.holds_up_others)
        return EngineQueue(lefts_s, self.speed, self._batch_s, self.lanes)

    @property
    def live_load(self) -> float:
        """Share of the engine's time that jobs take whose input comes just now."""
        return self.load_of(sum(handle.is_live for handle in self._jobs.values()))

    def load_of(self, live_jobs: int) -> float:
        """Share of the engine's time that so many live jobs take: it is the speech that is work."""
        return live_jobs * SPEECH_SHARE * self._live.value

    def learn(self, batch: BatchDone) -> None:
        """The engine has run a batch."""
        for job_id, work_s in batch.work_s.items():
            if handle := self._jobs.get(job_id):
                handle.work.finish(work_s)
        work_s = sum(batch.work_s.values())
        if work_s > 0:
            self._all.learn(work_s, batch.busy_s)
            if any(job_id in self._jobs and self._jobs[job_id].job.is_fed for job_id in batch.work_s):
                self._live.learn(work_s, batch.busy_s)
            self._batch_s += BATCH_WEIGHT * (work_s - self._batch_s)

    def status(self) -> dict[str, object]:
        """Seconds of work that waits, and the speed, for `/status`."""
        return {"queue_s": round(self.queue.total_s, 2), "speed": round(self.speed, 4)}
