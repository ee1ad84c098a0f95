"""What a server says of itself while it works: metrics, traces, the lag of its event loop."""

__all__ = ["registry"]
