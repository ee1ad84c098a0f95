"""The servers as deployments of Ray Serve, for who runs Ray anyway."""

__all__ = ["servers", "uploads"]
