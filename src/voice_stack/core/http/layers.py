"""What every request passes on its way to a route, outermost last; the proxies before it.

`X-Forwarded-For` is a list to which each proxy adds the address that it was called from. Only what a trusted proxy
added is true, so the list is read from the right until an address is no trusted proxy's. The other headers are lists
only where several proxies add to them; the same place from the right counts.

Some proxies take the prefix away before they pass a request on, others leave it; both are understood. Between the two
layers a path is what it is without a prefix, so that no layer has to think of it. The router gets it with the prefix,
as ASGI has it.
"""

from collections.abc import Collection, Mapping, Sequence

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.http.access import (
    AccessRules,
    AllowedHosts,
    ApiKeys,
    CrossSiteGuard,
    Exemption,
    ReadSecret,
    is_loopback,
)
from voice_stack.core.http.context import (
    DOCS_ASSETS,
    DOCS_PATHS,
    HEALTH_PATHS,
    STATUS_BEHIND,
    Layer,
    OutgoingHead,
    RequestContext,
    client_of,
    is_page,
)
from voice_stack.core.http.keys import KeyRing
from voice_stack.core.http.limits import Allowance, RequestLimits, UploadTimes
from voice_stack.core.http.page import PageAtRoot
from voice_stack.core.http.serving import StopGate, Stopping
from voice_stack.core.http.wires import Wire, Wires
from voice_stack.core.settings import ServerSettings
from voice_stack.core.shared.state import SharedState
from voice_stack.core.system.addresses import HostName, Networks, parse_address, parse_networks


class TrustedProxies(Layer):
    """Client, scheme and `Host` as the trusted proxies saw them; from others the headers mean nothing."""

    def __init__(self, app: ASGIApp, proxies: Networks) -> None:
        super().__init__(app)
        self.proxies = proxies

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.proxies.holds(client_of(scope)):
            self._apply(scope, Headers(scope=scope))
        await self.app(scope, receive, send)

    def _apply(self, scope: Scope, headers: Headers) -> None:
        client, hops = find_client(_split(headers, "x-forwarded-for"), self.proxies)
        if client is not None:
            scope["client"] = (client, 0)
        proto = _pick(_split(headers, "x-forwarded-proto"), hops).lower()
        if proto in {"http", "https", "ws", "wss"}:
            secure = "s" if proto in {"https", "wss"} else ""
            scope["scheme"] = ("http" if scope["type"] == "http" else "ws") + secure
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


class RootPathTaker(Layer):
    """Outermost: takes the prefix from the path, if it is there.

    A path that is the prefix alone is taken for a route of that name: Bazarr's `/asr` on a server below `/asr`.

    Args:
        root_path: The prefix, as `/asr`.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        super().__init__(app)
        self.root_path = root_path

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = self.root_path
        if scope["path"].startswith(f"{self.root_path}/"):
            scope["path"] = scope["path"].removeprefix(self.root_path)
        await self.app(scope, receive, send)


class RootPathGiver(Layer):
    """Innermost: gives the path its prefix back while the router works."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        scope["path"] = scope.get("root_path", "") + path
        try:
            await self.app(scope, receive, send)
        finally:
            scope["path"] = path


def _add_limit_layers(
    app: FastAPI, settings: ServerSettings, stopping: Stopping, held_paths: Collection[str], shared: SharedState
) -> None:
    """From the inside out: times of uploads, limits of callers, the stop of the server."""
    own_paths = {"/", "/status", "/metrics", f"{settings.api_v1_str}/status"}
    unlimited = HEALTH_PATHS | DOCS_PATHS | own_paths | set(held_paths)

    def is_limited(path: str) -> bool:
        return not (path in unlimited or path.startswith((DOCS_ASSETS, STATUS_BEHIND)) or is_page(path))

    app.add_middleware(UploadTimes, idle_s=settings.upload_timeout_s, stopping=stopping)
    default = Allowance(settings.requests_per_minute_per_client, settings.requests_at_once_per_client)
    app.add_middleware(RequestLimits, default=default, is_limited=is_limited, shared=shared)
    app.add_middleware(StopGate, stopping=stopping)


EXPOSED_HEADERS = (
    "x-request-id",
    "x-replica",
    "x-ignored-fields",
    "x-fallback",
    "x-fallback-model",
    "x-provider",
    "x-warnings",
    "x-cache",
    "x-captions",
    "x-left-out",
    "x-duration-seconds",
    "x-voice-used",
    "etag",
    "retry-after",
    "x-queue-wait-s",
    "x-queue-jobs",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""Headers of answers that a web page of another origin may read."""


def add_layers(
    app: FastAPI,
    settings: ServerSettings,
    server: str,
    ring: KeyRing,
    exemption: Exemption,
    read_secret: ReadSecret,
    *,
    stopping: Stopping,
    held_paths: Collection[str],
    other_scopes: Mapping[str, str],
    has_page_at_root: bool,
    wires: Sequence[Wire],
    shared: SharedState,
) -> None:
    """From the inside out: limits, who may do what, CORS (preflights need no key, a 401 can be read), names, log."""
    app.add_middleware(RootPathGiver)
    _add_limit_layers(app, settings, stopping, held_paths, shared)
    app.add_middleware(CrossSiteGuard, origins=settings.cors_origins)
    rules = AccessRules(settings, server, other_scopes)
    app.add_middleware(ApiKeys, ring=ring, rules=rules, exemption=exemption, read_secret=read_secret)
    if has_page_at_root and settings.docs_access != "closed":
        app.add_middleware(PageAtRoot)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials="*" not in settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(
        AllowedHosts,
        names=settings.allowed_hosts,
        own_name=settings.host,
        is_guarded=lambda: is_loopback(settings) and not ring.is_needed,
    )
    if wires:
        app.add_middleware(Wires, wires=wires)
    app.add_middleware(RequestContext)
    app.add_middleware(
        OutgoingHead,
        has_origins=bool(settings.cors_origins),
        is_stopping=lambda: stopping.is_announced,
        replica=settings.replica_name,
    )
    if settings.root_path:
        app.add_middleware(RootPathTaker, root_path=settings.root_path)
    if settings.trusted_proxies:
        app.add_middleware(TrustedProxies, proxies=parse_networks(settings.trusted_proxies))
