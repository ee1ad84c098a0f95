"""Streamed responses that clean up after themselves."""

from collections.abc import AsyncIterable, Mapping
from contextlib import AsyncExitStack

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class OwningStreamingResponse(StreamingResponse):
    """A stream together with what it needs to stay open; all of it is closed when the response is over.

    A generator's own `finally` is not enough: a client that leaves before the first byte means it never begins.

    Args:
        content: The body, piece by piece.
        owned: Closed at the end, however that comes.
        media_type: As sent in `Content-Type`.
        headers: Further headers.
    """

    def __init__(
        self,
        content: AsyncIterable[bytes],
        owned: AsyncExitStack,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._owned = owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owned:
            await super().__call__(scope, receive, send)
