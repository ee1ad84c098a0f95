"""Who calls, as the servers behind are told."""

from starlette.requests import HTTPConnection

from voice_stack.chat.conversation import Caller


def caller_of(connection: HTTPConnection) -> Caller:
    """Who sent a request, or opened a WebSocket."""
    state = connection.scope.get("state", {})
    return Caller(connection.headers.get("authorization") or state.get("offered_key"), state.get("request_id"))
