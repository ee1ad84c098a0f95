"""Who asks, and how much of what is allowed has been used: a table that does not grow without end."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Scope

from voice_stack.core.limits.token_bucket import TokenBucket

MAX_CALLERS = 10_000
IPV6_PREFIX = 64
"""One customer of a provider has at least so large a network: a single IPv6 address says nothing."""


class LimitedKey(Protocol):
    """What an API key says of its limits; None: those of the server."""

    @property
    def name(self) -> str: ...

    @property
    def requests_per_minute(self) -> int | None: ...

    @property
    def jobs_at_once(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may do; 0: as much as they like."""

    per_minute: int = 0
    at_once: int = 0


@dataclass(slots=True)
class Usage:
    """What one caller does: a bucket where requests are counted by the minute, and how many are open."""

    bucket: TokenBucket | None = None
    open: int = 0


@dataclass(slots=True)
class Callers:
    """Usage by caller; the one that has been quiet for longest is forgotten when the table is full."""

    max_callers: int = MAX_CALLERS
    _usage: OrderedDict[str, Usage] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._usage)

    def find(self, caller: str, per_minute: int, now: float) -> Usage:
        """The usage of a caller, with a bucket for so many requests a minute if not 0."""
        usage = self._usage.setdefault(caller, Usage())
        self._usage.move_to_end(caller)
        if per_minute and (usage.bucket is None or usage.bucket.limit != per_minute):
            usage.bucket = TokenBucket(per_minute, float(per_minute), now)
        while len(self._usage) > self.max_callers:
            self._usage.popitem(last=False)
        return usage


def name_client(host: str) -> str:
    """How a client is counted: an IPv4 address by itself, an IPv6 address by its network of 64 bits."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def name_caller(scope: Scope) -> str:
    """Who sent a request, where all that one caller has is counted together: by key, or by address without keys."""
    key: LimitedKey | None = scope.get("state", {}).get("api_key")
    client = scope.get("client")
    if key is not None:
        return f"key {key.name}"
    return f"client {name_client(client[0])}" if client else "client unknown"
