"""Request bodies: forms with a file, streamed to a private temporary file, and JSON; both with a cap on their size."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from voice_stack.core.errors import InvalidRequestError, PayloadTooLargeError, StorageFullError
from voice_stack.core.form import Form, SpooledFile
from voice_stack.core.multipart import FormReader, OnFile

__all__ = ["Form", "SpooledFile", "receive_file", "receive_form", "receive_json", "spool_bytes"]

_ONLY_FILE = "file"
_DRAIN_FACTOR = 4
_DRAIN_TIMEOUT_S = 30.0


@asynccontextmanager
async def receive_form(
    request: Request, *, file_field: str, max_bytes: int, spool_dir: Path | None, on_file: OnFile | None = None
) -> AsyncIterator[Form]:
    """Receive a `multipart/form-data` body; its file lies on disk until the context ends.

    Args:
        request: The request; nothing has read its body yet.
        file_field: Name of the field that carries the file.
        max_bytes: Largest body that is taken, in bytes.
        spool_dir: Folder for the file; None for the system's.
        on_file: Called where the file begins, with the fields before it; what it raises ends the reading.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: The body is no complete form, or holds what does not belong in it.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    reader = FormReader(file_field, spool_dir, on_file)
    try:
        async with _draining(request, max_bytes) as chunks:
            await _read(reader, _boundary(request, file_field), chunks)
        yield reader.form()
    finally:
        # No await here: a cancelled request would leave the file behind.
        reader.close()


@asynccontextmanager
async def receive_file(request: Request, *, max_bytes: int, spool_dir: Path | None) -> AsyncIterator[Form]:
    """Receive a body that is the file itself; it lies on disk until the context ends. The form has no fields.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    reader = FormReader(_ONLY_FILE, spool_dir)
    try:
        async with _draining(request, max_bytes) as chunks:
            await _read_file(reader, request.headers.get("content-type", ""), chunks)
        yield reader.form()
    finally:
        reader.close()


@asynccontextmanager
async def spool_bytes(data: bytes, content_type: str, *, spool_dir: Path | None) -> AsyncIterator[SpooledFile]:
    """Put bytes that came in another way where an upload would lie, until the context ends.

    Raises:
        StorageFullError: The disk has no room for them.
    """

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield data

    reader = FormReader(_ONLY_FILE, spool_dir)
    try:
        await _read_file(reader, content_type, chunks())
        file = reader.form().file
        assert file is not None
        yield file
    finally:
        reader.close()


async def _read(reader: FormReader, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
    try:
        reader.begin(boundary)
        async for chunk in chunks:
            reader.parse(chunk)
            if reader.is_write_due:
                await asyncio.to_thread(reader.write)
    except FormParserError as error:
        raise InvalidRequestError(f"The multipart/form-data body is broken: {error}.") from None
    await asyncio.to_thread(reader.finish)


async def _read_file(reader: FormReader, content_type: str, chunks: AsyncIterator[bytes]) -> None:
    """Read bytes as the only part of a form, whose boundary nobody can have foreseen."""
    boundary = uuid.uuid4().hex.encode()
    disposition = f'Content-Disposition: form-data; name="{_ONLY_FILE}"; filename="upload"'
    head = f"{disposition}\r\nContent-Type: {content_type or 'application/octet-stream'}\r\n\r\n".encode("latin-1")

    async def parts() -> AsyncIterator[bytes]:
        yield b"--" + boundary + b"\r\n" + head
        async for chunk in chunks:
            yield chunk
        yield b"\r\n--" + boundary + b"--\r\n"

    await _read(reader, boundary, parts())


async def receive_json(request: Request, *, max_bytes: int) -> object:
    """Receive a JSON body of at most `max_bytes` bytes.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: It is not JSON in UTF-8.
        ClientDisconnect: The client went away before the end.
    """
    async with _draining(request, max_bytes) as chunks:
        body = b"".join([chunk async for chunk in chunks])
    try:
        value: object = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
        if b"\\u" in body:  # half a surrogate pair is JSON, but no text
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise InvalidRequestError(f"The request body is not valid JSON in UTF-8: {error}.") from None
    except RecursionError:
        raise InvalidRequestError("The request body is nested too deeply for a JSON request.") from None
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _boundary(request: Request, file_field: str) -> bytes:
    """The boundary the client named in its Content-Type."""
    given = request.headers.get("content-type", "")
    content_type, options = parse_options_header(given)
    if content_type != b"multipart/form-data":
        raise InvalidRequestError(
            f"The request body must be multipart/form-data with the file in part {file_field!r}, "
            f"not {given or 'a body without Content-Type'}.",
            param=file_field,
        )
    if not options.get(b"boundary"):
        raise InvalidRequestError(f"The Content-Type {given!r} names no boundary.")
    return options[b"boundary"]


@asynccontextmanager
async def _draining(request: Request, max_bytes: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """The chunks of a body, counted.

    Many clients read nothing before they have sent everything; if the server answers a refusal and closes, they see a
    reset instead of the reason. So the rest is read and thrown away, within bounds, before the refusal goes out.
    """
    stream = request.stream()
    chunks = _count(request, stream, max_bytes)
    try:
        yield chunks
    except (InvalidRequestError, StorageFullError):
        await chunks.aclose()
        if not _waits_for_continue(request):
            await _drain(stream, _DRAIN_FACTOR * max_bytes)
        raise
    finally:
        await stream.aclose()


async def _count(request: Request, stream: AsyncGenerator[bytes, None], max_bytes: int) -> AsyncGenerator[bytes, None]:
    announced = request.headers.get("content-length", "")
    _check_size(int(announced) if announced.isdecimal() else 0, max_bytes)
    size = 0
    async for chunk in stream:
        size += len(chunk)
        _check_size(size, max_bytes)
        if chunk:
            yield chunk


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise PayloadTooLargeError(f"Maximum content size limit ({max_bytes}) exceeded ({size} bytes read)")


def _waits_for_continue(request: Request) -> bool:
    """The client sends its body only when told to (curl does so for large ones), so there is nothing to drain."""
    announced = request.headers.get("content-length")
    return announced is not None and request.headers.get("expect", "").lower() == "100-continue"


async def _drain(stream: AsyncGenerator[bytes, None], max_bytes: int) -> None:
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            async for chunk in stream:
                max_bytes -= len(chunk)
                if max_bytes < 0:
                    return
    except TimeoutError:
        return
