"""What every request passes on its way to a route, outermost last."""

from collections.abc import Collection

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from voice_stack.core.middleware import ApiKeys, RequestContext
from voice_stack.core.settings import CoreSettings

EXPOSED_HEADERS = (
    "x-request-id",
    "x-ignored-fields",
    "x-fallback",
    "x-fallback-model",
    "x-cache",
    "x-captions",
    "etag",
)
"""Headers of answers that a web page of another origin may read."""


def add_layers(app: FastAPI, settings: CoreSettings, open_paths: Collection[str]) -> None:
    """From the inside out: keys, CORS (so that preflights need no key and a 401 can be read), request context.

    Args:
        app: The application.
        settings: Its settings.
        open_paths: Paths that need no API key, besides health and docs.
    """
    if settings.api_keys:
        app.add_middleware(ApiKeys, keys=settings.api_keys, open_paths=open_paths)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials="*" not in settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(RequestContext)
