"""The jobs of one engine as work: what is left of them, and how fast the engine is."""

from collections.abc import Mapping

from voice_stack.core.admission.engine_queue import EngineQueue
from voice_stack.core.admission.speed import Speed
from voice_stack.core.job_handle import JobHandle
from voice_stack.core.jobs import BatchDone


class EngineWork:
    """Lives on the event loop; outlives the engine's processes, and so does what it has learned.

    Args:
        jobs: All jobs of the engine, as they are at any time.
    """

    def __init__(self, jobs: Mapping[str, JobHandle]) -> None:
        self._jobs = jobs
        self._speed = Speed()

    @property
    def speed(self) -> float:
        """Seconds that the engine takes for a second of audio, as measured."""
        return self._speed.seconds_per_second

    @property
    def queue(self) -> EngineQueue:
        """What is left, job by job; jobs whose reader is slow hold nobody up."""
        lefts_s = tuple(handle.work.left_s for handle in self._jobs.values() if handle.holds_up_others)
        return EngineQueue(lefts_s, self.speed, self._speed.batch_s)

    @property
    def queue_s(self) -> float:
        """Seconds until all jobs are done."""
        return self.queue.total_s

    def learn(self, batch: BatchDone) -> None:
        """The engine has run a batch."""
        self._speed.learn(batch)
        for job_id, work_s in batch.work_s.items():
            if handle := self._jobs.get(job_id):
                handle.work.finish(work_s)

    def status(self) -> dict[str, object]:
        """Seconds of work that waits, and the speed, for `/status`."""
        return {"queue_s": round(self.queue_s, 2), "speed": round(self.speed, 4)}
