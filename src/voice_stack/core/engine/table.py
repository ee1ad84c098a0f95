"""The engines a server can run, by name: each imported only in the engine process that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from voice_stack.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine.

    Attributes:
        class_path: `module:class`.
        package: What must be importable for it.
        extra: What `pip install` brings that.
        needs_model: Whether it loads files; if not, any model name does.
    """

    class_path: str
    package: str
    extra: str
    needs_model: bool = True

    def import_class(self) -> object:
        """The engine's class; the import may take seconds."""
        module, _, name = self.class_path.partition(":")
        engine_class: object = getattr(import_module(module), name)
        return engine_class


def require_engine(engines: Mapping[str, EngineEntry], name: str, variable: str) -> EngineEntry:
    """The entry of an engine that is installed.

    Args:
        engines: Those of the server.
        name: The one wanted.
        variable: The setting that names it, for the message.

    Raises:
        ConfigurationError: No engine has that name, or its package is missing.
    """
    if name not in engines:
        raise ConfigurationError(f"{variable}={name!r}: no such engine; there are {', '.join(engines)}")
    entry = engines[name]
    if find_spec(entry.package) is None:
        raise ConfigurationError(f"engine {name} is not installed: pip install '{entry.extra}'")
    return entry
