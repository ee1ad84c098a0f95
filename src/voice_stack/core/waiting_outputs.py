"""Outputs of a job that nobody has taken yet: a slow reader must not fill the server's memory."""

from collections import deque
from typing import Protocol, runtime_checkable

FULL_COUNT, LOW_COUNT = 32, 8
"""So many outputs wait before the job pauses, and are left when it goes on."""
FULL_BYTES, LOW_BYTES = 1 << 20, 1 << 19
"""The same for large ones: 10 and 5 seconds of sound at 24 kHz. What is being made comes on top."""


@runtime_checkable
class Sized(Protocol):
    """An output that is large and says how large."""

    @property
    def size_bytes(self) -> int: ...


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
        self._bytes += _size_bytes(output)

    def take(self) -> object:
        """Remove the oldest one; there must be one."""
        output = self._outputs.popleft()
        self._bytes -= _size_bytes(output)
        return output

    def clear(self) -> None:
        """Forget them all."""
        self._outputs.clear()
        self._bytes = 0


def _size_bytes(output: object) -> int:
    return output.size_bytes if isinstance(output, Sized) else 0
