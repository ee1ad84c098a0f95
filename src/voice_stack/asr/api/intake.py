"""The ways in which audio arrives: a form, the bare file with options in the query, JSON with base64 inside."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import Request

from voice_stack.asr.form import MAX_KNOWN_SPEAKERS, MAX_REFERENCE_BYTES, REFERENCES
from voice_stack.asr.schemas import FILE_FIELD
from voice_stack.asr.service import SMALL_UPLOAD_BYTES, asks_for_job, least_audio_s, usual_audio_s
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.engine.admission import Ticket
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.form import Form
from voice_stack.core.http.small_files import SmallFiles
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.http.uploads import receive_file, receive_form, receive_json_sound

MAX_JSON_BYTES = 48 * 1024 * 1024
"""This is 36 MiB of audio, more than the only known sender's 25; nobody asks the queue before it is received."""

_RAW_TYPES = re.compile(r"(audio|video)/.+|application/(octet-stream|ogg|mp4)", re.IGNORECASE)
_PCM_NAMES = {"pcm": "audio/pcm", "pcm16": "audio/pcm", "l16": "audio/L16"}


@asynccontextmanager
async def receive_audio(
    request: Request, settings: AsrSettings, ticket: Ticket, replicas: Sequence[EngineSpec] | None = None
) -> AsyncIterator[Form]:
    """Receive a request's fields and files, whichever way they come; the files lie on disk until the context ends.

    The ticket is shown before a file is received: where the queue is full, the client need not send it.
    `replicas` are the engines that will do the work, where that is known by now.

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
            show_upload(ticket, int(announced) if announced.isdecimal() else None, replicas)

    if content_type.lower() == "application/json":
        async with receive_json_sound(
            request, ("input_audio", "data"), max_bytes=min(max_bytes, MAX_JSON_BYTES), spool_dir=spool_dir
        ) as (body, file):
            yield _read_json_body(body, file)
    elif _RAW_TYPES.fullmatch(content_type):
        fields = _query_fields(request)
        admit(fields)
        async with receive_file(request, max_bytes=max_bytes, spool_dir=spool_dir) as form:
            yield replace(form, fields=fields)
    else:
        small = SmallFiles(REFERENCES, MAX_KNOWN_SPEAKERS, MAX_REFERENCE_BYTES, spool_dir)
        async with receive_form(
            request, file_field=FILE_FIELD, max_bytes=max_bytes, spool_dir=spool_dir, on_file=admit, small=small
        ) as form:
            yield form


def show_upload(ticket: Ticket, size: int | None, replicas: Sequence[EngineSpec] | None = None) -> None:
    """Have a large upload let in before it is received, one of unknown size too; a small one only counts."""
    if size is not None and size <= SMALL_UPLOAD_BYTES:
        ticket.reserve(usual_audio_s(size))
    else:
        ticket.admit(usual_audio_s(size or 0), replicas, at_least_s=least_audio_s(size or 0))


def _query_fields(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    return {name: query.getlist(name) for name in query}


def _read_json_body(body: object, file: SpooledFile | None) -> Form:
    """The fields as a form would have them, and the file under the type that the body names."""
    if not isinstance(body, dict):
        raise InvalidRequestError("The JSON body must be an object with `model` and `input_audio`.")
    audio = body.pop("input_audio", None)
    if file is None or not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise InvalidRequestError(
            'input_audio must be an object {"data": "<base64>", "format": "wav"}', param="input_audio"
        )
    fields = {str(name): _field_values(value) for name, value in body.items() if value is not None}
    audio_type = _PCM_NAMES.get(str(audio.get("format")).lower(), file.content_type)
    is_type = audio_type.isascii() and audio_type.isprintable()
    return Form(fields, replace(file, content_type=audio_type if is_type else ""))


def _field_values(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _field_values(item)]
    return [value if isinstance(value, str) else json.dumps(value)]
