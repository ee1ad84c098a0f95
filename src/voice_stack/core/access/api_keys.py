"""Who is let in: keys, their scopes, and the few who need none."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.access.refusal import refuse
from voice_stack.core.access.rules import AccessRules, Exemption, Gate
from voice_stack.core.errors import AuthenticationError, NotFoundError, PermissionDeniedError, VoiceStackError
from voice_stack.core.keys import KeyRing, NamedKey, mask_key


class ApiKeys:
    """ASGI middleware: lets pass who sends `Authorization: Bearer KEY` with a key that may do what is asked.

    Behind it `scope["state"]["api_key"]` is the `NamedKey`; it is absent where no key was needed.

    Args:
        app: The application behind.
        ring: The keys.
        rules: What each path needs.
        exemption: Who needs no key for what.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing, rules: AccessRules, exemption: Exemption) -> None:
        self.app = app
        self.ring = ring
        self.rules = rules
        self.exemption = exemption

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await self._check(scope)
        except VoiceStackError as error:
            await refuse(error, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        """Return if the request may pass; its key is then in the scope's state."""
        path, client = scope["path"], scope.get("client")
        if self.exemption.holds(path, client[0] if client else None):
            return
        method = scope.get("method", "GET")
        gate = self.rules.find(method, path)
        if gate.access == "open":
            return
        if gate.access == "closed":
            raise NotFoundError(f"Unknown request URL: {method} {path}. The operator has closed it.")
        await self.ring.refresh()
        if self.ring.is_needed:
            key = self._require_key(Headers(scope=scope).get("authorization", ""), gate)
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
        if gate.scope is not None and gate.scope not in key.scopes:
            raise PermissionDeniedError(
                f"You have insufficient permissions for this operation. Missing scopes: {gate.scope}. "
                f"The API key {key.name!r} has: {', '.join(key.scopes)}.",
                code="missing_scope",
            )
        return key
