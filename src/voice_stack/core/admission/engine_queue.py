"""How long a request will be held up by the others: a pure estimate over what is waiting.

The scheduler lets short jobs go first and long ones share the engine. So each other job takes from a request at most
as much time as the request itself needs, or a batch, if that is more: a clip waits for a batch of a film, not for all
of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from voice_stack.core.admission.speed import PRIOR_BATCH_S, PRIOR_SPEED


@dataclass(frozen=True, slots=True)
class EngineQueue:
    """What waits for an engine or is in it.

    Attributes:
        lefts_s: What is left of each job, in seconds of audio.
        speed: Seconds that the engine takes for a second of audio.
        batch_s: Audio in a usual batch, in seconds.
    """

    lefts_s: tuple[float, ...] = ()
    speed: float = PRIOR_SPEED
    batch_s: float = PRIOR_BATCH_S

    @property
    def total_s(self) -> float:
        """Seconds until everything is done."""
        return self.speed * sum(self.lefts_s)

    def joined_by(self, lefts_s: Iterable[float]) -> "EngineQueue":
        """The queue with more work in it."""
        return replace(self, lefts_s=(*self.lefts_s, *lefts_s))

    def wait_s(self, work_s: float) -> float:
        """How much later a request of so much work is done because of the others, in seconds."""
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
