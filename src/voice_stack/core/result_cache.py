"""Results that are kept in memory for a while: bounded in bytes, in number and in age."""

import pickle
import sys
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class ResultCache(Generic[T]):
    """The newest results, up to a number of bytes; the least recently used one goes first.

    They are kept packed: the transcript of a film takes some 100 KB, not some 10 MB. Not for several threads.

    Args:
        max_bytes: Most memory for all results together.
        max_age_s: Seconds after which a result is forgotten.
        clock: Seconds on a steady clock.
        max_results: Most of them.
    """

    def __init__(
        self,
        max_bytes: int,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
        max_results: int = sys.maxsize,
    ) -> None:
        self._max_bytes, self._max_age_s, self._clock, self._max_results = max_bytes, max_age_s, clock, max_results
        self._entries: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Hashable) -> bytes | None:
        """The packed result of that key, for `unpack`; None if there is none, or none any more."""
        packed, made_at = self._entries.get(key, (None, 0.0))
        if packed is not None:
            self._entries.move_to_end(key)
            if self._clock() - made_at > self._max_age_s:
                self._drop(key)
                return None
        return packed

    def keep(self, key: Hashable, packed: bytes) -> None:
        """Keep a result that `pack` has packed; one that alone is larger than the cache is not kept."""
        if key in self._entries:
            self._drop(key)
        self._entries[key] = packed, self._clock()
        self._bytes += len(packed)
        while self._bytes > self._max_bytes or len(self._entries) > self._max_results:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        self._bytes -= len(self._entries.pop(key)[0])

    @staticmethod
    def pack(result: T) -> bytes:
        """Make a result small; takes up to 0.1 s for a film, so call it in a thread."""
        return zlib.compress(pickle.dumps(result), level=1)

    @staticmethod
    def unpack(packed: bytes) -> T:
        """What was packed; the bytes never leave this process."""
        result: T = pickle.loads(zlib.decompress(packed))  # noqa: S301 - only `pack` makes them
        return result
