"""What Bazarr's wire needs besides its routes."""

__all__ = ["film_log", "films", "query", "sharing"]
