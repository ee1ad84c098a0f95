"""A server below a path of its proxy, as https://home.example.com/asr/.

Some proxies take the prefix away before they pass a request on, others leave it; both are understood. Between the two
layers a path is what it is without a prefix, so that no layer has to think of it. The router gets it with the prefix,
as ASGI has it.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPathTaker:
    """ASGI middleware, outermost: takes the prefix from the path, if it is there.

    A path that is the prefix alone is taken for a route of that name: Bazarr's `/asr` on a server below `/asr`.

    Args:
        app: The application behind.
        root_path: The prefix, as `/asr`.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "lifespan":
            scope["root_path"] = self.root_path
            if scope["path"].startswith(f"{self.root_path}/"):
                scope["path"] = scope["path"].removeprefix(self.root_path)
        await self.app(scope, receive, send)


class RootPathGiver:
    """ASGI middleware, innermost: gives the path its prefix back while the router works."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        path = scope.get("path")
        if path is None:
            await self.app(scope, receive, send)
            return
        scope["path"] = scope.get("root_path", "") + path
        try:
            await self.app(scope, receive, send)
        finally:
            scope["path"] = path
