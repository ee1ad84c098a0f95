"""The doors of the Voice server."""

__all__ = ["calling", "completions", "messages", "older", "older_turns", "passing", "realtime", "sessions", "socket"]
