"""How work is named in metrics and traces, and traces for a collector, when one is named.

OpenTelemetry's own variables are its settings: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

import os
import re
from collections.abc import Collection, Mapping
from logging import getLogger
from pathlib import PurePath
from typing import TYPE_CHECKING

from starlette.types import Scope

if TYPE_CHECKING:
    from voice_stack.core.telemetry.otel import OtelTraces

Attributes = Mapping[str, str | int | float | bool]
"""What is told of a span."""

CLIENT_CLOSED_REQUEST = 499
"""The status that nginx made customary for a request whose client left before an answer; it is never sent."""
OTHER = "other"
UNMATCHED = "unmatched"
"""Route of a request that no route took: unknown paths, and what was refused on the way."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CONVERTER = re.compile(r":\w+}")
_CODE = re.compile(r"[a-z0-9_]{1,60}")


def label_model(model: str, listed: Collection[str], chosen: Collection[str]) -> str:
    """The label of a model: its name if the catalogue lists it or the operator chose it, else `other`.

    Args:
        model: Name or path.
        listed: Names of the catalogue.
        chosen: Names and paths in the settings; of a path only the last part is shown.
    """
    if model in listed:
        return model
    return PurePath(model).name or OTHER if model in chosen else OTHER


def label_method(method: str) -> str:
    """The method of a request; `other` for one that HTTP does not name."""
    return method if method in _METHODS else OTHER


def label_status(status: int) -> str:
    """The class of a status, as `2xx`; a client that left before it is told apart."""
    return str(status) if status == 499 else f"{status // 100}xx"


def label_code(code: object, status: int) -> str:
    """The code of an error; for one without, its status as `http_404`."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"http_{status}"


def label_route(scope: Scope) -> str:
    """The template of the route that took a request, as `/v1/models/{name}`; never the path itself."""
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return UNMATCHED
    prefix = _find_prefix(scope, template, scope.get("path_params", {}))
    return prefix + _CONVERTER.sub("}", template)


def _find_prefix(scope: Scope, template: str, parameters: Mapping[str, object]) -> str:
    """What stands before the route's own path: the prefixes under which its routers are included."""
    own = _CONVERTER.sub("}", template)
    for name, value in parameters.items():
        own = own.replace(f"{{{name}}}", str(value))
    path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
    return path[: -len(own)] if own and path.endswith(own) else ""


_engine_labels: dict[str, tuple[str, str]] = {}


def note_engine(name: str, labels: tuple[str, str]) -> None:
    """From now on the engine with this name, as people read it, has these labels: engine and model."""
    _engine_labels[name] = labels


def find_engine_labels(name: str) -> tuple[str, str]:
    """The labels of an engine that was noted before."""
    return _engine_labels.get(name, (OTHER, OTHER))


logger = getLogger(__name__)

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


_active: "OtelTraces | None" = None


def start_traces(server: str, version: str) -> None:
    """Begin tracing if a collector is named; warns where the extra for it is missing."""
    global _active
    if _active is not None or not is_wanted(os.environ):
        return
    try:
        from voice_stack.core.telemetry.otel import OtelTraces
    except ImportError as error:
        logger.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced (%s): pip install 'voice-stack[otel]'", error
        )
        return
    _active = OtelTraces(server, version)


def stop_traces() -> None:
    """Send what is left and trace no more; blocks for some seconds at most."""
    global _active
    stopped, _active = _active, None
    if stopped is not None:
        stopped.close()


def active_traces() -> "OtelTraces | None":
    """Where spans go; None where nothing is traced."""
    return _active


def current_context() -> object:
    """What later spans are put below; None where nothing is traced."""
    return None if _active is None else _active.current()


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") not in {"", "otlp"}:
        return False
    return any(environment.get(name) for name in ENDPOINT_VARIABLES)
