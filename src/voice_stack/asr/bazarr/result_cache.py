"""Finished results, kept for a while in the API process: they outlive the engine process that made them."""

import pickle
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry:
    packed: bytes
    made_at: float


class ResultCache(Generic[T]):
    """The newest results, up to a number of bytes; the least recently used one goes first.

    They are kept packed: the transcript of a film takes some 100 KB, not some 10 MB. Not for several threads.

    Args:
        max_bytes: Most memory for all results together.
        max_age_s: Seconds after which a result is forgotten.
        clock: Seconds on a steady clock.
    """

    def __init__(self, max_bytes: int, max_age_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._max_age_s, self._clock = max_bytes, max_age_s, clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Hashable) -> bytes | None:
        """The packed result of that key, for `unpack`; None if there is none, or none any more."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() - entry.made_at > self._max_age_s:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.packed

    def keep(self, key: Hashable, packed: bytes) -> None:
        """Keep a result that `pack` has packed; one that alone is larger than the cache is not kept."""
        if key in self._entries:
            self._drop(key)
        self._entries[key] = _Entry(packed, self._clock())
        self._bytes += len(packed)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        self._bytes -= len(self._entries.pop(key).packed)

    @staticmethod
    def pack(result: T) -> bytes:
        """Make a result small; takes up to 0.1 s for a film, so call it in a thread."""
        return zlib.compress(pickle.dumps(result), level=1)

    @staticmethod
    def unpack(packed: bytes) -> T:
        """What was packed; the bytes never leave this process."""
        result: T = pickle.loads(zlib.decompress(packed))  # noqa: S301 - only `pack` makes them
        return result
