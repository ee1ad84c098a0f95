"""What the replicas of one server share in Redis or Valkey: small values for a while, and who may ask how often."""

__all__ = ["limits", "state", "values"]
