"""APIs of other services, spoken beside OpenAI's: how their clients show a key, and how they read errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.http.context import SHOW_ERROR, ErrorFields, Layer, ShowError, note_answer_headers

XI_API_KEY = "xi-api-key"
TOKEN_PROTOCOLS = ("token", "bearer")
"""Subprotocols with which Deepgram's clients in browsers announce that the next one is the key."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One of them.

    Attributes:
        paths: Where it is spoken, there and below.
        keyed_paths: Where it is spoken to who brings its key, and OpenAI's API to all others.
        id_header: Where its clients look for the id of a request.
        take_key: The key that a request brings in this wire's own way, empty if none; a WebSocket has it no more then.
        show_error: The body of an error.
    """

    paths: tuple[str, ...]
    id_header: str
    take_key: Callable[[Scope], str]
    show_error: ShowError
    keyed_paths: tuple[str, ...] = ()

    def holds(self, scope: Scope) -> bool:
        """Whether a request is in its words."""
        path = scope["path"]
        if path in self.keyed_paths:
            return XI_API_KEY in Headers(scope=scope)
        return any(f"{path}/".startswith(f"{above}/") for above in self.paths)


class Wires(Layer):
    """Makes requests in the words of other services ones that every layer behind it understands."""

    def __init__(self, app: ASGIApp, wires: Sequence[Wire]) -> None:
        super().__init__(app)
        self.wires = wires

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if wire := next((wire for wire in self.wires if wire.holds(scope)), None):
            scope["state"][SHOW_ERROR] = wire.show_error
            note_answer_headers(scope, {wire.id_header: scope["state"]["request_id"]})
            if key := wire.take_key(scope):
                MutableHeaders(scope=scope)["authorization"] = f"Bearer {key}"
        await self.app(scope, receive, send)


_ELEVENLABS_STATUS = {
    "missing_scope": "missing_permissions",
    "queue_full": "system_busy",
    "string_above_max_length": "max_character_limit_exceeded",
    "too_many_open_requests": "too_many_concurrent_requests",
}
"""What ElevenLabs calls what we call otherwise."""
_ELEVENLABS_NAMES = {
    "input": "text",
    "voice": "voice_id",
    "response_format": "output_format",
    "model": "model_id",
    "language": "language_code",
}


def elevenlabs_wire(prefix: str) -> Wire:
    """ElevenLabs' REST API; `prefix` stands before the routes of OpenAI's."""
    names = ("text-to-speech", "speech-to-text", "voices")
    paths = (*(f"{prefix}/{name}" for name in names), second_version(prefix))
    return Wire(paths, "request-id", _take_xi_key, _show_elevenlabs, (f"{prefix}/models",))


def second_version(prefix: str) -> str:
    """Where ElevenLabs' `/v2/voices` is: beside `/v1`."""
    return f"{prefix.removesuffix('/v1')}/v2/voices"


def _take_xi_key(scope: Scope) -> str:
    return Headers(scope=scope).get(XI_API_KEY, "").strip()


def _show_elevenlabs(status: int, error: ErrorFields, request_id: str) -> dict[str, object]:
    code, param, message = error["code"] or error["type"], error["param"] or "", error["message"] or ""
    if param == "voice" and "does not exist" in message:
        code = "voice_not_found"
    if param in _ELEVENLABS_NAMES:
        message = message.replace(f"{param}=", f"{_ELEVENLABS_NAMES[param]}=", 1)
    return {"detail": {"status": _ELEVENLABS_STATUS.get(code or "", code), "message": message}}


_DEEPGRAM_CODES = {401: "INVALID_AUTH", 403: "INSUFFICIENT_PERMISSIONS", 429: "TOO_MANY_REQUESTS"}


def deepgram_wire(prefix: str) -> Wire:
    """Deepgram's API; `prefix` stands before the routes of OpenAI's."""
    return Wire((f"{prefix}/listen", f"{prefix}/speak"), "dg-request-id", _take_token, show_deepgram)


def _take_token(scope: Scope) -> str:
    offered = list(scope.get("subprotocols", ()))
    if len(offered) > 1 and offered[0].lower() in TOKEN_PROTOCOLS:
        scope["subprotocols"] = offered[:1]
        MutableHeaders(scope=scope)["sec-websocket-protocol"] = offered[0]
        return str(offered[1])
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "token" else ""


def show_deepgram(status: int, error: ErrorFields, request_id: str) -> dict[str, object]:
    """An error as Deepgram tells it."""
    code = _DEEPGRAM_CODES.get(status) or (error["code"] or error["type"] or "").upper()
    return {"err_code": code, "err_msg": error["message"], "request_id": request_id}
