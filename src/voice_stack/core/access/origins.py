"""Web origins, as the settings name them."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from voice_stack.core.access.host_names import HostName

ANY_ORIGIN = "*"


def check_origins(entries: Sequence[str]) -> list[str]:
    """The entries of `CORS_ORIGINS` as browsers write them.

    Raises:
        ValueError: One is no origin, or `*` is not alone.
    """
    if ANY_ORIGIN in entries and len(entries) > 1:
        raise ValueError("'*' allows every origin, so it stands alone")
    return [entry if entry == ANY_ORIGIN else _check_origin(entry) for entry in entries]


def _check_origin(entry: str) -> str:
    parts = urlsplit(entry)
    host = HostName.parse(parts.netloc)
    if not parts.scheme or host is None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{entry!r} is no origin; write https://app.example.com, http://192.168.1.20:8080 or *")
    has_usual_port = (parts.scheme, host.port) in {("http", 80), ("https", 443)}
    netloc = parts.netloc.rpartition(":")[0] if has_usual_port else parts.netloc
    return f"{parts.scheme}://{netloc}".lower()
