"""Answers of layers that let a request go no further."""

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from voice_stack.core.errors import VoiceStackError

POLICY_VIOLATION = 1008
"""How a WebSocket is closed that is not let in (RFC 6455, 7.4.1)."""


async def refuse(error: VoiceStackError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error, or close a WebSocket before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.message[:100]})
        return
    await JSONResponse(error.body(), error.status, error.headers())(scope, receive, send)
