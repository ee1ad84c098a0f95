"""Each server as an application of Ray Serve: a replica is a whole server, without a port of its own.

In Serve's configuration `import_path` is `voice_stack.ray_serve.servers:asr`, `:tts` or `:chat`, and `args` are the
settings that belong to it, by the names of the flags: `{root_path: /asr, model: small}`.
"""

import asyncio
import difflib
import logging
from collections.abc import Mapping

import ray
from httpx2 import ASGITransport, AsyncClient
from ray import serve
from ray.exceptions import RayError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.cli.servers import SERVERS, Server
from voice_stack.core.engine.ray_worker import settle_in_worker
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.http.access import exposure_warnings, has_keys
from voice_stack.core.http.context import answer_error
from voice_stack.core.http.serving import Stopping
from voice_stack.core.logging import configure_logging, log_event
from voice_stack.core.settings import EngineSettings, ServerSettings, unknown_variables
from voice_stack.ray_serve.uploads import BlockReader, shared_folder

READY_POLL_S = 0.2
LOOK_S = 5.0
_log = logging.getLogger(__name__)


def asr(options: Mapping[str, object]) -> serve.Application:
    """The ASR server; no background jobs unless `max_jobs` is given: their ids are known to one replica alone."""
    return _deploy(SERVERS["asr"], {"max_jobs": 0, **options})


def tts(options: Mapping[str, object]) -> serve.Application:
    """The TTS server."""
    return _deploy(SERVERS["tts"], options)


def chat(options: Mapping[str, object]) -> serve.Application:
    """The Voice server: one replica, for its file of conversations has one writer."""
    return _deploy(SERVERS["chat"], options)


def _deploy(server: Server, options: Mapping[str, object]) -> serve.Application:
    """The application; what `deployments` in Serve's configuration says is stronger than what is said here.

    Raises:
        ConfigurationError: A setting does not exist, or does not fit.
    """
    _read_settings(server, options)

    def build() -> ASGIApp:
        return _build_replica(server.name, options)

    limits = {"max_ongoing_requests": 200, "graceful_shutdown_timeout_s": 600.0, "max_constructor_retry_count": 3}
    deployment = serve.deployment(serve.ingress(build)(), name=server.name, num_replicas=1, **limits)
    return deployment.bind()


def _read_settings(server: Server, options: Mapping[str, object]) -> ServerSettings:
    known = server.settings_class.model_fields
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]!r}?" if near else "docs/settings.md has all of them."
            raise ConfigurationError(f"args: {name!r} is no setting of the {server.title}; {meant}")
    return server.settings_class.read(**options)


def _build_replica(name: str, options: Mapping[str, object]) -> ASGIApp:
    """In the replica: the server, with the share of the machine that Ray has given it."""
    server = SERVERS[name]
    replica: str = serve.get_replica_context().replica_tag
    settings = _read_settings(server, {"replica_name": replica, **options})
    if isinstance(settings, EngineSettings):
        settings = settle_in_worker(settings)
    configure_logging(settings.log_level, settings.log_format, name)
    for line in (*unknown_variables(type(settings)), *exposure_warnings(settings, has_keys(settings))):
        _log.warning("%s", line)
    app = server.create_app(settings)
    return Replica(BlockReader(app, shared_folder()), app.state.stopping, settings.root_path)


class Replica:
    """A server as Ray Serve calls it.

    Args:
        app: The server.
        stopping: How it stops.
        root_path: Where it thinks that it is.
    """

    def __init__(self, app: ASGIApp, stopping: Stopping, root_path: str) -> None:
        self.app, self._stopping, self._root_path = app, stopping, root_path
        self._sockets = 0
        self._watch: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the whole life."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._when_ready(send))
            return
        prefix = scope.get("root_path", "")
        if prefix != self._root_path:
            # Who may do what would be looked up for paths that are none.
            error = ConfigurationError(
                f"route_prefix is {prefix or '/'}, root_path is {self._root_path or '/'}: make them the same."
            )
            await answer_error(error, scope)(scope, receive, send)
            return
        is_socket = scope["type"] == "websocket"
        self._sockets += is_socket
        if is_socket and self._watch is None:
            self._watch = asyncio.create_task(self._end_sockets_when_stopped())
        try:
            await self.app(scope, receive, _without_request_id(send))
        finally:
            self._sockets -= is_socket

    def _when_ready(self, send: Send) -> Send:
        """Serve takes a replica for ready when its start is over: that waits until the server would say so itself."""

        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                async with AsyncClient(transport=ASGITransport(self.app), base_url="http://localhost") as client:
                    while (await client.get(f"{self._root_path}/ready")).status_code != 200:  # noqa: ASYNC110
                        await asyncio.sleep(READY_POLL_S)
            await send(message)

        return tell

    async def _end_sockets_when_stopped(self) -> None:
        """Serve waits for open WebSockets as for requests, and says nothing to a replica that is to end."""
        while self._sockets:
            await asyncio.sleep(LOOK_S)
            if await _is_stopped_by_serve():
                await self._stopping.refuse_work()
        self._watch = None


async def _is_stopped_by_serve() -> bool:
    context = serve.get_replica_context()
    try:
        details = await ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve").get_serve_instance_details.remote()
        replicas = details["applications"][context.app_name]["deployments"][context.deployment]["replicas"]
    except (RayError, ValueError, AttributeError, KeyError) as error:
        # WebSockets then end when Serve's patience does.
        log_event(_log, logging.WARNING, "Ray Serve does not tell which replicas are to end", reason=str(error))
        return False
    return any(one["replica_id"] == context.replica_tag and one["state"] == "STOPPING" for one in replicas)


def _without_request_id(send: Send) -> Send:
    """Serve's proxy adds `x-request-id` itself: the same that it gave to the replica."""

    async def tell(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
            headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"x-request-id"]
            message = {**message, "headers": headers}
        await send(message)

    return tell
