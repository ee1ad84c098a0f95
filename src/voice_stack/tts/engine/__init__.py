"""Speech synthesis engines, one file each."""

__all__ = ["base", "coqui", "fake", "hibari", "kokoro", "piper"]
