"""Which voices there are, built-in and recorded, and who may speak in them."""

__all__ = ["mirror", "provided", "recordings", "reference", "shelf", "sources", "uploads", "voice"]
