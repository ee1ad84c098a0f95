"""The doors of the Voice server."""
