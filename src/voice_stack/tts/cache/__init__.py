"""Speech that was made once: kept on disk, and shared while it is being made."""

__all__ = ["entry", "recording", "speech_cache"]
