"""Headers that go with whatever answer a request gets: also with an error, which knows nothing of them."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "answer_headers"


def add_answer_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Note headers for the answer of a request; harmless when its status is out already."""
    note_answer_headers(request.scope, headers)


def note_answer_headers(scope: Scope, headers: Mapping[str, str]) -> None:
    """As `add_answer_headers`, for what sits below requests."""
    scope.setdefault("state", {}).setdefault(_KEY, {}).update(headers)


class AnswerHeaders:
    """ASGI middleware that puts them in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(scope.get("state", {}).get(_KEY, {}))
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
