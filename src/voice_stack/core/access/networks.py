"""Addresses and networks of the settings, and whether an address is among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

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

    @property
    def is_empty(self) -> bool:
        """Whether nobody belongs to it."""
        return not self.networks and not self.has_unix

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
