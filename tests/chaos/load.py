"""A load of many clients at once: bounded, reproducible by its seed, and the fate of every request is on record."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import httpx2

REQUEST_TIMEOUT_S = 300.0
"""Who has no answer by then has none; so long, because a machine that others use stands still for a while at times."""
STALL_S = 2.0
TICK_S = 0.25
LEAVE_WITHIN_S = 0.4
MAX_PAUSE_S = 0.05


class Fate(StrEnum):
    """What became of a request."""

    RIGHT = "right"
    WRONG = "wrong"
    REFUSED = "refused"
    """An error in OpenAI's words."""
    BROKEN = "broken off"
    """An answer that had begun and ended in a way the client can see."""
    LOST = "lost"
    """No answer at all."""
    LEFT = "left"
    """The client went away on purpose."""


class WrongAnswerError(Exception):
    """The answer is not what the request asked for."""


class RefusedError(Exception):
    """The server said no, as OpenAI's API says it."""

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status


class BrokenOffError(Exception):
    """The answer had begun and was broken off."""


Visit = Callable[[httpx2.AsyncClient, random.Random], Awaitable[None]]
"""One request or a few that belong together, with the check of what comes back."""


@dataclass(frozen=True, slots=True)
class Record:
    """One visit."""

    kind: str
    fate: Fate
    seconds: float
    note: str = ""
    status: int = 200


@dataclass
class Journal:
    """All visits of a load."""

    records: list[Record] = field(default_factory=list)
    stall_s: float = 0.0
    """Longest time in which not even this program came to its turn: no server's fault."""

    def count(self, *fates: Fate) -> int:
        return sum(record.fate in fates for record in self.records)

    def notes(self, *fates: Fate) -> list[str]:
        """The first of them, for the message of a failed assertion."""
        return [f"{record.kind}: {record.note}" for record in self.records if record.fate in fates][:10]

    def statuses(self) -> Counter[int]:
        """The statuses of refusals."""
        return Counter(record.status for record in self.records if record.fate is Fate.REFUSED)

    def summary(self) -> str:
        fates = Counter(record.fate.value for record in self.records)
        told = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
        times_s = sorted(record.seconds for record in self.records if record.fate is Fate.RIGHT) or [0.0]
        middle, high = times_s[len(times_s) // 2], times_s[int(len(times_s) * 0.99)]
        stall = f"; the machine stood still for {self.stall_s:.0f} s" if self.stall_s > STALL_S else ""
        return f"{len(self.records)} requests: {told}; median {middle:.2f} s, 99 % within {high:.2f} s{stall}"


@dataclass(frozen=True)
class Load:
    """What comes to one server.

    Attributes:
        url: The server.
        visits: By name; a caller takes one at random after the other.
        callers: Clients at the same time.
        leaving: Share of visits that are left in the middle.
        seed: Of all that is random.
    """

    url: str
    visits: dict[str, Visit]
    callers: int
    leaving: float = 0.0
    seed: int = 1

    async def run(self, until: Callable[[], bool], journal: Journal) -> None:
        """Call until something says that it is enough; what is on its way then is awaited."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self.callers)
        async with httpx2.AsyncClient(
            base_url=self.url, timeout=REQUEST_TIMEOUT_S, trust_env=False, limits=limits
        ) as client:
            await asyncio.gather(*(self._call(client, number, until, journal) for number in range(self.callers)))

    async def _call(self, client: httpx2.AsyncClient, number: int, until: Callable[[], bool], journal: Journal) -> None:
        rng = random.Random(self.seed * 1000 + number)
        while not until():
            kind = rng.choice(sorted(self.visits))
            leaves_after_s = rng.uniform(0, LEAVE_WITHIN_S) if rng.random() < self.leaving else None
            journal.records.append(await judge(kind, self.visits[kind](client, rng), leaves_after_s))
            await asyncio.sleep(rng.uniform(0, MAX_PAUSE_S))


async def judge(kind: str, visit: Awaitable[None], leaves_after_s: float | None = None) -> Record:
    """Await a visit and say what became of it."""
    started = time.monotonic()

    def record(fate: Fate, note: object = "", status: int = 200) -> Record:
        return Record(kind, fate, time.monotonic() - started, str(note), status)

    try:
        async with asyncio.timeout(leaves_after_s):
            await visit
    except TimeoutError:
        return record(Fate.LEFT)
    except WrongAnswerError as error:
        return record(Fate.WRONG, error)
    except RefusedError as error:
        return record(Fate.REFUSED, error, error.status)
    except BrokenOffError as error:
        return record(Fate.BROKEN, error)
    except httpx2.TransportError as error:
        return record(Fate.LOST, repr(error))
    return record(Fate.RIGHT)


async def run_loads(loads: Sequence[Load], seconds: float) -> Journal:
    """All loads side by side."""
    journal, end = Journal(), time.monotonic() + seconds
    watching = asyncio.create_task(_watch_machine(journal))
    await asyncio.gather(*(load.run(lambda: time.monotonic() > end, journal) for load in loads))
    watching.cancel()
    return journal


async def _watch_machine(journal: Journal) -> None:
    while True:
        started = time.monotonic()
        await asyncio.sleep(TICK_S)
        journal.stall_s = max(journal.stall_s, time.monotonic() - started - TICK_S)


def require_ok(status: int, body: bytes) -> None:
    """Raise unless the status is a success.

    Raises:
        RefusedError: It is an error with OpenAI's body.
        WrongAnswerError: It is one without.
    """
    if status < 300:
        return
    try:
        error = json.loads(body)["error"]
        message, code = str(error["message"]), error["code"]
    except (ValueError, LookupError, TypeError):
        raise WrongAnswerError(f"{status} without OpenAI's error: {body[:200]!r}") from None
    raise RefusedError(status, code, message)


async def fetch(client: httpx2.AsyncClient, method: str, url: str, **request: object) -> httpx2.Response:
    """A whole answer; one that breaks off in the middle says so.

    Raises:
        RefusedError: The server said no.
        BrokenOffError: It broke off after its status.
        WrongAnswerError: It is an error without an error's body.
    """
    async with client.stream(method, url, **request) as response:  # type: ignore[arg-type]
        try:
            body = await response.aread()
        except (httpx2.RemoteProtocolError, httpx2.ReadError) as error:
            raise BrokenOffError(repr(error)) from error
        require_ok(response.status_code, body)
        return response


def expect(is_right: object, told: object) -> None:
    """Raise `WrongAnswerError` unless something holds."""
    if not is_right:
        raise WrongAnswerError(str(told)[:300])
