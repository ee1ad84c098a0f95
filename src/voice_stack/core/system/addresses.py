"""Networks, host names and web origins, as the settings and the requests name them.

A page on the internet can have its own name resolved to an address of this machine or of its network (DNS rebinding);
for the browser the server is then part of that page. The name in the `Host` header gives it away.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self
from urllib.parse import urlsplit

UNIX = "unix"
"""Stands for whoever comes through the server's Unix socket, where nobody has an address."""


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of addresses.

    Attributes:
        networks: A single address is a network of one.
        has_unix: Whoever comes through a Unix socket belongs to it.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    has_unix: bool = False

    def holds(self, address: str | None) -> bool:
        """Whether an address belongs to it; None stands for a connection through a Unix socket."""
        if address is None:
            return self.has_unix
        found = parse_address(address)
        return found is not None and any(found in network for network in self.networks)


NOBODY = Networks()
ANYBODY = Networks((ip_network("0.0.0.0/0"), ip_network("::/0")), has_unix=True)


def parse_networks(entries: Sequence[str]) -> Networks:
    """The set that is written `192.168.1.0/24`, `10.0.0.5`, `unix`.

    Raises:
        ValueError: An entry is none of these.
    """
    networks = []
    for entry in entries:
        if entry == UNIX:
            continue
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            raise ValueError(
                f"{entry!r} is no address and no network; write 192.168.1.20, 192.168.1.0/24, fd00::/8 or unix"
            ) from None
    return Networks(tuple(networks), UNIX in entries)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without its zone; one of IPv4 that came through an IPv6 socket is one of IPv4. None: no address."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


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


def is_near(host: str) -> bool:
    """Whether a host is this machine or in its own network, where no proxy leads."""
    address, name = parse_address(host), HostName.parse(host)
    return not address.is_global if address is not None else name is not None and name.is_private


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


ANY_ORIGIN = "*"
OPAQUE_ORIGINS = frozenset({"null", "file://"})
"""What browsers and web views call pages without a place of their own; any page can make itself one of these."""


def check_origins(entries: Sequence[str]) -> list[str]:
    """The entries of `CORS_ORIGINS` as browsers write them.

    Raises:
        ValueError: One is no origin, or `*` is not alone.
    """
    if ANY_ORIGIN in entries and len(entries) > 1:
        raise ValueError("'*' allows every origin, so it stands alone")
    return [entry if entry in OPAQUE_ORIGINS | {ANY_ORIGIN} else _check_origin(entry) for entry in entries]


def _check_origin(entry: str) -> str:
    parts = urlsplit(entry)
    host = HostName.parse(parts.netloc)
    if not parts.scheme or host is None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{entry!r} is no origin; write https://app.example.com, app://obsidian.md, null or *")
    has_usual_port = (parts.scheme, host.port) in {("http", 80), ("https", 443)}
    netloc = parts.netloc.rpartition(":")[0] if has_usual_port else parts.netloc
    return f"{parts.scheme}://{netloc}".lower()
