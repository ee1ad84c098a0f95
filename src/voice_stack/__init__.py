"""Voice Stack: OpenAI's audio API on your own machine."""

from importlib import import_module
from importlib.metadata import version

__version__ = version("voice-stack")

_CLIENTS = frozenset({"AsyncVoiceStackClient", "VoiceStackClient"})


def __getattr__(name: str) -> object:
    # The servers import this package, too, and have no use for an HTTP client.
    if name in _CLIENTS:
        return getattr(import_module("voice_stack.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_CLIENTS])
