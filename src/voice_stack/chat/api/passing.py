"""What the servers behind answer, at this one's address; the models of all of them in one list."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from voice_stack.chat.passing import API_PATHS, ROOT_PATHS, Answer, Passing, Server
from voice_stack.core.errors import NoLanguageModelError, UpstreamError, VoiceStackError
from voice_stack.core.http.uploads import receive_object
from voice_stack.core.http.wires import XI_API_KEY

ListModels = Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
SERVERS: tuple[Server, ...] = ("asr", "tts")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_REFUSED = frozenset({401, 403, 429})


class PassedOn(Response):
    """The answer of a server behind, as it comes."""

    def __init__(self, passing: Passing, server: Server) -> None:
        super().__init__()
        self._passing, self._server = passing, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._passing.pass_request(self._server, scope, receive, send)


def create_passing_router(passing: Passing, list_language_models: ListModels) -> APIRouter:
    """The routes below the API's prefix; to be added last: other routers answer some paths below these."""
    router, models = APIRouter(tags=["models"]), _Models(passing, list_language_models)
    router.add_api_route("/models", models.list, methods=["GET"])
    router.add_api_route("/audio/models", models.list_names, methods=["GET"])
    router.add_api_route("/models/{name:path}", models.pass_on, methods=METHODS, include_in_schema=False)
    for path in ("/realtime/sessions", "/realtime/transcription_sessions"):
        router.add_api_route(path, _make_secret(passing, path), methods=["POST"], include_in_schema=False)
    _add_paths(router, passing, API_PATHS)
    return router


def create_root_router(passing: Passing) -> APIRouter:
    """The routes without a prefix, and what the servers behind are doing."""
    router = APIRouter()
    _add_paths(router, passing, ROOT_PATHS)

    @router.get("/status/{name}", tags=["server"])
    async def show_status_behind(name: Server, request: Request) -> Response:
        """What the ASR server or the TTS server says at its own `/status`."""
        return (await passing.ask(name, request.scope, "/status")).show()

    return router


def _add_paths(router: APIRouter, passing: Passing, paths: Mapping[str, Server]) -> None:
    for above, server in paths.items():
        for path in (above, f"{above}/{{rest:path}}"):
            router.add_api_route(path, _pass_on(passing, server), methods=METHODS, include_in_schema=False)
            router.add_api_websocket_route(path, _pass_socket(passing, server))


def _make_secret(passing: Passing, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def make_secret(request: Request) -> Response:
        body = json.dumps(await receive_object(request)).encode()
        return (await passing.make_secret(request.scope, path, body)).show()

    return make_secret


def _pass_on(passing: Passing, server: Server) -> Callable[[], Awaitable[Response]]:
    async def pass_on() -> Response:
        return PassedOn(passing, server)

    return pass_on


def _pass_socket(passing: Passing, server: Server) -> Callable[[WebSocket], Awaitable[None]]:
    async def pass_socket(websocket: WebSocket) -> None:
        await passing.pass_socket(websocket, server)

    return pass_socket


@dataclass(frozen=True, slots=True)
class _Models:
    """The models of the ASR server, the TTS server and the language model's, in that order."""

    passing: Passing
    list_language_models: ListModels

    async def list(self, request: Request) -> Response:
        """The models that work here, of all servers; `x-warnings` names a server that is away."""
        if XI_API_KEY in request.headers:  # of ElevenLabs' API, if the TTS server has that
            answer = await self.passing.ask("tts", request.scope, "/models")
            if isinstance(answer.parse(), list):
                return answer.show()
        return await self._merge(request, "/models", "data", {"object": "list"})

    async def list_names(self, request: Request) -> Response:
        """The names of the models for speech alone, as Open WebUI's settings page asks for them."""
        return await self._merge(request, "/audio/models", "models", {})

    async def pass_on(self, request: Request) -> Response:
        """One model: whoever has it shows, loads or unloads it."""
        escaped = request.scope["raw_path"].decode("latin-1").partition("/models/")[2]
        path, refusal = f"/models/{escaped}", None
        for server in SERVERS:
            answer = await self.passing.ask(server, request.scope, path)
            if answer.status == 200:
                return PassedOn(self.passing, server)
            refusal = refusal or answer
        if request.method == "GET" and (model := await self._find_language_model(request.path_params["name"])):
            return JSONResponse(dict(model))
        assert refusal is not None
        return refusal.show()

    async def _find_language_model(self, name: str) -> Mapping[str, object] | None:
        try:
            models = await self.list_language_models()
        except (NoLanguageModelError, UpstreamError):
            return None
        return next((model for model in models if model.get("id") == name), None)

    async def _merge(self, request: Request, path: str, field: str, around: Mapping[str, object]) -> Response:
        asked: list[Awaitable[Answer | Sequence[Mapping[str, object]]]]
        asked = [self.passing.ask(server, request.scope, path) for server in SERVERS]
        if field == "data":
            asked.append(self.list_language_models())
        merged: dict[object, object] = {}
        away: list[VoiceStackError] = []
        for told in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(told, Answer) and told.status in _REFUSED:
                return told.show()
            if isinstance(told, UpstreamError):
                away.append(told)
            elif isinstance(told, BaseException):
                if not isinstance(told, NoLanguageModelError):
                    raise told
            else:
                for model in told.read_list(field) if isinstance(told, Answer) else told:
                    merged.setdefault(model.get("id"), model)
        if away and not merged:
            raise away[0]
        headers = {"x-warnings": " ".join(error.told for error in away)} if away else None
        return JSONResponse({**around, field: list(merged.values())}, headers=headers)
