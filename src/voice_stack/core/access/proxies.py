"""Who a request comes from, behind reverse proxies.

`X-Forwarded-For` is a list to which each proxy adds the address that it was called from. Only what a trusted proxy
added is true, so the list is read from the right until an address is no trusted proxy's. The other headers are lists
only where several proxies add to them; the same place from the right counts.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.access.host_names import HostName
from voice_stack.core.access.networks import Networks, parse_address

_SECURE = {("http", "https"): "https", ("http", "http"): "http", ("websocket", "https"): "wss"}
_SECURE |= {("websocket", "http"): "ws", ("websocket", "wss"): "wss", ("websocket", "ws"): "ws"}
"""Type of the connection and `X-Forwarded-Proto` -> scheme."""


class TrustedProxies:
    """ASGI middleware: client, scheme and `Host` as the trusted proxies saw them; from others the headers mean nothing.

    Args:
        app: The application behind.
        proxies: Whose headers are believed.
    """

    def __init__(self, app: ASGIApp, proxies: Networks) -> None:
        self.app = app
        self.proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "lifespan" and self.proxies.holds(_peer(scope)):
            self._apply(scope, Headers(scope=scope))
        await self.app(scope, receive, send)

    def _apply(self, scope: Scope, headers: Headers) -> None:
        client, hops = find_client(_split(headers, "x-forwarded-for"), self.proxies)
        if client is not None:
            scope["client"] = (client, 0)
        proto = _pick(_split(headers, "x-forwarded-proto"), hops).lower()
        scope["scheme"] = _SECURE.get((scope["type"], proto), scope["scheme"])
        host = _pick(_split(headers, "x-forwarded-host"), hops)
        if HostName.parse(host) is not None:
            MutableHeaders(scope=scope)["host"] = host


def find_client(addresses: Sequence[str], proxies: Networks) -> tuple[str | None, int]:
    """The client among the addresses of `X-Forwarded-For`.

    Args:
        addresses: As they stand there, the nearest last.
        proxies: Whose entries are believed.

    Returns:
        The client's address, None if the nearest entry is no address; and how many entries were read, at least 1.
    """
    client: str | None = None
    for hops, entry in enumerate(reversed(addresses), start=1):
        address = parse_address(_without_port(entry))
        if address is None:
            # What a proxy could not tell is no reason to believe what stands left of it.
            return client, max(hops - 1, 1)
        client = str(address)
        if not proxies.holds(client):
            return client, hops
    return client, max(len(addresses), 1)


def _without_port(entry: str) -> str:
    """`192.0.2.1:4711` and `[2001:db8::1]:4711` have ports, `2001:db8::1` has none."""
    if entry.startswith("["):
        return entry.partition("]")[0].removeprefix("[")
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _split(headers: Headers, name: str) -> list[str]:
    return [part.strip() for value in headers.getlist(name) for part in value.split(",")]


def _pick(values: Sequence[str], hops: int) -> str:
    """The value that belongs to the client; empty if there is none."""
    return values[-min(hops, len(values))] if values else ""


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None
