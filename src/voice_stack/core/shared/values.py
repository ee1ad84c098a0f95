"""Values that replicas share, each for a while, and lists that grow: JSON, bounded, and checked when it comes."""

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from voice_stack.core.shared.state import SharedState

T = TypeVar("T")

MAX_BYTES = 4 << 20
"""Of an entry as it is kept; larger ones are not shared."""
MAX_PLAIN_BYTES = 64 << 20
"""Of an entry when it is unpacked: the transcript of a long film with all its words takes some 10 MB."""
_QUICK_BYTES = 64 << 10
"""Packed, unpacked and checked within a millisecond or two."""


class SharedValues(Generic[T]):
    """Values of one kind by their keys; lives on the event loop.

    Args:
        state: Where they are.
        kind: What they are called there.
        shape: What a value looks like: one that does not is a miss, told in the log and removed.
        ttl_s: How long one is kept, in seconds.
    """

    def __init__(self, state: SharedState, kind: str, shape: TypeAdapter[T], ttl_s: float) -> None:
        self._state, self._kind, self._shape, self._ttl_s = state, kind, shape, ttl_s

    async def find(self, key: str) -> T | None:
        """The value of a key; None: there is none, or it cannot be had."""
        if not self._state.is_on:
            return None
        name = self._state.name(self._kind, key)
        packed = await self._state.ask("GETRANGE", name, 0, MAX_BYTES)
        if not isinstance(packed, bytes) or not packed:
            self._state.count(self._kind, "miss")
            return None
        try:
            # A kilobyte can be a megabyte when it is unpacked.
            value = self._read(packed) if len(packed) <= 1024 else await asyncio.to_thread(self._read, packed)
        except (ValueError, zlib.error, RecursionError) as error:
            await self._state.remove_damaged(self._kind, name, error)
            return None
        self._state.count(self._kind, "hit")
        return value

    async def keep(self, key: str, value: T, ttl_s: float | None = None) -> None:
        """Keep a value, if it can be; `ttl_s` in place of the usual."""
        if not self._state.is_on:
            return
        plain = await asyncio.to_thread(self._shape.dump_json, value)
        packed = _pack(plain) if len(plain) < _QUICK_BYTES else await asyncio.to_thread(_pack, plain)
        ttl_ms = int(1000 * (self._ttl_s if ttl_s is None else ttl_s))
        if len(packed) > MAX_BYTES or ttl_ms <= 0:
            self._state.count(self._kind, "refused")
            return
        await self._state.ask("SET", self._state.name(self._kind, key), packed, "PX", ttl_ms)
        self._state.count(self._kind, "kept")

    def _read(self, packed: bytes) -> T:
        return self._shape.validate_json(_unpack(packed))


def _pack(plain: bytes) -> bytes:
    return zlib.compress(plain, level=1)


def _unpack(packed: bytes) -> bytes:
    """Raise ValueError or `zlib.error` for what is none of ours, or would be too large."""
    if len(packed) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(packed, MAX_PLAIN_BYTES)
    if not unpacking.eof:
        raise ValueError(f"it is cut, or has more than {MAX_PLAIN_BYTES} bytes unpacked")
    return plain


_APPEND = """
local place = tonumber(ARGV[1])
if place == 0 then redis.call('DEL', KEYS[1]) end
if redis.call('LLEN', KEYS[1]) ~= place then return -1 end
for i = 3, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('LLEN', KEYS[1])
"""
_READ = """
local items = redis.call('LRANGE', KEYS[1], 0, -1)
local size = 0
for _, item in ipairs(items) do size = size + #item end
if size > tonumber(ARGV[1]) then return {0} end
return {redis.call('PTTL', KEYS[1]), items}
"""


@dataclass(frozen=True, slots=True)
class SharedItems(Generic[T]):
    """A list as it is now.

    Attributes:
        items: In order, at least one.
        age_s: Seconds since who makes it last gave a sign of life.
    """

    items: Sequence[T]
    age_s: float


class SharedLists(Generic[T]):
    """Lists that one replica makes and others read; lives on the event loop.

    Args:
        state: Where they are.
        kind: What they are called there.
        shape: What an item looks like: a list with another one is a miss, told in the log and removed.
        ttl_s: How long one is kept after the last change or sign of life, in seconds.
    """

    def __init__(self, state: SharedState, kind: str, shape: TypeAdapter[T], ttl_s: float) -> None:
        self._state, self._kind, self._shape, self._ttl_s = state, kind, shape, ttl_s

    @property
    def is_on(self) -> bool:
        """Whether anything is shared."""
        return self._state.is_on

    async def extend(self, key: str, items: Sequence[T], known: int) -> int:
        """Add what is new, or give a sign of life.

        Args:
            key: Of the list.
            items: All of it by now.
            known: How many of them were there when it was last asked.

        Returns:
            How many are there now.
        """
        name, ttl_ms = self._state.name(self._kind, key), int(1000 * self._ttl_s)
        for place in (known, 0):  # from the beginning where the store has lost it, or has more than it told
            new = [self._shape.dump_json(item) for item in items[place:]]
            length = await self._state.ask("EVAL", _APPEND, 1, name, place, ttl_ms, *new)
            if not isinstance(length, int):
                break
            if length >= 0:
                self._state.count(self._kind, "kept")
                return length
        self._state.count(self._kind, "refused")
        return known

    async def find(self, key: str) -> SharedItems[T] | None:
        """The list of a key; None: there is none, or it cannot be had."""
        if not self._state.is_on:
            return None
        name = self._state.name(self._kind, key)
        reply = await self._state.ask("EVAL", _READ, 1, name, MAX_BYTES)
        match reply:
            case [int(left_ms), [_, *_] as items]:
                try:
                    read = await asyncio.to_thread(self._read, items)
                except ValueError as error:
                    await self._state.remove_damaged(self._kind, name, error)
                    return None
                self._state.count(self._kind, "hit")
                return SharedItems(read, max(0.0, self._ttl_s - left_ms / 1000))
        self._state.count(self._kind, "miss")
        return None

    def _read(self, items: Sequence[object]) -> list[T]:
        return [self._shape.validate_json(item) for item in items if isinstance(item, bytes)]
