"""What an engine made of a clause becomes what is sent."""

__all__ = ["finishing"]
