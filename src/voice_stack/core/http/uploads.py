"""Request bodies: forms with a file, streamed to a private temporary file, and JSON; both with a cap on their size."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from voice_stack.core.errors import InvalidRequestError, PayloadTooLargeError
from voice_stack.core.http.form import Form, SpooledFile
from voice_stack.core.http.json_text import SoundReader, read_json
from voice_stack.core.http.multipart import FormReader, OnFile
from voice_stack.core.http.spool import Spool

_FEW_BYTES = 4 << 10
_AT_ONCE_BYTES = 64 << 10


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
    spool = Spool(spool_dir)
    try:
        reader = FormReader(_boundary(request, file_field), file_field, spool, on_file)
        await _fill(spool, reader.parse, _count(request, max_bytes))
        reader.finish()
        await asyncio.to_thread(spool.finish)
        yield reader.form()
    finally:
        # No await here: a cancelled request would leave the file behind.
        spool.close()


@asynccontextmanager
async def receive_file(request: Request, *, max_bytes: int, spool_dir: Path | None) -> AsyncIterator[Form]:
    """Receive a body that is the file itself; it lies on disk until the context ends. The form has no fields.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    spool = Spool(spool_dir)
    spool.begin()
    try:
        await _fill(spool, spool.add, _count(request, max_bytes))
        await asyncio.to_thread(spool.finish)
        yield Form({}, spool.file("upload", request.headers.get("content-type", "")))
    finally:
        spool.close()


@asynccontextmanager
async def receive_json_sound(
    request: Request, path: tuple[str, str], *, max_bytes: int, spool_dir: Path | None
) -> AsyncIterator[tuple[object, SpooledFile | None]]:
    """Receive a JSON body with a file in base64 in it; the file lies on disk until the context ends.

    Args:
        request: The request; nothing has read its body yet.
        path: Names of the object that holds the file, and of its string in there.
        max_bytes: Largest body that is taken, in bytes; all but the file may have 256 KiB.
        spool_dir: Folder for the file; None for the system's.

    Returns:
        The body with an empty string in place of the file, and the file; its type is that of a data URL, or empty.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`, or holds too much besides the file.
        InvalidRequestError: It is not JSON in UTF-8, or the file no base64.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    spool = Spool(spool_dir)
    try:
        reader = SoundReader(path, spool)
        # Many marks, one by one, would hold up everybody else.
        await _fill(spool, reader.parse, _count(request, max_bytes), in_thread=True)
        body = await _read_json(bytes(reader.rest))
        await asyncio.to_thread(spool.finish)
        yield body, None if reader.media_type is None else spool.file("upload", reader.media_type)
    finally:
        spool.close()


async def _fill(
    spool: Spool, take: Callable[[bytes], None], chunks: AsyncGenerator[bytes, None], *, in_thread: bool = False
) -> None:
    async with aclosing(chunks):
        async for chunk in chunks:
            if in_thread and len(chunk) > _FEW_BYTES:
                await asyncio.to_thread(take, chunk)
            else:
                take(chunk)
            if spool.is_write_due:
                await asyncio.to_thread(spool.write)


async def receive_json(request: Request, *, max_bytes: int) -> object:
    """Receive a JSON body of at most `max_bytes` bytes.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: It is not JSON in UTF-8, or nested deeper than 32 levels.
        ClientDisconnect: The client went away before the end.
    """
    return await _read_json(b"".join([chunk async for chunk in _count(request, max_bytes)]))


async def receive_object(request: Request, *, max_bytes: int = 65_536) -> dict[str, object]:
    """Receive a JSON object of at most `max_bytes` bytes; null counts as absent.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: It is no JSON object in UTF-8, or nested deeper than 32 levels.
        ClientDisconnect: The client went away before the end.
    """
    body = await receive_json(request, max_bytes=max_bytes)
    if not isinstance(body, dict):
        raise InvalidRequestError(f"the body must be a JSON object, not {type(body).__name__}")
    return {str(name): value for name, value in body.items() if value is not None}


async def _read_json(body: bytes) -> object:
    """Large ones in a thread, so that nobody else waits for them."""
    try:
        return read_json(body) if len(body) <= _AT_ONCE_BYTES else await asyncio.to_thread(read_json, body)
    except ValueError as error:
        raise InvalidRequestError(f"The request body is not valid JSON in UTF-8: {error}.") from None


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


async def _count(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The chunks of a body, as long as they are not too many; the rest of one that is refused is left to the wire."""
    announced = request.headers.get("content-length", "")
    _check_size(int(announced) if announced.isdecimal() else 0, max_bytes)
    size = 0
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            size += len(chunk)
            _check_size(size, max_bytes)
            if chunk:
                yield chunk


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise PayloadTooLargeError(f"Maximum content size limit ({max_bytes}) exceeded ({size} bytes read)")
