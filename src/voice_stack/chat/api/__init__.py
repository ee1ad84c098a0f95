"""The doors of the Voice server."""

__all__ = ["completions", "messages", "older", "older_turns", "passing", "realtime", "sessions", "socket"]
