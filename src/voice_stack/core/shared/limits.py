"""Who may ask how often, and how much at once, counted over all replicas.

Requests a minute are a bucket of tokens, filled by the clock of the store. A request that is open holds a lease there,
which ends by itself where its replica has died.
"""

import asyncio
import secrets
from collections import defaultdict
from dataclasses import dataclass

from voice_stack.core.shared.state import SharedState

LEASE_S = 30.0
"""After so long nobody counts what a dead replica had open."""
_LEASES, _BUCKETS = "open", "rate"
_TAKE = """
local now = redis.call('TIME')
local at_s, limit = now[1] + now[2] / 1000000, tonumber(ARGV[1])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at_s')
local tokens, before_s = tonumber(kept[1] or ''), tonumber(kept[2] or '')
if tokens and before_s then tokens = tokens + math.max(0, at_s - before_s) * limit / 60 end
if not (tokens and tokens >= 0 and tokens <= limit) then tokens = limit end
local taken = 0
if tokens >= 1 then tokens, taken = tokens - 1, 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at_s', string.format('%.6f', at_s))
redis.call('PEXPIRE', KEYS[1], 60000)
return {taken, tostring(tokens)}
"""
_CLOCK = """
local now = redis.call('TIME')
local at_ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""
_OPEN = (
    _CLOCK
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at_ms)
local open = redis.call('ZCARD', KEYS[1])
if open >= tonumber(ARGV[1]) then return {0, open} end
redis.call('ZADD', KEYS[1], at_ms + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, open}
"""
)
# Also those that the store has lost: it may have begun anew.
_RENEW = (
    _CLOCK
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], at_ms + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A request that is open.

    Attributes:
        name: Of the caller's entry.
        id: Its own.
    """

    name: str
    id: str


class SharedLimits:
    """Counts callers over all replicas; lives on the event loop.

    Args:
        state: Where they are counted.
        lease_s: How long a lease lasts that nobody renews, in seconds.
    """

    def __init__(self, state: SharedState, lease_s: float = LEASE_S) -> None:
        self._state, self._lease_s = state, lease_s
        self._held = set[Lease]()
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, caller: str, per_minute: int) -> tuple[bool, float] | None:
        """Take a token of a caller.

        Returns:
            Whether there was one, and how many are left; None: nothing is shared, or not now.
        """
        if not self._state.is_on:
            return None
        reply = await self._state.ask("EVAL", _TAKE, 1, self._state.name(_BUCKETS, caller), per_minute)
        match reply:
            case [int(taken), bytes(tokens)]:
                self._state.count(_BUCKETS, "kept" if taken else "refused")
                return bool(taken), float(tokens)
        self._state.count(_BUCKETS, "damaged")
        return None

    async def open(self, caller: str, at_once: int) -> Lease | int | None:
        """Open a request of a caller.

        Returns:
            What is to be released; how many are open already, if that is as many as may be; None: nothing is shared, or
            not now.
        """
        if not self._state.is_on:
            return None
        lease = Lease(self._state.name(_LEASES, caller), secrets.token_hex(8))
        reply = await self._state.ask("EVAL", _OPEN, 1, lease.name, at_once, int(1000 * self._lease_s), lease.id)
        match reply:
            case [1, int()]:
                self._state.count(_LEASES, "kept")
                self._hold(lease)
                return lease
            case [0, int(count)]:
                self._state.count(_LEASES, "refused")
                return count
        self._state.count(_LEASES, "damaged")
        return None

    async def release(self, lease: Lease) -> None:
        """The request is over; harmless when told before."""
        if lease in self._held:
            self._held.discard(lease)
            await self._state.ask("ZREM", lease.name, lease.id)

    def _hold(self, lease: Lease) -> None:
        self._held.add(lease)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Keep alive what is open, until nothing is."""
        while self._held:
            await asyncio.sleep(self._lease_s / 3)
            by_name = defaultdict[str, list[str]](list)
            for lease in self._held:
                by_name[lease.name].append(lease.id)
            for name, ids in by_name.items():
                await self._state.ask("EVAL", _RENEW, 1, name, int(1000 * self._lease_s), *ids)
                for over in set(ids) - {lease.id for lease in self._held}:  # released meanwhile
                    await self._state.ask("ZREM", name, over)
