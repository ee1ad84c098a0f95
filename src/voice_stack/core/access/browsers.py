"""Web pages of others: a server without keys must not be driven by whatever page its user has open.

A page of any origin can make a browser send a form with a file, or play a sound, without asking first; it only cannot
read the answer. Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`), and no page can forge that.
With a key such a request carries what only a friend knows, and is let through.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.access.host_names import HostName
from voice_stack.core.access.origins import ANY_ORIGIN
from voice_stack.core.access.refusal import refuse
from voice_stack.core.errors import PermissionDeniedError
from voice_stack.core.middleware import HEALTH_PATHS

_SAFE_METHODS = frozenset({"GET", "HEAD"})


class CrossSiteGuard:
    """ASGI middleware: refuses what a page of another origin sends without a key.

    Args:
        app: The application behind.
        origins: Origins that may, or `*`.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan" or scope["path"] in HEALTH_PATHS or scope["state"].get("api_key"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if may_come(scope.get("method", "GET"), headers, self.origins):
            await self.app(scope, receive, send)
        else:
            await refuse(_explain(headers.get("origin")), scope, receive, send)


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
        return method in _SAFE_METHODS and origin is None and (is_link or site == "same-site")
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
        f"A web page {whose} may not call this server. If it is yours, add its origin to CORS_ORIGINS, "
        "or let it send a key.",
        code="origin_not_allowed",
    )
