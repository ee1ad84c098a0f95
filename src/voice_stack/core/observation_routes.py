"""What operators look at: `/status` for people and scripts, `/metrics` for Prometheus."""

import asyncio
import time
from collections.abc import Callable, Mapping

from fastapi import APIRouter, FastAPI, Request, Response

from voice_stack.core.server_status import ServerStatus, describe_server, read_engines
from voice_stack.core.settings import CoreSettings
from voice_stack.core.telemetry.exposition import render_metrics


def observation_routes(
    settings: CoreSettings,
    identity: Mapping[str, str],
    readiness: Callable[[], str | None],
    status: Callable[[], Mapping[str, object]],
) -> APIRouter:
    """The routes, not below the API prefix.

    Args:
        settings: Those of the server.
        identity: `server` and `version`.
        readiness: Why the server cannot work yet; None when it can.
        status: What the server says of itself, as `describe_server` takes it.
    """
    router = APIRouter(tags=["server"])
    started_at = time.monotonic()

    async def show_status(request: Request) -> ServerStatus:
        """What the server is doing: engines, queue, memory, limits, cache."""
        return describe_server(identity, settings, status(), readiness(), _count_connections(request.app), started_at)

    router.add_api_route("/status", show_status, methods=["GET"])
    if settings.api_v1_str:
        router.add_api_route(f"{settings.api_v1_str}/status", show_status, methods=["GET"], name="status")

    async def show_metrics(request: Request) -> Response:
        """The metrics of this server for Prometheus, as text or as OpenMetrics."""
        # What lives on the event loop is asked here; putting it into text takes milliseconds, so a thread does.
        engines, connections = read_engines(status().get("engines", ())), _count_connections(request.app)
        accept, is_ready = request.headers.get("accept", ""), readiness() is None
        body, media_type = await asyncio.to_thread(render_metrics, accept, engines, connections, is_ready=is_ready)
        return Response(body, headers={"content-type": media_type})

    router.add_api_route("/metrics", show_metrics, methods=["GET"], response_class=Response)
    return router


def _count_connections(app: FastAPI) -> int | None:
    """Open connections of clients; None where the server that runs the application does not tell."""
    count = getattr(app.state, "count_connections", None)
    return int(count()) if callable(count) else None
