"""The events of streamed transcriptions and speeches."""

import base64
import json
from dataclasses import dataclass

import httpx2

from voice_stack.client.errors import (
    ApiError,
    IncompleteResponseError,
    InvalidResponseError,
    excerpt,
    parse_error_details,
    request_id_of,
)

LAST_TEXT_EVENT = "transcript.text.done"
MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The last event repeats the whole text; the default of 1 MiB ends at a day of speech."""


def is_event_stream(response: httpx2.Response) -> bool:
    """Whether the body is server-sent events; servers that cannot stream a model send plain JSON instead."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"


def parse_text_event(data: str, response: httpx2.Response) -> str | None:
    """Read what the data of one event adds to the text, None for the last; types that are not known add nothing.

    Raises:
        ApiError: The server failed in the middle of its work and says so.
        InvalidResponseError: The data is no JSON object.
    """
    if not data:
        return ""
    event = {"type": LAST_TEXT_EVENT} if data.startswith("[DONE]") else parse_event(data, response)
    if event.get("type") == LAST_TEXT_EVENT:
        return None
    return str(event.get("delta", "")) if event.get("type") == "transcript.text.delta" else ""


def parse_event(data: str, response: httpx2.Response) -> dict[str, object]:
    """Read the JSON object of an event.

    Raises:
        ApiError: The server failed in the middle of its work and says so.
        InvalidResponseError: The data is no JSON object.
    """
    event = load_event(data, response)
    if event.get("error") is not None:
        raise told_error(data, response)
    return event


def told_error(data: str, response: httpx2.Response) -> ApiError:
    """What an event says went wrong."""
    details = parse_error_details(data, fallback="no reason given")
    return ApiError(response.status_code, details, request_id=request_id_of(response))


def load_event(data: str, response: httpx2.Response) -> dict[str, object]:
    """Read the JSON object of an event, whatever it says.

    Raises:
        InvalidResponseError: The data is no JSON object.
    """
    try:
        event: object = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        message = f"{response.url} sent an event that is no JSON object: {excerpt(data)}"
        raise InvalidResponseError(message, request_id=request_id_of(response))
    return event


def missing_end(response: httpx2.Response, last_event: str = LAST_TEXT_EVENT) -> IncompleteResponseError:
    """The error for a stream that closed properly, but without its last event."""
    message = f"{response.url}: the stream ended without its last event, {last_event}"
    return IncompleteResponseError(message, request_id=request_id_of(response))


LAST_SPEECH_EVENT = "speech.audio.done"


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
        if event.get("type") == LAST_SPEECH_EVENT:
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
