"""The true head of a file, which is known only at its end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExactHead:
    """What makes a finished stream the file it would be had its length been known from the start.

    Attributes:
        replaces: Bytes at the beginning of the stream that give way to it.
        data: What stands there instead, with the true lengths.
    """

    replaces: int = 0
    data: bytes = b""
