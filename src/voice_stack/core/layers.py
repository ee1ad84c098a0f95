"""What every request passes on its way to a route, outermost last."""

from collections.abc import Collection

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from voice_stack.core.access.api_keys import ApiKeys
from voice_stack.core.access.browsers import CrossSiteGuard
from voice_stack.core.access.exposure import is_loopback
from voice_stack.core.access.hosts import AllowedHosts
from voice_stack.core.access.networks import parse_networks
from voice_stack.core.access.proxies import TrustedProxies
from voice_stack.core.access.response_headers import ResponseHeaders
from voice_stack.core.access.root_path import RootPathGiver, RootPathTaker
from voice_stack.core.access.rules import AccessRules, Exemption
from voice_stack.core.keys import KeyFile, KeyRing, Scope
from voice_stack.core.limits.layers import LIMIT_HEADERS, add_limit_layers
from voice_stack.core.limits.stopping import Stopping
from voice_stack.core.middleware import RequestContext
from voice_stack.core.settings import CoreSettings
from voice_stack.core.telemetry.requests import RequestTelemetry

EXPOSED_HEADERS = (
    "x-request-id",
    "x-ignored-fields",
    "x-fallback",
    "x-fallback-model",
    "x-cache",
    "x-captions",
    "etag",
    *LIMIT_HEADERS,
)
"""Headers of answers that a web page of another origin may read."""


def add_layers(
    app: FastAPI,
    settings: CoreSettings,
    server: Scope,
    exemption: Exemption,
    *,
    stopping: Stopping,
    held_paths: Collection[str],
) -> None:
    """From the inside out: limits, who may do what, CORS (preflights need no key, a 401 can be read), names, log.

    Args:
        app: The application.
        settings: Its settings.
        server: `asr` or `tts`, the scope of its work.
        exemption: Who needs no key for what.
        stopping: How far the server's stop is.
        held_paths: Paths whose requests are held as long as they take, and never refused for being many.

    Raises:
        ConfigurationError: The file of keys cannot be read.
    """
    ring = KeyRing(settings.api_keys, KeyFile(settings.api_keys_file))
    app.add_middleware(RootPathGiver)
    add_limit_layers(app, settings, stopping, held_paths)
    app.add_middleware(CrossSiteGuard, origins=settings.cors_origins)
    app.add_middleware(ApiKeys, ring=ring, rules=AccessRules(settings, server), exemption=exemption)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials="*" not in settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(
        AllowedHosts,
        names=settings.allowed_hosts,
        own_name=settings.host,
        is_guarded=lambda: is_loopback(settings) and not ring.is_needed,
    )
    app.add_middleware(RequestContext)
    app.add_middleware(RequestTelemetry)
    app.add_middleware(ResponseHeaders, has_origins=bool(settings.cors_origins))
    if settings.root_path:
        app.add_middleware(RootPathTaker, root_path=settings.root_path)
    if settings.trusted_proxies:
        app.add_middleware(TrustedProxies, proxies=parse_networks(settings.trusted_proxies))
