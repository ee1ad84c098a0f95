"""The `Host` header: its parts, and which names it may have.

A page on the internet can have its own name resolved to an address of this machine or of its network (DNS rebinding);
for the browser the server is then part of that page. The name in the `Host` header gives it away.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from voice_stack.core.access.networks import parse_address

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_PRIVATE_DOMAINS = ("localhost", "local", "internal", "lan", "home.arpa", "test")
"""Ends of names that nobody can register on the internet: RFC 2606, 6761, 6762, 8375, ICANN on `.internal`; `.lan` is
what home routers call their network."""


@dataclass(frozen=True, slots=True)
class HostName:
    """What a `Host` header says.

    Attributes:
        name: Lower case, without the dot at the end; addresses without brackets.
        port: None where none is written.
    """

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The parts of a header; None if it is no host."""
        match = _HOST.fullmatch(text)
        if match is None:
            return None
        name = match["name"].strip("[]").lower().removesuffix(".")
        return cls(name, int(match["port"]) if match["port"] else None)

    @property
    def is_private(self) -> bool:
        """Whether nobody on the internet can own the name: an address, one word, or below a private domain."""
        if parse_address(self.name) is not None or "." not in self.name:
            return True
        return any(self.name.endswith(f".{domain}") for domain in _PRIVATE_DOMAINS)

    @property
    def is_this_machine(self) -> bool:
        """Whether the name means the machine it is used on: `localhost` and its addresses."""
        address = parse_address(self.name)
        return self.name == "localhost" or (address is not None and address.is_loopback)

    def matches(self, patterns: Collection[str]) -> bool:
        """Whether one of the patterns fits: a name, `*.example.com` for all names below one, `*` for all."""
        return any(_fits(self.name, pattern) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in {"*", name}


def check_patterns(entries: Collection[str]) -> list[str]:
    """The entries of `ALLOWED_HOSTS` in lower case.

    Raises:
        ValueError: One is no name of a host.
    """
    return [_check_pattern(entry) for entry in entries]


def _check_pattern(entry: str) -> str:
    if entry == "*":
        return entry
    host = HostName.parse(entry.removeprefix("*."))
    if host is None and (address := parse_address(entry)) is not None:
        return str(address)
    if host is None or host.port is not None:
        raise ValueError(f"{entry!r} is no name of a host; write asr.example.com, *.example.com, 192.168.1.20 or *")
    return f"*.{host.name}" if entry.startswith("*.") else host.name
