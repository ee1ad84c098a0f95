"""Parts of the output formats."""

__all__ = ["formats", "objects"]
