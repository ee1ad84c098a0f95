"""One address: which requests go on to the ASR and the TTS server, and as whom."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import TypeAdapter
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidStatus

from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.socket_passing import open_behind, talk
from voice_stack.chat.upstream import Head, RawHeaders, Upstream, end_to_end
from voice_stack.core.errors import NotFoundError, UpstreamError
from voice_stack.core.http.access import authorization_of
from voice_stack.core.http.context import add_log_fields, client_of
from voice_stack.core.http.realtime import EPHEMERAL_PREFIX, LONGEST_S
from voice_stack.core.http.wires import XI_API_KEY
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedValues

Server = Literal["asr", "tts"]
API_PATHS: Mapping[str, Server] = {
    "/audio/alignments": "asr",
    "/audio/diarization": "asr",
    "/audio/speech": "tts",
    "/audio/transcriptions": "asr",
    "/audio/translations": "asr",
    "/audio/voice_consents": "tts",
    "/audio/voices": "tts",
    "/bazarr": "asr",
    "/jobs": "asr",
    "/listen": "asr",
    "/realtime": "asr",
    "/text-to-speech": "tts",
    "/voices": "tts",
}
"""What is passed on, below the API's prefix: these paths and all below them."""
BAZARR_PATHS: Mapping[str, Server] = {"/asr": "asr", "/detect-language": "asr"}
ROOT_PATHS: Mapping[str, Server] = {**BAZARR_PATHS, "/v2/voices": "tts"}
"""The same for those that have no prefix: Bazarr's, and ElevenLabs' second version."""
ASK_S = 10.0
"""For a small answer that is looked at here."""
MAX_ANSWER_BYTES = 4 << 20
MAX_SECRETS = 10_000
_OWN = frozenset({b"forwarded", b"host", b"origin", b"x-real-ip", b"x-replica", b"x-request-id"})
_OWN_PREFIXES = (b"sec-fetch-", b"sec-websocket-", b"x-forwarded-")
"""What this server tells itself, or has judged already: whether a web page may call."""
_CREDENTIALS = frozenset({b"api-key", b"authorization", b"cookie", b"x-api-key", XI_API_KEY.encode()})
_ASKED_WITH = frozenset({b"authorization", b"host", b"user-agent", b"x-request-id", XI_API_KEY.encode()})
_PASSED = "passed"


def other_scopes(settings: ChatSettings) -> dict[str, str]:
    """Paths -> the scope of the server behind them, which opens them here as well."""
    return {**{f"{settings.api_v1_str}{path}": server for path, server in API_PATHS.items()}, **ROOT_PATHS}


def held_paths(settings: ChatSettings) -> tuple[str, ...]:
    """Bazarr's paths: their requests are held for hours, and never refused for being many."""
    prefixes = ("", f"{settings.api_v1_str}/bazarr")
    return tuple(f"{prefix}{path}{end}" for prefix in prefixes for path in BAZARR_PATHS for end in ("", "/"))


@dataclass(slots=True)
class Answer:
    """A small answer as a whole; headers as they are passed on."""

    status: int = 0
    headers: RawHeaders = field(default_factory=list)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """Take the next message of an ASGI application."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        self.body += message.get("body", b"")
        if len(self.body) > MAX_ANSWER_BYTES:
            raise UpstreamError(f"A server behind this one answered with more than {MAX_ANSWER_BYTES} bytes.")

    def parse(self) -> object:
        """The JSON in it; None if there is none."""
        try:
            found: object = json.loads(self.body)
        except ValueError:
            return None
        return found

    def read(self) -> Mapping[str, object]:
        """The JSON object in it; empty if it is none."""
        found = self.parse()
        return found if isinstance(found, dict) else {}

    def read_list(self, field: str) -> list[Mapping[str, object]]:
        """The JSON objects in a list in it."""
        found = self.read().get(field)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def show(self) -> Response:
        """The same for a client."""
        response = Response(self.body, self.status)
        response.raw_headers = self.headers
        return response


class Passing:
    """Passes requests on.

    A server behind gets this server's key for it, if there is one, or else what the caller has sent. Who calls, and by
    which address, is told in `X-Forwarded-*`; servers believe it that name this one in `TRUSTED_PROXIES`.
    """

    def __init__(self, settings: ChatSettings, shared: SharedState = OFF) -> None:
        self._settings, self._prefix = settings, settings.api_v1_str
        self._keys = {"asr": settings.asr_key.get_secret_value(), "tts": settings.tts_key.get_secret_value()}
        self._upstreams = {
            "asr": Upstream("ASR server", settings.env_name("asr_url"), settings.asr_url),
            "tts": Upstream("TTS server", settings.env_name("tts_url"), settings.tts_url),
        }
        self._secrets: dict[bytes, tuple[float, str]] = {}
        self._shared_secrets = SharedValues(shared, "secret_behind", TypeAdapter(tuple[float, str]), LONGEST_S)

    async def close(self) -> None:
        """Let go of the connections that are kept."""
        for upstream in self._upstreams.values():
            await upstream.close()

    async def pass_request(self, server: Server, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request and its answer on, both as they come.

        Raises:
            UpstreamError: The server is away, or breaks off.
            NotFoundError: The path leads out of what is passed on.
        """
        add_log_fields(HTTPConnection(scope), passed_to=server)
        headers = self._headers(server, scope)
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            headers.append((b"transfer-encoding", b"chunked"))
        head = Head(scope["method"], self._target(server, scope), headers)
        await self._upstreams[server].exchange(head, receive, send)

    async def ask(self, server: Server, scope: Scope, path: str, *, method: str = "GET", body: bytes = b"") -> Answer:
        """Ask for something small, in the name of a request.

        Args:
            server: Whom.
            scope: Of the request.
            path: Below the API's prefix, escaped.
            method: Of what is asked.
            body: JSON; empty: none.

        Raises:
            UpstreamError: The server is away, or says nothing within ten seconds, or far too much.
            NotFoundError: The path leads out of what is passed on.
        """
        _refuse_dots(unquote(path))
        headers = [field for field in self._headers(server, scope) if field[0] in _ASKED_WITH]
        if body:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        answer, upstream = Answer(), self._upstreams[server]
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else await asyncio.get_running_loop().create_future()

        try:
            async with asyncio.timeout(ASK_S):
                await upstream.exchange(Head(method, self._base(server) + path, headers), receive, answer.take)
        except TimeoutError:
            raise UpstreamError(f"The {upstream.name} says nothing within {ASK_S:g} s.") from None
        return answer

    async def pass_socket(self, websocket: WebSocket, server: Server = "asr") -> None:
        """Pass a WebSocket on, from its upgrade to its end.

        Raises:
            UpstreamError: The server is away.
            NotFoundError: The path leads out of what is passed on.
        """
        add_log_fields(websocket, passed_to=server)
        upstream, scope = self._upstreams[server], websocket.scope
        url = f"{upstream.origin.replace('http', 'ws', 1)}{self._target(server, scope)}"
        told = [field for field in self._headers(server, scope) if field[0] != b"host"]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in told]
        try:
            async with open_behind(url, headers, scope["subprotocols"]) as socket:
                await websocket.accept(socket.subprotocol, _shown(socket.response.headers if socket.response else {}))
                await talk(websocket, socket)
        except InvalidStatus as error:
            refusal = error.response
            answer = Answer(refusal.status_code, _shown(refusal.headers), bytes(refusal.body or b""))
            await websocket.send_denial_response(answer.show())
        except (OSError, InvalidHandshake) as error:
            raise upstream.failure(error) from error

    async def make_secret(self, scope: Scope, path: str, body: bytes) -> Answer:
        """Have the ASR server make a client secret, and know it again: it opens sockets here as well."""
        answer = await self.ask("asr", scope, path, method="POST", body=body)
        told = answer.read()
        secret = told.get("client_secret", told)
        if answer.status == 200 and isinstance(secret, dict):
            key = scope["state"].get("api_key")
            while len(self._secrets) >= MAX_SECRETS:
                del self._secrets[next(iter(self._secrets))]
            ends_at, key_id = float(secret.get("expires_at", 0)), key.id if key is not None else ""
            self._secrets[_digest(str(secret.get("value")))] = ends_at, key_id
            await self._shared_secrets.keep(str(secret.get("value")), (ends_at, key_id), ends_at - time.time())
        return answer

    async def read_secret(self, given: str) -> Mapping[str, object] | None:
        """What a secret stands for that was made through here or a replica; None: it was not, or its time is over."""
        known = self._secrets.get(_digest(given))
        if known is None and given.startswith(EPHEMERAL_PREFIX):
            known = await self._shared_secrets.find(given)
        ends_at, key_id = known or (0.0, "")
        return {"api_key": key_id, _PASSED: True} if time.time() < ends_at else None

    def takes(self, websocket: WebSocket) -> bool:
        """Whether a Realtime socket is the ASR server's: it asks for words, or brings a secret of that server."""
        secret = websocket.scope["state"].get("client_secret")
        if secret is not None:
            return _PASSED in secret
        return websocket.query_params.get("intent") == "transcription"

    def _base(self, server: Server, *, is_root: bool = False) -> str:
        """The path of the server's API, or of what is above it."""
        root, prefix = self._settings.split_address(self._upstreams[server].url)
        return urlsplit(root).path + ("" if is_root else prefix)

    def _target(self, server: Server, scope: Scope) -> str:
        """Path and query for the server behind, escaped as the client has them."""
        root_path = scope.get("root_path", "")
        path: str = scope["path"].removeprefix(root_path)
        _refuse_dots(path)
        is_root = path.rstrip("/") in ROOT_PATHS
        above = "" if is_root else self._prefix
        raw: str = scope.get("raw_path", b"").decode("latin-1").removeprefix(root_path)
        if not raw.startswith(f"{above}/"):  # more is escaped than has to be
            raw = quote(path)
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        return self._base(server, is_root=is_root) + raw.removeprefix(above) + query

    def _headers(self, server: Server, scope: Scope) -> RawHeaders:
        """What is meant for the server behind, and who calls."""
        connection, secret = HTTPConnection(scope), scope["state"].get("client_secret") or {}
        # A secret of the server behind holds the settings of a session, which no key does.
        key = "" if _PASSED in secret else self._keys[server]
        left_out = _CREDENTIALS if key else {b"authorization"}
        headers = [
            (name, value)
            for name, value in end_to_end(scope["headers"])
            if name not in left_out and name not in _OWN and not name.startswith(_OWN_PREFIXES)
        ]
        told = {
            "host": self._upstreams[server].host,
            "authorization": f"Bearer {key}" if key else authorization_of(connection),
            XI_API_KEY: key if XI_API_KEY in connection.headers else None,  # without it the answer would be OpenAI's
            "x-request-id": scope["state"]["request_id"],
            "x-forwarded-for": client_of(scope),
            "x-forwarded-proto": scope["scheme"],
            "x-forwarded-host": connection.headers.get("host"),
        }
        return headers + [(name.encode(), value.encode("latin-1")) for name, value in told.items() if value]


def _refuse_dots(path: str) -> None:
    if {".", ".."} & set(path.split("/")):
        raise NotFoundError(f"Unknown request URL: {path[:200]}. No path has `.` or `..` in it.")


def _shown(headers: Mapping[str, str]) -> RawHeaders:
    """Of the answer to an upgrade: what goes to the client."""
    told = headers.raw_items() if isinstance(headers, Headers) else headers.items()
    kept = end_to_end((name.encode(), value.encode()) for name, value in told)
    return [(name, value) for name, value in kept if name != b"date" and not name.startswith(b"sec-websocket-")]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
