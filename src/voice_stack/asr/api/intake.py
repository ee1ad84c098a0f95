"""The ways in which audio arrives: a form, the bare file with options in the query, JSON with base64 inside."""

import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import Request

from voice_stack.asr.schemas import FILE_FIELD
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.work_estimate import SMALL_UPLOAD_BYTES, asks_for_job, least_audio_s, usual_audio_s
from voice_stack.core.admission.desk import Ticket
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError
from voice_stack.core.uploads import Form, receive_file, receive_form, receive_json, spool_bytes

MAX_JSON_BYTES = 48 * 1024 * 1024
"""JSON is held in memory whole; this is 36 MiB of audio, more than its only known sender's 25."""

_RAW_TYPES = re.compile(r"(audio|video)/.+|application/(octet-stream|ogg|mp4)", re.IGNORECASE)
_DATA_URL = re.compile(r"data:([^,]*);base64,")
_PCM_NAMES = {"pcm": "audio/pcm", "pcm16": "audio/pcm", "l16": "audio/L16"}


@asynccontextmanager
async def receive_audio(request: Request, settings: AsrSettings, ticket: Ticket) -> AsyncIterator[Form]:
    """Receive a request's fields and file, whichever way they come; the file lies on disk until the context ends.

    Args:
        request: The request; nothing has read its body yet.
        settings: Those of the server.
        ticket: Shown before a file is received: where the queue is full, the client need not send it.

    Raises:
        QueueFullError: The request would have to wait too long.
        PayloadTooLargeError: The body is too large.
        InvalidRequestError: It is nothing that audio comes in, or broken.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    max_bytes, spool_dir = settings.max_upload_mb * 1024 * 1024, settings.spool_dir
    announced = request.headers.get("content-length", "")

    def admit(fields: Mapping[str, list[str]]) -> None:
        if not asks_for_job(fields):
            _show(ticket, int(announced) if announced.isdecimal() else None)

    if content_type.lower() == "application/json":
        body = await receive_json(request, max_bytes=min(max_bytes, MAX_JSON_BYTES))
        fields, data, audio_type = _read_json_body(body)
        async with spool_bytes(data, audio_type, spool_dir=spool_dir) as file:
            yield Form(fields, file)
    elif _RAW_TYPES.fullmatch(content_type):
        fields = _query_fields(request)
        admit(fields)
        async with receive_file(request, max_bytes=max_bytes, spool_dir=spool_dir) as form:
            yield replace(form, fields=fields)
    else:
        async with receive_form(
            request, file_field=FILE_FIELD, max_bytes=max_bytes, spool_dir=spool_dir, on_file=admit
        ) as form:
            yield form


def _show(ticket: Ticket, size: int | None) -> None:
    """Have a large upload let in before it is received, one of unknown size too; a small one only counts."""
    if size is not None and size <= SMALL_UPLOAD_BYTES:
        ticket.reserve(usual_audio_s(size))
    else:
        ticket.admit(usual_audio_s(size or 0), at_least_s=least_audio_s(size or 0))


def _query_fields(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    return {name: query.getlist(name) for name in query}


def _read_json_body(body: object) -> tuple[dict[str, list[str]], bytes, str]:
    """Fields as a form would have them, the audio, and its content type."""
    if not isinstance(body, dict):
        raise InvalidRequestError("The JSON body must be an object with `model` and `input_audio`.")
    audio = body.pop("input_audio", None)
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise InvalidRequestError(
            'input_audio must be an object {"data": "<base64>", "format": "wav"}', param="input_audio"
        )
    fields = {str(name): _field_values(value) for name, value in body.items() if value is not None}
    return fields, *_decode_audio(audio)


def _field_values(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _field_values(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


def _decode_audio(audio: Mapping[str, object]) -> tuple[bytes, str]:
    text, name = str(audio["data"]), str(audio.get("format") or "").lower()
    audio_type = _PCM_NAMES.get(name, "")
    if url := _DATA_URL.match(text[:200]):
        text, audio_type = text[url.end() :], audio_type or url[1]
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAudioError(f"input_audio.data is no base64: {error}", param="input_audio") from None
    return data, audio_type if audio_type.isascii() and audio_type.isprintable() else ""
