"""Who calls, as the servers behind are told."""

from starlette.requests import HTTPConnection

from voice_stack.chat.conversation import Caller
from voice_stack.core.http.access import authorization_of


def caller_of(connection: HTTPConnection) -> Caller:
    """Who sent a request, or opened a WebSocket; a short-lived key of this server means nothing to others."""
    is_short_lived = "client_secret" in connection.scope["state"]
    return Caller(None if is_short_lived else authorization_of(connection), connection.state.request_id)
