"""Which voices there are, built-in and recorded, and who may speak in them."""

__all__ = ["provided", "recordings", "reference", "shelf", "sources", "uploads", "voice"]
