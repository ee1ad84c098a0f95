"""Input of a job that comes over time: what crosses the border for it, and what waits and is kept on either side.

A plan takes what was fed, and starves where there is no more. It tells what it notices at once, drafts what may still
change, and says which feeds are settled: those before are not needed again, should another process take the job over.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, runtime_checkable


@runtime_checkable
class Sized(Protocol):
    """What is large, and says how large."""

    @property
    def size_bytes(self) -> int: ...


def size_bytes(data: object) -> int:
    """Size of what may be large; 0 for the rest."""
    return data.size_bytes if isinstance(data, Sized) else 0


@dataclass(frozen=True, slots=True)
class Feed:
    """Command: more input of a job; feeds are numbered from 0.

    Attributes:
        is_last: There is no more; `data` is None.
    """

    job_id: str
    number: int
    data: object
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Starved:
    """Step of a plan, and event: it has taken all that was fed, and is not asked again before there is more.

    Attributes:
        taken: So many feeds.
    """

    job_id: str
    taken: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Step of a plan, and event: something to be told at once, beside the results."""

    job_id: str
    payload: object


@dataclass(frozen=True, slots=True)
class Settled:
    """Step of a plan, and event: what the feeds before one have given is known, once the units so far are delivered.

    Attributes:
        feed: The first one that is still needed.
        mark: What a plan that begins with it must know; it becomes `Job.mark`.
    """

    job_id: str
    feed: int
    mark: object


@dataclass(frozen=True, slots=True)
class Verdict:
    """Step of a plan: the results of a tentative unit leave, or the unit has never been."""

    index: int
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """Event: a provisional result, out of order."""

    job_id: str
    payload: object


LEAST_FEED_BYTES = 512
"""A feed counts for so much at least: what carries it and takes it costs as much for one letter as for half a kilobyte,
and 8,192 of them keep an engine from everybody else for some 0.3 s."""
TOLD_BYTES = 1 << 20


def _weight_bytes(data: object) -> int:
    return max(LEAST_FEED_BYTES, size_bytes(data))


class Inbox:
    """What was fed to a job and its plan has not taken yet; filled by one thread, emptied by another.

    Attributes:
        taken: How many feeds have been taken, those before the first one here included.
        is_closed: Nothing more will come.
    """

    def __init__(self) -> None:
        self._waiting: deque[Feed] = deque()
        self._untold_bytes = 0
        self.taken = 0
        self.is_closed = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, feed: Feed) -> None:
        """Add the next one."""
        if feed.is_last:
            self.is_closed = True
        else:
            self._waiting.append(feed)

    def take(self) -> Iterator[object]:
        """What waits, in the order it came; ends where nothing does."""
        while self._waiting:
            feed = self._waiting.popleft()
            self.taken = feed.number + 1
            self._untold_bytes += _weight_bytes(feed.data)
            yield feed.data

    def is_worth_telling(self) -> bool:
        """Whether much was taken since this was true last: who feeds may wait for that."""
        if self._untold_bytes < TOLD_BYTES:
            return False
        self._untold_bytes = 0
        return True


INPUT_FULL_BYTES = 4 << 20
"""So much input may be on its way to an engine before who feeds it should wait: 87 s of sound at 24 kHz."""


class InputFeeds:
    """The input of a job that comes over time, as far as a new engine process would need it.

    Attributes:
        last: The feed that says that there is no more; None before it.
    """

    def __init__(self) -> None:
        self._kept: deque[Feed] = deque()
        self.last: Feed | None = None
        self._count = self._taken = self._untaken_bytes = 0

    def add(self, job_id: str, data: object) -> Feed:
        """Number the next one."""
        feed = Feed(job_id, self._count, data)
        self._count += 1
        self._untaken_bytes += _weight_bytes(data)
        self._kept.append(feed)
        return feed

    def close(self, job_id: str) -> Feed:
        """There is no more."""
        self.last = Feed(job_id, self._count, None, is_last=True)
        return self.last

    def take(self, taken: int) -> None:
        """The engine has taken so many."""
        for feed in islice(self._kept, max(0, self._taken - self._first), max(0, taken - self._first)):
            self._untaken_bytes -= _weight_bytes(feed.data)
        self._taken = max(self._taken, taken)

    def settle(self, first: int) -> bool:
        """What comes before this one is not needed any more; returns whether there was any of that."""
        self.take(first)
        is_progress = first > self._first
        while self._kept and self._kept[0].number < first:
            self._kept.popleft()
        return is_progress

    def again(self, job_id: str) -> list[Feed]:
        """All that an engine needs that begins anew."""
        feeds = [*self._kept, *([self.last] if self.last else [])]
        return [replace(feed, job_id=job_id) for feed in feeds]

    @property
    def is_full(self) -> bool:
        """Whether who feeds should wait."""
        return self._untaken_bytes >= INPUT_FULL_BYTES

    @property
    def _first(self) -> int:
        return self._kept[0].number if self._kept else self._count
