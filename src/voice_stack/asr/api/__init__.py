"""HTTP routes of the ASR server."""

__all__ = ["bazarr", "deepgram", "diarization", "jobs", "live", "openai", "realtime"]
