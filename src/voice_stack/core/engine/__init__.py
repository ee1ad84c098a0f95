"""The API side of engines: jobs in, outputs back; processes started, watched and ended; who is let in."""

__all__ = ["admission", "handle", "memory", "pool", "process", "table"]
