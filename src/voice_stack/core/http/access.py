"""Who is let in: keys and scopes, what each path needs, web pages of others, the names a server answers to.

A page of any origin can make a browser send a form with a file, or play a sound, without asking first; it only cannot
read the answer. Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`), and no page can forge that.
With a key such a request carries what only a friend knows, and is let through.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Scope

from voice_stack.core.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from voice_stack.core.http.context import HEALTH_PATHS, KEY_PATH, STATUS_BEHIND, Guard, client_of, is_docs, is_page
from voice_stack.core.http.keys import ADMIN, KeyFile, KeyRing, NamedKey, mask_key
from voice_stack.core.settings import ServerSettings
from voice_stack.core.system.addresses import ANY_ORIGIN, NOBODY, OPAQUE_ORIGINS, HostName, Networks

Access = Literal["open", "key", "closed"]
_READING = frozenset({"GET", "HEAD"})
KEY_PROTOCOL = "openai-insecure-api-key."
_OFFERED = "offered_key"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a request has to bring.

    Attributes:
        access: `key` only counts where there are keys.
        scopes: Scopes of which the key needs one; none: a key of any scope will do.
    """

    access: Access
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exemption:
    """Paths that need no key when they are asked for from certain networks."""

    paths: Collection[str] = ()
    networks: Networks = NOBODY

    def holds(self, path: str, client: str | None) -> bool:
        """Whether a client may ask for a path without a key."""
        return path in self.paths and self.networks.holds(client)


NO_EXEMPTION = Exemption()
ReadSecret = Callable[[str], Awaitable[Mapping[str, object] | None]]
"""What a short-lived secret in place of a key stands for, with the id of its maker's key as `api_key`; None: it is
none, or its time is over."""


class AccessRules:
    """The rules of one server.

    Args:
        settings: Of the server.
        server: Its name: the scope that its routes need.
        other_scopes: Paths -> a scope that will do as well for each and for what is below it.
    """

    def __init__(self, settings: ServerSettings, server: str, other_scopes: Mapping[str, str]) -> None:
        prefix = settings.api_v1_str
        self._work = Gate("key", (server,))
        self._shared = {path: Gate("key", (server, scope)) for path, scope in other_scopes.items()}
        self._docs = Gate(settings.docs_access)
        self._page = Gate("closed" if settings.docs_access == "closed" else "open")
        self._admin = Gate(settings.admin_access, (ADMIN,))
        self._models = f"{prefix}/models/"
        metrics, status, anybody = Gate(settings.metrics_access, (ADMIN,)), self._admin, Gate("key")
        self._by_path = {
            **dict.fromkeys(HEALTH_PATHS, Gate("open")),
            "/metrics": metrics,
            **dict.fromkeys(("/status", f"{prefix}/status", f"{prefix}/bazarr/status"), status),
            **dict.fromkeys(("", f"{prefix}/models", f"{prefix}/audio/models", KEY_PATH), anybody),
        }

    def find(self, method: str, path: str) -> Gate:
        """The gate before a path; `path` is without the prefix of a proxy."""
        if is_docs(path):
            return self._docs
        if is_page(path) and not (path == KEY_PATH and self._page.access == "open"):
            return self._page
        if path.startswith(self._models):
            return Gate("key") if method in _READING else self._admin
        if path.startswith(STATUS_BEHIND):
            return self._admin
        shared = (gate for above, gate in self._shared.items() if f"{path}/".startswith(f"{above}/"))
        return self._by_path.get(path.rstrip("/")) or next(shared, self._work)


class ApiKeys(Guard):
    """Lets pass who sends `Authorization: Bearer KEY` with a key that may do what is asked.

    A page can set no header on a WebSocket, and offers the key among its subprotocols: `openai-insecure-api-key.KEY`.
    Behind it `scope["state"]["api_key"]` is the `NamedKey`; it is absent where no key was needed. A secret opens
    WebSockets alone, for the key that it was made with and no longer than that may be used;
    `scope["state"]["client_secret"]` is what it stands for.
    """

    def __init__(
        self, app: ASGIApp, ring: KeyRing, rules: AccessRules, exemption: Exemption, read_secret: ReadSecret
    ) -> None:
        super().__init__(app)
        self.ring, self.rules, self.exemption, self.read_secret = ring, rules, exemption, read_secret

    async def check(self, scope: Scope) -> None:
        method, path = scope["method"], scope["path"]
        offered = ""
        if scope["type"] == "websocket":
            scope["state"][_OFFERED] = offered = _take_offered_key(scope)
            given = Headers(scope=scope).get("authorization", offered).partition(" ")[2].strip()
            if (secret := await self.read_secret(given)) is not None:
                await self.ring.refresh()
                maker = self.ring.find_by_id(secret.get("api_key"))
                if maker is not None or not self.ring.is_needed:
                    scope["state"]["client_secret"] = secret
                    self._admit(scope, maker)
                    return
        if self.exemption.holds(path, client_of(scope)):
            return
        gate = self.rules.find(method, path)
        if gate.access == "open":
            return
        if gate.access == "closed":
            raise NotFoundError(f"Unknown request URL: {method} {path}. The operator has closed it.")
        await self.ring.refresh()
        if self.ring.is_needed:
            self._admit(scope, self._require_key(Headers(scope=scope).get("authorization", offered), gate))

    def _admit(self, scope: Scope, key: NamedKey | None) -> None:
        if key is not None:
            self.ring.note_use(key)
            scope["state"]["api_key"] = key
            scope["state"].setdefault("log_fields", {})["key"] = key.name

    def _require_key(self, authorization: str, gate: Gate) -> NamedKey:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given:
            raise AuthenticationError(
                "You didn't provide an API key. Send one of this server's keys as `Authorization: Bearer KEY`."
            )
        key = self.ring.find(given.encode("latin-1"))
        if key is None:
            raise AuthenticationError(f"Incorrect API key provided: {mask_key(given)}.")
        if key.is_expired():
            raise AuthenticationError(
                f"The API key {key.name!r} ({key.hint}) has expired. Ask this server's operator for a new one.",
                code="expired_api_key",
            )
        if gate.scopes and not set(gate.scopes) & set(key.scopes):
            raise _lack_scopes(key, gate.scopes)
        return key


def require_scope(connection: HTTPConnection, scope: str) -> None:
    """See that a key, where one was needed, may do this, and not only something else at the same path.

    Raises:
        PermissionDeniedError: It may not.
    """
    key: NamedKey | None = connection.scope["state"].get("api_key")
    if key is not None and scope not in key.scopes:
        raise _lack_scopes(key, (scope,))


def _lack_scopes(key: NamedKey, scopes: Sequence[str]) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"You have insufficient permissions for this operation. Missing scopes: {' or '.join(scopes)}. "
        f"The API key {key.name!r} has: {', '.join(key.scopes)}.",
        code="missing_scope",
    )


def authorization_of(connection: HTTPConnection) -> str | None:
    """The caller's `Authorization`; on a WebSocket also the key among the subprotocols, as a header would say it."""
    return connection.headers.get("authorization") or connection.scope["state"].get(_OFFERED) or None


def _take_offered_key(scope: Scope) -> str:
    """The key among the subprotocols, as a header would say it; whatever comes behind sees it no more."""
    offered: list[str] = list(scope.get("subprotocols", ()))
    others = [name for name in offered if not name.startswith(KEY_PROTOCOL)]
    if len(others) == len(offered):
        return ""
    scope["subprotocols"], headers = others, MutableHeaders(scope=scope)
    del headers["sec-websocket-protocol"]
    if others:
        headers["sec-websocket-protocol"] = ", ".join(others)
    return "Bearer " + next(name for name in offered if name.startswith(KEY_PROTOCOL)).removeprefix(KEY_PROTOCOL)


def is_loopback(settings: ServerSettings) -> bool:
    """Whether only programs of this machine can reach the server by its address."""
    host = HostName.parse(settings.host if ":" not in settings.host else f"[{settings.host}]")
    return settings.socket is None and host is not None and host.is_this_machine


def has_keys(settings: ServerSettings) -> bool:
    """Whether requests need a key; see `KeyRing`.

    Raises:
        ConfigurationError: The file of keys cannot be looked at.
    """
    return bool(settings.api_keys) or KeyFile(settings.api_keys_file).signature() is not None


def exposure_warnings(settings: ServerSettings, is_locked: bool) -> Iterator[str]:
    """One sentence for each thing that is probably not meant.

    Args:
        settings: Of the server.
        is_locked: Whether requests need a key.
    """
    if not is_locked and settings.socket is None and not is_loopback(settings):
        yield (
            f"{settings.env_name('host')}={settings.host} and no key: everyone who reaches port {settings.port} may "
            "use this server. To ask for keys: voice-stack keys create NAME, or set API_KEYS"
        )
    for origin in sorted((OPAQUE_ORIGINS | {ANY_ORIGIN}) & set(settings.cors_origins)):
        if not is_locked:
            yield f"CORS_ORIGINS={origin} and no key: every web page that somebody here opens may use this server"


class CrossSiteGuard(Guard):
    """Refuses what a page of another origin sends without a key.

    Args:
        origins: Origins that may, or `*`.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app)
        self.origins = origins

    async def check(self, scope: Scope) -> None:
        is_known = "api_key" in scope["state"] or "client_secret" in scope["state"]
        if scope["path"] in HEALTH_PATHS or is_known:
            return
        headers = Headers(scope=scope)
        if not may_come(scope["method"], headers, self.origins):
            raise _explain(headers.get("origin"))


def may_come(method: str, headers: Headers, origins: Sequence[str]) -> bool:
    """Whether a request without a key comes from a program, from the server's own pages, or from an allowed origin.

    A link from another page to this one is followed, and pages of the same site may show what they cannot read.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if ANY_ORIGIN in origins or (origin is not None and origin.lower() in origins):
        return True
    if site is not None:
        if site in {"same-origin", "none"}:
            return True
        is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return method in _READING and origin is None and (is_link or site == "same-site")
    return origin is None or _is_own(origin, headers.get("host", ""))


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is this server's; some proxies leave the port away from the `Host` header."""
    try:
        given, own = HostName.parse(urlsplit(origin).netloc), HostName.parse(host)
    except ValueError:  # no browser writes such an origin
        return False
    if given is None or own is None or given.name != own.name:
        return False
    return own.port in {None, given.port}


def _explain(origin: str | None) -> PermissionDeniedError:
    whose = f"of the origin {origin[:200]!r}" if origin is not None else "of another site"
    return PermissionDeniedError(
        f"A web page {whose} may not call this server. If it is yours, add {(origin or 'its origin')[:200]} to "
        "CORS_ORIGINS, a setting of the server.",
        code="origin_not_allowed",
    )


class AllowedHosts(Guard):
    """Refuses requests to other names. Probes of health ask by any address and are let through.

    Args:
        names: The names of `ALLOWED_HOSTS`; this machine's own are always among them.
        own_name: What the server listens on.
        is_guarded: Whether, while `names` is empty, only names are answered that nobody on the internet can own.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], own_name: str, is_guarded: Callable[[], bool]) -> None:
        super().__init__(app)
        self.names, self.own_name, self.is_guarded = names, own_name.lower(), is_guarded

    async def check(self, scope: Scope) -> None:
        if scope["path"] in HEALTH_PATHS:
            return
        given = Headers(scope=scope).getlist("host")
        if len(given) != 1 or not self._is_allowed(given[0]):
            shown = given[0][:200] if given else "nothing"
            raise InvalidRequestError(
                f"This server does not answer to the name {shown!r} (Host header). If the name is yours, add it to "
                "ALLOWED_HOSTS, or give this server a key.",
                code="host_not_allowed",
            )

    def _is_allowed(self, given: str) -> bool:
        if not self.names and not self.is_guarded():
            return True
        host = HostName.parse(given)
        if host is None:
            return False
        if host.is_this_machine or host.name == self.own_name:
            return True
        return host.matches(self.names) if self.names else host.is_private
