"""The limits of requests as layers, in their order."""

from collections.abc import Collection

from fastapi import FastAPI

from voice_stack.core.limits.answer_headers import AnswerHeaders
from voice_stack.core.limits.callers import Allowance
from voice_stack.core.limits.request_limits import RequestLimits
from voice_stack.core.limits.request_times import RequestTime, UploadTimes
from voice_stack.core.limits.stopping import StopGate, Stopping
from voice_stack.core.middleware import DOCS_ASSETS, DOCS_PATHS, HEALTH_PATHS
from voice_stack.core.settings.common import CoreSettings

LIMIT_HEADERS = (
    "retry-after",
    "x-queue-wait-s",
    "x-queue-jobs",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""Headers of answers that tell clients of limits."""


def add_limit_layers(
    app: FastAPI, settings: CoreSettings, stopping: Stopping, held_paths: Collection[str] = ()
) -> None:
    """From the inside out: times of work and uploads, limits of callers, the stop of the server.

    Args:
        app: The application.
        settings: Its settings.
        stopping: How far its stop is.
        held_paths: Paths whose requests are held as long as they take, and never refused for being many.
    """
    own_paths = {"/", "/status", "/metrics", f"{settings.api_v1_str}/status"}
    unlimited = HEALTH_PATHS | DOCS_PATHS | own_paths | set(held_paths)

    def is_limited(path: str) -> bool:
        return path not in unlimited and not path.startswith(DOCS_ASSETS)

    if settings.request_timeout_s:
        app.add_middleware(RequestTime, limit_s=settings.request_timeout_s, is_limited=is_limited)
    app.add_middleware(
        UploadTimes,
        idle_s=settings.upload_timeout_s,
        min_bytes_per_s=settings.upload_min_bytes_per_s,
        stopping=stopping,
    )
    default = Allowance(settings.requests_per_minute_per_client, settings.requests_at_once_per_client)
    app.add_middleware(RequestLimits, default=default, is_limited=is_limited)
    app.add_middleware(StopGate, stopping=stopping)
    app.add_middleware(AnswerHeaders)
