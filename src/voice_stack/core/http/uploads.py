"""Request bodies: forms with a file and JSON with one go to the disk while they arrive; all have bounds."""

import asyncio
import binascii
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, closing, nullcontext
from itertools import accumulate
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, PayloadTooLargeError
from voice_stack.core.http.form import Form, FormReader, OnFile
from voice_stack.core.http.small_files import Base64Reader, SmallFiles
from voice_stack.core.http.spool import Spool, SpooledFile

MAX_DEPTH = 32
MAX_CONTAINERS = 10_000
"""Lists and objects: each takes much more memory, and time, than its bytes."""
MAX_REST_BYTES = 256 << 10
"""What a body may hold besides its file."""
# An end that is missing must not send the search through the rest of the text for each quote in it.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"{[}]", b"\1\1\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))
_MARK = re.compile(rb'["{}\[\],]')
_STRING_END = re.compile(rb'["\\]')


def read_json(text: bytes) -> object:
    """The value of a JSON text.

    Raises:
        ValueError: It is not JSON in UTF-8, or holds what is no text.
        InvalidRequestError: It is nested deeper than 32 levels, or holds more than 10,000 lists and objects.
    """
    brackets = _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS)
    if max(accumulate(memoryview(brackets[: 2 * MAX_CONTAINERS]).cast("b")), default=0) > MAX_DEPTH:
        raise InvalidRequestError(f"The JSON is nested too deeply: more than {MAX_DEPTH} levels.")
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise InvalidRequestError(f"The JSON holds more than {MAX_CONTAINERS} lists and objects.")
    value: object = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse_constant)
    if b"\\u" in text:  # half a surrogate pair is JSON, but no text
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


class SoundReader:
    """Takes the chunks of a JSON body, in order: the base64 of one string goes to the spool, decoded.

    Args:
        path: Names of the object that holds the string, and of the string in it.
        spool: Takes the file.

    Attributes:
        rest: The body with an empty string in that place; whether it is JSON is still to be seen.
        media_type: Of the file, as its data URL says or empty; None where there is no file.
    """

    def __init__(self, path: tuple[str, str], spool: Spool) -> None:
        self.rest = bytearray()
        self.media_type: str | None = None
        self._path, self._spool = list(path), spool
        # For each open object the name that was read last, empty until there is one; for each array None.
        self._names: list[str | None] = []
        self._string: bytearray | None = None
        self._base64: Base64Reader | None = None
        self._is_escaped = False

    def parse(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidAudioError: The string is no base64.
            InvalidRequestError: There are two of it.
            PayloadTooLargeError: There is too much besides it.
        """
        at = 0
        while at < len(chunk):
            if self._base64 is not None:
                at = self._read_base64(self._base64, chunk, at)
            elif self._string is not None:
                at = self._read_string(self._string, chunk, at)
            else:
                at = self._read_mark(chunk, at)

    def _keep(self, data: bytes) -> None:
        self.rest += data
        if len(self.rest) > MAX_REST_BYTES:
            where = ".".join(self._path)
            raise PayloadTooLargeError(f"Besides {where} the JSON body has more than {MAX_REST_BYTES} bytes.")

    def _read_mark(self, chunk: bytes, at: int) -> int:
        found = _MARK.search(chunk, at)
        end = found.end() if found else len(chunk)
        self._keep(chunk[at:end])
        match found and found[0]:
            case b'"' if self._names == self._path:
                self._begin_file()
            case b'"':
                self._string = bytearray(b'"')
            case b"{":
                self._names.append("")
            case b"[":
                self._names.append(None)
            case b"}" | b"]" if self._names:
                self._names.pop()
            case b"," if self._names and self._names[-1] is not None:
                self._names[-1] = ""
        return end

    def _read_string(self, string: bytearray, chunk: bytes, at: int) -> int:
        if self._is_escaped:
            found, end = None, at + 1
        else:
            found = _STRING_END.search(chunk, at)
            end = found.end() if found else len(chunk)
        self._keep(chunk[at:end])
        string += chunk[at:end]
        self._is_escaped = found is not None and found[0] == b"\\"
        if found and found[0] == b'"':
            self._string = None
            if self._names and self._names[-1] == "":
                self._names[-1] = _read_name(string)
        return end

    def _begin_file(self) -> None:
        if self.media_type is not None:
            raise InvalidRequestError(f"{'.'.join(self._path)} was sent twice.", param=self._path[0])
        self._spool.begin()
        self._base64 = Base64Reader(self._spool)

    def _read_base64(self, file: Base64Reader, chunk: bytes, at: int) -> int:
        end = chunk.find(b'"', at)
        try:
            file.add(chunk[at : end if end >= 0 else None])
            if end < 0:
                return len(chunk)
            self.media_type, self._base64 = file.finish(), None
        except binascii.Error as error:
            where = ".".join(self._path)
            raise InvalidAudioError(f"{where} is no base64: {error}", param=self._path[0]) from None
        self._keep(b'"')
        return end + 1


def _read_name(string: bytearray) -> str:
    try:
        return str(json.loads(string.decode()))
    except ValueError as error:
        raise _no_json(error) from None


def _no_json(error: ValueError) -> InvalidRequestError:
    return InvalidRequestError(f"The request body is not valid JSON in UTF-8: {error}.")


_FEW_BYTES = 4 << 10
_AT_ONCE_BYTES = 64 << 10


@asynccontextmanager
async def receive_form(
    request: Request,
    *,
    file_field: str,
    max_bytes: int,
    spool_dir: Path | None,
    on_file: OnFile | None = None,
    small: SmallFiles | None = None,
    other_names: Collection[str] = (),
) -> AsyncIterator[Form]:
    """Receive a `multipart/form-data` body; its file lies on disk until the context ends.

    Args:
        request: The request; nothing has read its body yet.
        file_field: Name of the field that carries the file.
        max_bytes: Largest body that is taken, in bytes.
        spool_dir: Folder for the file; None for the system's.
        on_file: Called where the file begins, with the fields before it; what it raises ends the reading.
        small: Takes the small files beside it, if there may be some.
        other_names: Names that the field for the file has as well.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: The body is no complete form, or holds what does not belong in it.
        StorageFullError: The disk has no room for the file.
        ClientDisconnect: The client went away before the end.
    """
    # No await in their end: a cancelled request would leave the files behind.
    with closing(Spool(spool_dir)) as spool, closing(small) if small else nullcontext():
        reader = FormReader(_boundary(request, file_field), file_field, spool, on_file, small, other_names=other_names)
        await _fill(spool, reader.parse, _count(request, max_bytes), beside=small)
        reader.finish()
        await asyncio.to_thread(spool.finish)
        yield reader.form()


@asynccontextmanager
async def receive_file(request: Request, *, max_bytes: int, spool_dir: Path | None) -> AsyncIterator[Form]:
    """Receive a body that is the file itself, as `receive_form` does a form; this one has no fields."""
    with closing(Spool(spool_dir)) as spool:
        spool.begin()
        await _fill(spool, spool.add, _count(request, max_bytes))
        await asyncio.to_thread(spool.finish)
        yield Form({}, spool.file("upload", request.headers.get("content-type", "")))


@asynccontextmanager
async def receive_json_sound(
    request: Request, path: tuple[str, str], *, max_bytes: int, spool_dir: Path | None
) -> AsyncIterator[tuple[object, SpooledFile | None]]:
    """Receive a JSON body with a file in base64 in it, as `receive_form` does a form.

    `path` names the object that holds the file, and its string in there; besides it the body may have 256 KiB.

    Returns:
        The body with an empty string in place of the file, and the file; its type is that of a data URL, or empty.
    """
    with closing(Spool(spool_dir)) as spool:
        reader = SoundReader(path, spool)
        # Many marks, one by one, would hold up everybody else.
        await _fill(spool, reader.parse, _count(request, max_bytes), in_thread=True)
        body = await parse_json(bytes(reader.rest))
        await asyncio.to_thread(spool.finish)
        yield body, None if reader.media_type is None else spool.file("upload", reader.media_type)


async def _fill(
    spool: Spool,
    take: Callable[[bytes], None],
    chunks: AsyncGenerator[bytes, None],
    *,
    in_thread: bool = False,
    beside: SmallFiles | None = None,
) -> None:
    async with aclosing(chunks):
        async for chunk in chunks:
            if in_thread and len(chunk) > _FEW_BYTES:
                await asyncio.to_thread(take, chunk)
            else:
                take(chunk)
            if spool.is_write_due:
                await asyncio.to_thread(spool.write)
            if beside and beside.is_write_due:
                await asyncio.to_thread(beside.write)


async def receive_json(request: Request, *, max_bytes: int) -> object:
    """Receive a JSON body of at most `max_bytes` bytes.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: It is not JSON in UTF-8, or nested deeper than 32 levels.
        ClientDisconnect: The client went away before the end.
    """
    return await parse_json(await receive_body(request, max_bytes=max_bytes))


async def receive_body(request: Request, *, max_bytes: int) -> bytes:
    """Receive a body of at most `max_bytes` bytes, whatever it is.

    Raises:
        PayloadTooLargeError: It is larger.
        ClientDisconnect: The client went away before the end.
    """
    return b"".join([chunk async for chunk in _count(request, max_bytes)])


async def receive_object(
    request: Request, *, max_bytes: int = 65_536, keep_null: bool = False, may_be_empty: bool = False
) -> dict[str, object]:
    """Receive a JSON object of at most `max_bytes` bytes.

    Args:
        request: The request; nothing has read its body yet.
        max_bytes: Largest body that is taken, in bytes.
        keep_null: Null is a value; else it counts as absent.
        may_be_empty: No body is an object without fields.

    Raises:
        PayloadTooLargeError: The body is larger than `max_bytes`.
        InvalidRequestError: It is no JSON object in UTF-8, or nested deeper than 32 levels.
        ClientDisconnect: The client went away before the end.
    """
    content = await receive_body(request, max_bytes=max_bytes)
    body = {} if may_be_empty and not content else await parse_json(content)
    if not isinstance(body, dict):
        raise InvalidRequestError(f"the body must be a JSON object, not {type(body).__name__}")
    return {str(name): value for name, value in body.items() if keep_null or value is not None}


async def parse_json(body: bytes) -> object:
    """The value of a JSON body; a large one is read in a thread, so that nobody else waits for it.

    Raises:
        InvalidRequestError: It is not JSON in UTF-8, or nested deeper than 32 levels.
    """
    try:
        return read_json(body) if len(body) <= _AT_ONCE_BYTES else await asyncio.to_thread(read_json, body)
    except ValueError as error:
        raise _no_json(error) from None


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
