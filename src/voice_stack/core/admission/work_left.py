"""How much of a job is still to be done, as far as it can be told from outside of the engine."""

from typing import Protocol, runtime_checkable

_TRUSTED_SHARE = 0.1
"""From here on what a job has cost so far tells more than its length: a film is half silence, which costs nothing."""


@runtime_checkable
class Located(Protocol):
    """An output that says how far into the audio it reaches, in seconds, and how long the audio is; 0: not known."""

    @property
    def heard_s(self) -> float: ...

    @property
    def total_s(self) -> float: ...


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
