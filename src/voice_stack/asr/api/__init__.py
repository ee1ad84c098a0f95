"""HTTP routes of the ASR server."""

__all__ = ["bazarr", "jobs", "openai", "realtime"]
