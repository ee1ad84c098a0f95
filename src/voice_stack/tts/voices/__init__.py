"""Which voices there are, built-in and recorded, and who may speak in them."""

__all__ = ["recordings", "reference", "shelf", "sources", "uploads", "voice"]
