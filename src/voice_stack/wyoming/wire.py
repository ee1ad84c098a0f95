"""Wyoming's events on asyncio streams, with a bound on everything that a client can make long.

An event is a line of JSON, then as many bytes of JSON and of sound as the line says. The library `wyoming` reads any
number of these into memory, and its server stands on that reader: tests speak to us with it, we do without.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from voice_stack.core.errors import InvalidRequestError, RequestTimeoutError
from voice_stack.core.http.uploads import read_json

MAX_LINE_BYTES = 64 * 1024
MAX_PART_BYTES = 1024 * 1024
"""Of the data, and of the payload: half a minute of sound."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message, either way.

    Attributes:
        type: As `audio-chunk`.
        data: A JSON object.
        payload: Sound.
    """

    type: str
    data: Mapping[str, object] = field(default_factory=dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        """The event as it is sent; the data apart from the line, as every client reads it."""
        data = json.dumps(self.data).encode() if self.data else b""
        lengths = {"data_length": len(data), "payload_length": len(self.payload)}
        head = {"type": self.type, **{name: length for name, length in lengths.items() if length}}
        return b"".join((json.dumps(head).encode(), b"\n", data, self.payload))


async def read_event(reader: asyncio.StreamReader, limit_s: float) -> Event | None:
    """The next event.

    Args:
        reader: Its own limit must be `MAX_LINE_BYTES`.
        limit_s: How long an event may take, from its first byte to its last.

    Returns:
        The event; None where the client is gone, also in the middle of one.

    Raises:
        InvalidRequestError: What comes is no event, or is too long; where the next one begins, nobody knows.
        RequestTimeoutError: It comes too slowly.
    """
    if not (first := await reader.read(1)):
        return None
    try:
        async with asyncio.timeout(limit_s):
            return await _read_rest(first, reader)
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise InvalidRequestError(f"The line of an event is longer than {MAX_LINE_BYTES} bytes.") from None
    except TimeoutError:
        raise RequestTimeoutError(f"An event did not come to its end within {limit_s:g} s.") from None


async def _read_rest(first: bytes, reader: asyncio.StreamReader) -> Event:
    head = _read_object(first + await reader.readuntil(b"\n"))
    data_length, payload_length = _read_length(head, "data_length"), _read_length(head, "payload_length")
    kind, data = head.get("type"), head.get("data") or {}
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise InvalidRequestError(f"An event has a type, a string, and its data are an object: not {head!r:.60}.")
    if data_length:
        data |= _read_object(await reader.readexactly(data_length))
    return Event(kind, data, await reader.readexactly(payload_length) if payload_length else b"")


def _read_object(text: bytes) -> dict[str, object]:
    try:
        value = read_json(text)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r:.60} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{text!r:.60} is no JSON object, as an event and its data are.")
    return value


def _read_length(head: Mapping[str, object], name: str) -> int:
    length = head.get(name)
    if length is None:
        return 0
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= MAX_PART_BYTES:
        raise InvalidRequestError(f"{name}={length!r:.60}: a number from 0 to {MAX_PART_BYTES} is expected")
    return length
