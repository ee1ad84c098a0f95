"""The events of a speech that tells how far it has come."""

import base64
from dataclasses import dataclass

import httpx2

from voice_stack.client.errors import InvalidResponseError
from voice_stack.client.failures import excerpt, request_id_of
from voice_stack.client.text_events import parse_event

LAST_EVENT = "speech.audio.done"


@dataclass(frozen=True)
class FileHead:
    """What makes a finished stream a file that states its length: `data` in place of its first `replaces` bytes."""

    replaces: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class SpeechChunk:
    """The next stretch of a speech.

    `characters` is how much of the text has been spoken at its end; None where the server does not tell. The last chunk
    has no audio; its `head` completes the file, and `duration_s` is the length of the whole, if the server tells it.
    """

    audio: bytes
    characters: int | None = None
    head: FileHead | None = None
    duration_s: float | None = None


def parse_speech_event(data: str, response: httpx2.Response) -> SpeechChunk | None:
    """Read the data of one event; None for types that this client does not know.

    Raises:
        ApiError: The server failed in the middle of its work and says so.
        InvalidResponseError: The data is not what the API says.
    """
    event = parse_event(data, response)
    try:
        if event.get("type") == "speech.audio.delta":
            characters = event.get("characters")
            return SpeechChunk(_decode(event["audio"]), characters if isinstance(characters, int) else None)
        if event.get("type") == LAST_EVENT:
            head = event.get("exact_head")
            completes = isinstance(head, dict) and FileHead(int(head["replaces"]), _decode(head["data"]))
            told = event.get("duration")
            duration_s = float(told) if isinstance(told, int | float) else None
            return SpeechChunk(b"", head=completes or FileHead(), duration_s=duration_s)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{response.url} sent an event that cannot be read ({error!r}): {excerpt(data)}"
        raise InvalidResponseError(message, request_id=request_id_of(response)) from error
    return None


def _decode(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"base64 expected, got {value!r}")
    return base64.b64decode(value, validate=True)
