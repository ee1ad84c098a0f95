"""What Bazarr's wire needs besides its routes."""

__all__ = ["films", "query", "sharing"]
