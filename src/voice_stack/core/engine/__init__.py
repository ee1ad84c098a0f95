"""The API side of engines: jobs in, outputs back; processes and tasks started, watched and ended; who is let in."""

__all__ = ["admission", "handle", "link", "memory", "pool", "ray_worker", "table", "task"]
