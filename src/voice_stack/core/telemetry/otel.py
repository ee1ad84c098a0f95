"""Traces by OpenTelemetry's SDK; imported only where a collector is named.

A request's span is made by OpenTelemetry's middleware for ASGI. That would put query strings and what exceptions say,
which may hold keys, into its spans, learns no route and does not tell an answer that broke off: `_Call` sees to these.
"""

import logging
import os
import threading
import time

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.telemetry.registry import (
    CLIENT_CLOSED_REQUEST,
    UNMATCHED,
    Attributes,
    label_code,
    label_method,
    label_route,
)

CLOSE_TIMEOUT_S = 3.0


class _Call:
    """A request below its span.

    Attributes:
        failure: What went wrong. The library's middleware does not see it: what it says may hold a key.
    """

    def __init__(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        self.failure: Exception | None = None
        self._app, self._scope, self._send = app, scope, send
        self._status = CLIENT_CLOSED_REQUEST

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve it with the `receive` and `send` of the library's middleware, whose span is current."""
        span = trace.get_current_span()
        known = span.get_span_context()
        if known.trace_flags.sampled:
            fields = self._scope.setdefault("state", {}).setdefault("log_fields", {})
            fields["trace_id"] = trace.format_trace_id(known.trace_id)
        try:
            await self._app(self._scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the caller raises it again
            self.failure = error
        # The span of an answer that went out whole is over.
        if span.is_recording() and (self.failure or self._status < 400):
            span.set_attribute("error.type", "aborted")
            span.set_status(Status(StatusCode.ERROR))

    async def send(self, message: Message) -> None:
        """Send what comes out of the middleware; with the head the route is known, and why a request was refused."""
        span = trace.get_current_span()
        if message["type"] in {"http.response.start", "websocket.http.response.start", "websocket.accept"}:
            self._status = message.get("status", self._status)
            route = label_route(self._scope)
            if route != UNMATCHED:
                span.set_attribute("http.route", route)
                span.update_name(f"{_name(self._scope)} {route}")
            if message.get("status", 0) >= 500:
                _, code = self._scope.get("state", {}).get("error", (None, None))
                span.set_attribute("error.type", label_code(code, self._status))
        await self._send(message)


async def _serve_call(shown: Scope, receive: Receive, send: Send) -> None:
    call: _Call = shown["call"]
    await call.serve(receive, send)


def _name(scope: Scope) -> str:
    """What a span is called until its route is known; HTTP where the method is none of the standard ones."""
    return label_method(scope.get("method", "GET")).replace("other", "HTTP")


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
        # The names of HTTP's attributes of today; without this they are those of 2022.
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        self._middleware = OpenTelemetryMiddleware(
            _serve_call,
            default_span_details=lambda scope: (_name(scope), {}),
            tracer_provider=self._provider,
            meter_provider=NoOpMeterProvider(),
            exclude_spans=["receive", "send"],
        )

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request below its span, that below its `traceparent`."""
        call = _Call(app, scope, send)
        # A query may hold a key.
        await self._middleware({**scope, "query_string": b"", "call": call}, receive, call.send)
        if call.failure:
            raise call.failure

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


def _wall_ns(monotonic_s: float) -> int:
    """A time of `time.monotonic` as nanoseconds since 1970."""
    return time.time_ns() - round((time.monotonic() - monotonic_s) * 1e9)
