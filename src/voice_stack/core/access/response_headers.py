"""Headers that tell browsers and caches what an answer is not: a page, a frame, a thing to keep."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.middleware import DOCS_ASSETS, is_docs

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Whatever an answer of the API holds, a browser that shows it runs and loads nothing."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The docs pages start by a script and styles inside them; they show nothing that a request brought."""


class ResponseHeaders:
    """ASGI middleware: security headers on every answer, errors too; what a route has set stays.

    Args:
        app: The application behind.
        has_origins: Web pages of other origins may use the answers.
    """

    def __init__(self, app: ASGIApp, *, has_origins: bool) -> None:
        self.app = app
        self.headers = {
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "cross-origin" if has_origins else "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(path, MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add(self, path: str, headers: MutableHeaders) -> None:
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        headers.setdefault("content-security-policy", DOCS_POLICY if is_docs(path) else API_POLICY)
        if not path.startswith(DOCS_ASSETS):
            # An answer with a tag may be kept, but by its client alone, and is asked for again.
            headers.setdefault("cache-control", "private, no-cache" if "etag" in headers else "no-store")
