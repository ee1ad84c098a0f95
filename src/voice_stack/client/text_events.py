"""The events of a streamed transcription."""

import json
from dataclasses import dataclass

import httpx2

from voice_stack.client.errors import ApiError, IncompleteResponseError, InvalidResponseError
from voice_stack.client.failures import excerpt, parse_error_details, request_id_of

LAST_EVENT = "transcript.text.done"
MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The last event repeats the whole text; the default of 1 MiB ends at a day of speech."""


@dataclass(frozen=True)
class TextEvent:
    """What one event adds to the text."""

    delta: str = ""
    is_last: bool = False


def is_event_stream(response: httpx2.Response) -> bool:
    """Whether the body is server-sent events; servers that cannot stream a model send plain JSON instead."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"


def parse_text_event(data: str, response: httpx2.Response) -> TextEvent:
    """Read the data of one event; types that this client does not know add nothing.

    Raises:
        ApiError: The server failed in the middle of its work and says so.
        InvalidResponseError: The data is no JSON object.
    """
    if not data or data.startswith("[DONE]"):
        return TextEvent(is_last=bool(data))
    event = parse_event(data, response)
    if event.get("type") == "transcript.text.delta":
        return TextEvent(delta=str(event.get("delta", "")))
    return TextEvent(is_last=event.get("type") == LAST_EVENT)


def parse_event(data: str, response: httpx2.Response) -> dict[str, object]:
    """Read the JSON object of an event.

    Raises:
        ApiError: The server failed in the middle of its work and says so.
        InvalidResponseError: The data is no JSON object.
    """
    try:
        event: object = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        message = f"{response.url} sent an event that is no JSON object: {excerpt(data)}"
        raise InvalidResponseError(message, request_id=request_id_of(response))
    if event.get("error") is not None:
        details = parse_error_details(data, fallback="no reason given")
        raise ApiError(response.status_code, details, request_id=request_id_of(response))
    return event


def missing_end(response: httpx2.Response, last_event: str = LAST_EVENT) -> IncompleteResponseError:
    """The error for a stream that closed properly, but without its last event."""
    message = f"{response.url}: the stream ended without its last event, {last_event}"
    return IncompleteResponseError(message, request_id=request_id_of(response))
