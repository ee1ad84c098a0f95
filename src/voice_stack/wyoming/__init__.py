"""Wyoming, the protocol of Home Assistant: the doors of both servers, which know nothing of each other."""

__all__ = ["asr", "listener", "tts"]
