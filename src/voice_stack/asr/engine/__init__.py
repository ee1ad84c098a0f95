"""Speech recognition engines, one file each."""

__all__ = ["base", "compute_plan", "fake", "fasterwhisper", "parakeet", "whisper"]
