"""Label values that cannot grow without bound, whatever clients send."""

import re
from collections.abc import Collection, Mapping
from pathlib import PurePath

from starlette.types import Scope

Attributes = Mapping[str, str | int | float | bool]
"""What is told of a span."""

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
