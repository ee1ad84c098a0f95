"""Traces by OpenTelemetry's SDK; imported only where a collector is named.

Written by hand and not by the instrumentation of ASGI applications: that puts query strings and what exceptions say,
which may carry keys, into its spans, learns no route and does not tell an answer that broke off from one that did not.
"""

import logging
import os
import threading
import time

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import Scope

from voice_stack.core.telemetry.traces import UNMATCHED, Attributes, label_method

CLOSE_TIMEOUT_S = 3.0


class OtelRequestSpan:
    """The span of a request, current until its end; by OpenTelemetry's semantic conventions for HTTP, 1.23 and later.

    Attributes:
        trace_id: 32 hexadecimal digits; empty where the trace is not sampled.
    """

    def __init__(self, span: trace.Span, method: str) -> None:
        self._span, self._method = span, method
        self._token = context.attach(trace.set_span_in_context(span))
        spans = span.get_span_context()
        self.trace_id = trace.format_trace_id(spans.trace_id) if spans.trace_flags.sampled else ""

    def end(self, route: str, status: int, error: str | None) -> None:
        """The request is over; `error` is what to call the failure, if it failed on our side."""
        self._span.set_attribute("http.response.status_code", status)
        if route != UNMATCHED:
            self._span.set_attribute("http.route", route)
            self._span.update_name(f"{self._method} {route}")
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        context.detach(self._token)


class OtelTraces:
    """Where spans go.

    Args:
        server: `asr` or `tts`; the service is `voice-stack-asr` if `OTEL_SERVICE_NAME` does not say otherwise.
        version: Of the package.
    """

    def __init__(self, server: str, version: str) -> None:
        # Every single retry is a warning: what matters is the batch that is given up, an error.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
        self._provider = TracerProvider(resource=_describe_service(server, version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("voice_stack", version)

    def open_request(self, scope: Scope) -> OtelRequestSpan:
        """Begin a request's span below that of its `traceparent`."""
        headers = Headers(scope=scope)
        parent = propagate.extract(dict(headers))
        attributes = _describe_request(scope, headers)
        # By the method alone until the route is known; HTTP where even that is none of the standard ones.
        method = str(attributes["http.request.method"]).replace("_OTHER", "HTTP")
        return OtelRequestSpan(self._tracer.start_span(method, parent, SpanKind.SERVER, attributes), method)

    def current(self) -> object:
        """What later spans of this request are put below."""
        return context.get_current()

    def record(
        self,
        name: str,
        began_at: float,
        ended_at: float,
        *,
        parent: object,
        attributes: Attributes,
        error: str | None = None,
    ) -> object:
        """Write down a span that is over, times by `time.monotonic`; returns what its children are put below."""
        above = parent if isinstance(parent, Context) else Context()
        span = self._tracer.start_span(name, above, attributes=dict(attributes), start_time=_wall_ns(began_at))
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(_wall_ns(ended_at))
        return trace.set_span_in_context(span, above)

    def close(self) -> None:
        """Send what is left; a collector that does not answer must not hold up the end of the server."""
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)


def _describe_service(server: str, version: str) -> Resource:
    # What is given here is stronger than the environment.
    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    name = {} if is_named else {"service.name": f"voice-stack-{server}"}
    return Resource.create({"service.version": version, **name})


def _describe_request(scope: Scope, headers: Headers) -> dict[str, str | int]:
    """Attributes that are known at the beginning; no query string, no header that may hold a key."""
    method = label_method(scope["method"])
    client, server = scope.get("client"), scope.get("server")
    known = {
        "http.request.method": method if method != "other" else "_OTHER",
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"],
        "network.protocol.version": scope.get("http_version", ""),
        "user_agent.original": headers.get("user-agent", ""),
        "client.address": client[0] if client else "",
        "server.address": server[0] if server else "",
        "server.port": server[1] if server else None,
    }
    return {name: value for name, value in known.items() if value}


def _wall_ns(monotonic_s: float) -> int:
    """A time of `time.monotonic` as nanoseconds since 1970."""
    return time.time_ns() - round((time.monotonic() - monotonic_s) * 1e9)
