"""The doors of the Voice server."""

__all__ = ["completions", "messages", "older", "passing", "realtime", "sessions", "socket"]
