"""What every operation of the API docs has in common: how errors look, how bodies that are no JSON are described."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

Responses = dict[int | str, dict[str, Any]]
"""Answers by status, as FastAPI takes them."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="For people: the bad value and the good ones.")
    type: str = Field(description="`invalid_request_error`, `server_error` or another of OpenAI's types.")
    param: str | None = Field(description="The field at fault, if one is.")
    code: str | None = Field(description="For programs.")


class ErrorBody(BaseModel):
    """The body of every error, as OpenAI has it."""

    error: ErrorDetail


ERROR_RESPONSES: Responses = {
    "4XX": {
        "model": ErrorBody,
        "description": "The request cannot be served as it is: 400 a bad value, 401 no key or a wrong one, 403 not "
        "allowed, 404 no such thing, 405 no such method, 408 the upload took too long, 409 not now, 413 too large, "
        "429 too much at once.",
    },
    "5XX": {
        "model": ErrorBody,
        "description": "The server failed: 500 the model or the server itself, 503 it is stopping or not ready, "
        "507 the disk is full.",
    },
}
"""For every operation; no request is answered with FastAPI's own 422."""

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_TEXT = {"schema": {"type": "string"}}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def texts(media_types: Iterable[str]) -> dict[str, Any]:
    """Bodies that are text, by their media types without parameters."""
    return {media_type.partition(";")[0]: _TEXT for media_type in media_types}


def binaries(media_types: Iterable[str]) -> dict[str, Any]:
    """Bodies that are bytes, by their media types."""
    return dict.fromkeys(media_types, _BINARY)


def headers(**described: str) -> dict[str, Any]:
    """Response headers, `x_cache` for `x-cache`, with what they say."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in described.items()
    }


def json_docs(schema: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """A JSON request body; the schema has no others inside it."""
    content = {JSON: {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}
