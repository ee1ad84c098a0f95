"""Conversations: speech to a language model to speech, and one address for all servers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice_stack.chat.engine import VoiceChatEngine, VoiceChatResult

__all__ = ["VoiceChatEngine", "VoiceChatResult"]


def __getattr__(name: str) -> object:
    """The engine is imported by who asks for it: the command line wants the settings alone."""
    if name in __all__:
        from voice_stack.chat import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
