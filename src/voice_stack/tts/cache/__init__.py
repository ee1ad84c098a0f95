"""Speech that was made once: kept on disk, and shared while it is being made."""

__all__ = ["entry", "folder", "recording", "shared", "speech_cache"]
