"""Background jobs: kept on disk, worked on, told about."""

__all__ = ["background", "record", "sessions", "store"]
