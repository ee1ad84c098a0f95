"""How fast an engine is, from what it has done."""

from voice_stack.core.jobs import BatchDone

PRIOR_SPEED = 0.25
"""Taken of an engine that has not run yet: four seconds of audio in a second."""
PRIOR_BATCH_S = 10.0
BATCH_WEIGHT = 0.2
"""How much the last batch says of the next."""
PRIOR_WEIGHT_S = 10.0
"""The assumption counts like so much audio; after a minute of real work little of it is left."""
HALF_LIFE_S = 120.0
"""Audio after which older work counts half: a burst of batches, or another load of the machine, soon shows."""


class Speed:
    """An exponentially weighted measure, weighted by work: long batches tell more than short ones, idle time nothing.

    Attributes:
        seconds_per_second: Time the engine takes for a second of audio, all its lanes and batches together.
        batch_s: Audio in a usual batch, in seconds: so long a request waits at least where the engine is at work.
    """

    def __init__(self) -> None:
        self._work_s = PRIOR_WEIGHT_S
        self._busy_s = PRIOR_WEIGHT_S * PRIOR_SPEED
        self.batch_s = PRIOR_BATCH_S

    @property
    def seconds_per_second(self) -> float:
        return self._busy_s / self._work_s

    def learn(self, batch: BatchDone) -> None:
        """Take a batch into account."""
        work_s = sum(batch.work_s.values())
        if work_s <= 0:
            return
        kept = 0.5 ** (work_s / HALF_LIFE_S)
        self._work_s = self._work_s * kept + work_s
        self._busy_s = self._busy_s * kept + batch.busy_s
        self.batch_s += BATCH_WEIGHT * (work_s - self.batch_s)
