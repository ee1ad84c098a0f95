"""The FastAPI application all servers share: operators' routes, docs without network, OpenAI's error bodies."""

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from voice_stack.core.errors import UpgradeRequiredError, VoiceStackError, name_places, type_of
from voice_stack.core.http.access import NO_EXEMPTION, Exemption, ReadSecret
from voice_stack.core.http.api_docs import ERROR_RESPONSES
from voice_stack.core.http.context import PAGE_PATH, answer_error, note_error, shape_error
from voice_stack.core.http.form import explain_problem
from voice_stack.core.http.keys import ADMIN, KeyFile, KeyRing
from voice_stack.core.http.layers import add_layers
from voice_stack.core.http.page import Features, create_page_router
from voice_stack.core.http.serving import REASON, Stopping
from voice_stack.core.http.spool import prepare_folder, release_folder
from voice_stack.core.http.status import observation_routes
from voice_stack.core.http.wires import Wire
from voice_stack.core.settings import EngineSettings, ServerSettings
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.system.memory import give_memory_back, use_one_heap
from voice_stack.core.telemetry.registry import measuring

GIVE_BACK_S = 5.0
"""It takes 0.02 ms where there is nothing to give, 30 to 60 ms for half a gigabyte, in a thread."""
Start = Callable[[], Awaitable[None]]


@asynccontextmanager
async def _living(
    settings: ServerSettings, server: str, stopping: Stopping, start: Start | None, shared: SharedState
) -> AsyncIterator[None]:
    """From start to stop; meanwhile free memory goes back to the system every few seconds."""
    async with measuring(server, VERSION):
        use_one_heap()
        await asyncio.to_thread(prepare_folder, settings.spool_dir)
        giving_back = asyncio.create_task(_give_back_forever())
        try:
            if start is not None:
                await start()
            yield
        finally:
            giving_back.cancel()
            # After a start that failed, too: what it opened would keep the process alive.
            await stopping.hand_back()
            await shared.close()
        await asyncio.to_thread(release_folder, settings.spool_dir)


async def _give_back_forever() -> None:
    while True:
        await asyncio.sleep(GIVE_BACK_S)
        await asyncio.to_thread(give_memory_back)


VERSION = version("voice-stack")
_PAGES = {"docs": "/docs", "openapi": "/openapi.json", "page": PAGE_PATH}
_MAX_SHOWN = 200  # characters of a bad value that an error message repeats
_NO_UPGRADE = (
    "opens no WebSocket, which is all that this URL has. Ask with ws:// or wss:// and version 13; a proxy on the way "
    "has to pass on the headers Upgrade and Connection."
)


async def _read_none(_given: str) -> None:
    return None


async def _no_features() -> Mapping[str, JsonValue]:
    return {}


def create_server(
    settings: ServerSettings,
    *,
    server: str,
    title: str,
    routers: Sequence[APIRouter],
    readiness: Callable[[], str | None],
    status: Callable[[], Mapping[str, object]],
    start: Start | None = None,
    exemption: Exemption = NO_EXEMPTION,
    read_secret: ReadSecret = _read_none,
    held_paths: Collection[str] = (),
    root_routers: Sequence[APIRouter] = (),
    other_scopes: Mapping[str, str] = MappingProxyType({}),
    features: Features = _no_features,
    has_page_at_root: bool = False,
    wires: Sequence[Wire] = (),
    shared: SharedState = OFF,
) -> FastAPI:
    """Build one server's application.

    Args:
        settings: Its settings.
        server: Its name: the scope of the keys that may use it, and what `/health` says.
        title: Title of the API docs.
        routers: Routes under `settings.api_v1_str`.
        readiness: Why the server cannot work yet; None when it can.
        status: What `GET /status` shows besides name and version: nothing, for a server without engines.
        start: What is to be done before the first request; what ends with the server, `app.state.stopping` is told.
        exemption: Who needs no key for what, besides health and docs.
        read_secret: What a secret stands for that opens a WebSocket in place of a key.
        held_paths: Paths whose requests are held as long as they take, and never refused for being many.
        root_routers: Routes without a prefix; they take the place of our own `/` and `/health`, if they have these.
        other_scopes: Paths -> a scope that lets a key in there and below, besides that of the server.
        features: What the page is told that this server can do, besides what all of its kind can.
        has_page_at_root: Whether a browser gets the page at `/`, too, and not only at `/try`.
        wires: APIs of other services that some of the routes speak.
        shared: What it shares with its replicas; closed at its end.

    Returns:
        The application; `app.state.stopping` knows how it stops.

    Raises:
        ConfigurationError: The file of keys cannot be read.
    """
    places = {settings.env_name(name): value for name, value in settings if isinstance(value, Path)}
    name_places({**places, "the packages": Path(sys.prefix), "the temporary folder": Path(tempfile.gettempdir())})
    stopping = Stopping()
    app: FastAPI = FastAPIOffline(
        title=title,
        version=VERSION,
        lifespan=lambda _app: _living(settings, server, stopping, start, shared),
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router, prefix=settings.api_v1_str, responses=ERROR_RESPONSES)
    for router in root_routers:
        app.include_router(router, responses=ERROR_RESPONSES)
    app.state.stopping = stopping
    app.state.api_prefix = settings.api_v1_str

    def explain_unreadiness() -> str | None:
        return REASON if stopping.is_announced else readiness()

    taken = {route.path for router in root_routers for route in router.routes if isinstance(route, Route)}
    app.include_router(_operator_routes(settings, server, explain_unreadiness, taken), responses=ERROR_RESPONSES)
    identity = {"server": server, "version": VERSION}
    ring = KeyRing(settings.api_keys, KeyFile(settings.api_keys_file), (server, ADMIN))
    app.include_router(create_page_router(settings, server=server, version=VERSION, ring=ring, features=features))
    observation = observation_routes(
        settings, identity, explain_unreadiness, lambda: {**status(), "shared": shared.describe()}
    )
    app.include_router(observation, responses=ERROR_RESPONSES)
    add_layers(
        app,
        settings,
        server,
        ring,
        exemption,
        read_secret,
        stopping=stopping,
        held_paths=held_paths,
        other_scopes=other_scopes,
        has_page_at_root=has_page_at_root,
        wires=wires,
        shared=shared,
    )
    app.add_exception_handler(VoiceStackError, _answer_known)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(WebSocketRequestValidationError, _answer_validation)
    return app


def build_named(module: str, name: str, create: Callable[[], FastAPI]) -> FastAPI:
    """What a server's module gives for a name that it does not have: its application for `app`.

    Raises:
        AttributeError: It is another name.
        SystemExit: The application cannot be built; says why.
    """
    if name != "app":
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    try:
        return create()
    except VoiceStackError as error:
        raise SystemExit(f"voice-stack {module.split('.')[1]}: {error}") from None


def _operator_routes(
    settings: ServerSettings, server: str, readiness: Callable[[], str | None], taken: Collection[str]
) -> APIRouter:
    router = APIRouter(tags=["server"])
    engine = {"engine": settings.engine} if isinstance(settings, EngineSettings) else {}

    async def health() -> dict[str, str]:
        """The process is up; says nothing about models."""
        return {"status": "ok", "server": server, "version": VERSION, **engine}

    paths = [path for path in ("/health", "/healthz", "/healthcheck") if path not in taken]
    for path in paths:
        router.add_api_route(path, health, methods=["GET"], include_in_schema=path == paths[0])
        router.add_api_route(path, health, methods=["HEAD"], include_in_schema=False)

    @router.get("/ready")
    async def ready(request: Request) -> JSONResponse:
        """200 when work is taken, 503 with the reason when not."""
        reason = readiness()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return _error_response(request.scope, 503, reason, code="not_ready")

    @router.get("/", include_in_schema=False)
    async def index() -> dict[str, str]:
        pages = {page: settings.root_path + path for page, path in _PAGES.items()}
        return {"name": settings.project_name, "server": server, "version": VERSION, **pages}

    return router


def _error_response(
    scope: Scope, status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    error_type = type_of(status)
    note_error(scope, error_type, code)
    body = {"error": {"message": message, "type": error_type, "param": None, "code": code}}
    return JSONResponse(shape_error(status, body, scope), status, headers)


async def _answer_known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, VoiceStackError)
    return answer_error(error, request.scope)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    call = f"{request.scope['method']} {request.url.path[:_MAX_SHOWN]}"
    message = str(error.detail)
    if error.status_code == 404 and message == "Not Found":
        if _is_socket(request):
            return await _answer_known(request, UpgradeRequiredError(f"{call} {_NO_UPGRADE}"))
        meant = _find_meant(request)
        advice = f"Did you mean {meant}?" if meant else "The routes of this server are listed at /docs."
        message = f"Unknown request URL: {call}. {advice}"
    elif error.status_code == 405:
        message = f"Method not allowed: {call}. This URL takes {headers.get('allow') or headers.get('Allow')}."
    return _error_response(request.scope, error.status_code, message, headers=headers)


def _is_socket(request: Request) -> bool:
    scope = {**request.scope, "type": "websocket"}
    return request["type"] == "http" and any(route.matches(scope)[0] == Match.FULL for route in request.app.routes)


def _find_meant(request: Request) -> str | None:
    """The path with a route that a path without one comes near: doubled and last slashes, the API's prefix."""
    app, scope = request.app, request.scope
    prefix, root_path = app.state.api_prefix, scope.get("root_path", "")
    cleaned = re.sub("/{2,}", "/", scope["path"].removeprefix(root_path)).rstrip("/")
    bare = re.sub(f"^(?:{re.escape(prefix)}|/v1|/api)+(?=/)", "", cleaned)
    for path in (cleaned, prefix + bare, bare):
        tried = {**scope, "path": root_path + path}
        if path and len(path) <= _MAX_SHOWN and any(route.matches(tried)[0] != Match.NONE for route in app.routes):
            return str(root_path + path)
    return None


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    problem = error.errors()[0]
    place = problem["loc"][1:] if problem["type"] != "json_invalid" else ()
    return await _answer_known(request, explain_problem(problem, place))
