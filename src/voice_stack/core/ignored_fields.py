"""The response header that names what a client sent in vain."""

from collections.abc import Sequence
from urllib.parse import quote

HEADER = "x-ignored-fields"
_MAX_NAMED = 20
_MAX_CHARS = 60


def ignored_fields_header(names: Sequence[str]) -> dict[str, str]:
    """The header for fields that mean nothing here; empty where there are none.

    Args:
        names: The fields as sent. At most 20 are named, percent-encoded where a header has no room for a character.
    """
    shown = ", ".join(quote(name[:_MAX_CHARS], safe="[]") for name in names[:_MAX_NAMED])
    return {HEADER: shown} if names else {}
