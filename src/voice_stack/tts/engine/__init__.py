"""Speech synthesis engines, one file each."""

__all__ = ["base", "coqui", "fake", "hibari", "kokoro", "piper", "xtts_input", "xtts_model"]
