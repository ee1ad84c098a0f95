"""A stream of values of which only the newest part is kept."""

import numpy as np
from numpy.typing import NDArray


class SampleTrack:
    """The newest part of a stream of float32 values, addressed by position in the stream."""

    def __init__(self) -> None:
        self._values = np.zeros(0, np.float32)
        self._start = 0

    @property
    def end(self) -> int:
        """Position after the last value."""
        return self._start + self._values.size

    def append(self, values: NDArray[np.float32]) -> None:
        """Add values at the end."""
        self._values = np.concatenate([self._values, values], dtype=np.float32)

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """The values from `start` up to, not including, `end`."""
        return self._values[start - self._start : end - self._start]

    def forget_before(self, position: int) -> None:
        """Drop what lies before a position."""
        dropped = min(max(position - self._start, 0), self._values.size)
        self._values, self._start = self._values[dropped:].copy(), self._start + dropped
