"""HTTP routes of the ASR server."""

__all__ = ["bazarr", "diarization", "jobs", "live", "openai", "realtime"]
