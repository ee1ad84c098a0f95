"""Which names a server answers to; see `voice_stack.core.access.host_names` for the reason."""

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.access.host_names import HostName
from voice_stack.core.access.refusal import refuse
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.middleware import HEALTH_PATHS


class AllowedHosts:
    """ASGI middleware: refuses requests to other names. Probes of health ask by any address and are let through.

    Args:
        app: The application behind.
        names: The names of `ALLOWED_HOSTS`; this machine's own are always among them.
        own_name: What the server listens on.
        is_guarded: Whether, while `names` is empty, only names are answered that nobody on the internet can own.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], own_name: str, is_guarded: Callable[[], bool]) -> None:
        self.app = app
        self.names = names
        self.own_name = own_name.lower()
        self.is_guarded = is_guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan" or scope["path"] in HEALTH_PATHS:
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        if len(given) == 1 and self._is_allowed(given[0]):
            await self.app(scope, receive, send)
        else:
            await refuse(self._explain(given), scope, receive, send)

    def _is_allowed(self, given: str) -> bool:
        if not self.names and not self.is_guarded():
            return True
        host = HostName.parse(given)
        if host is None:
            return False
        if host.is_this_machine or host.name == self.own_name:
            return True
        return host.matches(self.names) if self.names else host.is_private

    def _explain(self, given: list[str]) -> InvalidRequestError:
        shown = given[0][:200] if given else "nothing"
        return InvalidRequestError(
            f"This server does not answer to the name {shown!r} (Host header). If the name is yours, add it to "
            "ALLOWED_HOSTS, or give this server a key.",
            code="host_not_allowed",
        )
