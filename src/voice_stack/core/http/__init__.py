"""What all servers share on the wire: the app and its layers, sockets, uploads, keys, limits, status."""

__all__ = [
    "access",
    "api_docs",
    "app",
    "context",
    "event_socket",
    "form",
    "keys",
    "limits",
    "models",
    "page",
    "realtime",
    "serving",
    "small_files",
    "sockets",
    "spool",
    "status",
    "streaming",
    "uploads",
    "wires",
]
