"""What a request says of the cache."""

from collections.abc import Mapping
from enum import Enum


class CacheUse(Enum):
    """What may be done with a kept speech, and with one that is made now."""

    USUAL = "serve what is there, keep what is made"
    FRESH = "make it anew and keep that"
    NONE = "serve nothing that is there, keep nothing"


def cache_use(*, is_wanted: bool, headers: Mapping[str, str]) -> CacheUse:
    """What a request allows.

    Args:
        is_wanted: Its field `cache`.
        headers: Its headers; `no-store` and `no-cache` in `Cache-Control` count (RFC 9111, section 5.2.1).
    """
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if not is_wanted or "no-store" in directives:
        return CacheUse.NONE
    return CacheUse.FRESH if "no-cache" in directives else CacheUse.USUAL


def entity_tag(key: str, stream_format: str) -> str:
    """The ETag of an answer: weak, because a speech that is made again sounds the same and has other bytes."""
    return f'W/"{key[:32]}-{stream_format}"'


def is_known(tag: str, headers: Mapping[str, str]) -> bool:
    """Whether the client has an answer of that tag already: it stands in `If-None-Match`."""
    known = (given.strip().removeprefix("W/") for given in headers.get("if-none-match", "").split(","))
    return tag.removeprefix("W/") in known
