"""A form: parsed while it arrives, fields in memory and the one file on disk; and fields as a schema has them."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from voice_stack.core.errors import InvalidRequestError, tell_problem
from voice_stack.core.http.small_files import SmallFiles
from voice_stack.core.http.spool import Spool, SpooledFile

SchemaT = TypeVar("SchemaT", bound=BaseModel)
_MAX_SHOWN = 200
"""Characters of a bad value that an error message repeats."""


@dataclass(frozen=True, slots=True)
class Form:
    """Field name, as sent, to its values in their order; the file, if there is one; and the small ones beside it."""

    fields: dict[str, list[str]]
    file: SpooledFile | None
    small_files: tuple[SpooledFile, ...] = ()


def check_fields(
    schema: type[SchemaT], values: Mapping[str, object], kind: type[InvalidRequestError] = InvalidRequestError
) -> SchemaT:
    """The fields of a request as the schema has them.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        raise explain_problem(problem, problem["loc"], kind) from None


def explain_problem(
    problem: ErrorDetails, place: Sequence[str | int], kind: type[InvalidRequestError] = InvalidRequestError
) -> InvalidRequestError:
    """What a client is told of a value that does not fit.

    Args:
        problem: The first that pydantic has found.
        place: The field, and what is at fault inside it; empty: all of the body.
        kind: Of error.
    """
    name = str(place[0]) if place else None
    if problem["type"] == "missing" and len(place) <= 1:
        return kind(f"you must provide {repr(name) if name else 'a body'}", param=name)
    path = (name or "the body") + "".join(f"[{part}]" for part in place[1:])
    shown = f"{problem['input']!r}"[:_MAX_SHOWN]
    return kind(f"{path}={shown}: {tell_problem(problem)}", param=name)


HEADER = "x-ignored-fields"
_MAX_NAMED = 20
_MAX_CHARS = 60


def ignored_fields_header(names: Sequence[str]) -> dict[str, str]:
    """The header for fields that mean nothing here; empty where there are none.

    Args:
        names: The fields as sent. At most 20 are named, percent-encoded where a header has no room for a character.
    """
    shown = ", ".join(quote(name[:_MAX_CHARS], safe="[]") for name in names[:_MAX_NAMED])
    return {HEADER: shown} if names else {}


MAX_FIELDS = 200
MAX_FIELD_BYTES = 1 << 20
MAX_PART_HEADERS = 20
MAX_PART_HEADER_BYTES = 16 << 10
MAX_PREAMBLE_BYTES = 64 << 10
MAX_NAME_BYTES = 256
"""What a part for the file holds that somebody filled with the file's name."""
_EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=", re.IGNORECASE)

OnFile = Callable[[Mapping[str, list[str]]], None]


@dataclass(slots=True)
class _Part:
    """The part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    header_bytes: int = 0
    header_count: int = 0
    name: str = ""
    is_file: bool = False
    is_small_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class FormReader:
    """Takes the chunks of a body, in order; file bytes go to the spool.

    A part is a file when it has a `filename`, or a name of the field for one and in it more than a line of text.

    Args:
        on_file: Called where the file begins, with the fields before it; what it raises ends the reading.
        small: Takes the small files beside it, if there may be some.
        other_names: Names that the field for the file has as well.

    Raises:
        InvalidRequestError: The boundary cannot be one.
    """

    def __init__(
        self,
        boundary: bytes,
        file_field: str,
        spool: Spool,
        on_file: OnFile | None = None,
        small: SmallFiles | None = None,
        *,
        other_names: Collection[str] = (),
    ) -> None:
        self._file_field, self._spool, self._on_file, self._small = file_field, spool, on_file, small
        self._names = {file_field, *other_names}
        self._part = _Part()
        self._fields: dict[str, list[str]] = {}
        self._field_count = self._field_bytes = 0
        self._filename: str | None = None
        self._content_type = ""
        self._nameless: bytearray | None = None
        self._ended = False
        self._delimiter = b"--" + boundary
        self._preamble: bytes | None = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _broken(str(error)) from None

    def parse(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidRequestError: They are no multipart body, or its content is not what a form may hold.
        """
        if self._preamble is not None:
            chunk = self._skip_preamble(self._preamble + chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken(str(error)) from None

    def _skip_preamble(self, body: bytes) -> bytes:
        """The body from its first boundary on; what comes before means nothing (RFC 2046, 5.1.1)."""
        start = 0 if body.startswith(self._delimiter) else body.find(b"\n" + self._delimiter)
        if start < 0:
            if len(body) > MAX_PREAMBLE_BYTES:
                raise _broken(f"its boundary is not in the first {MAX_PREAMBLE_BYTES} bytes")
            self._preamble = body
            return b""
        self._preamble = None
        return body[start:].lstrip(b"\n")

    def finish(self) -> None:
        """The body is at its end.

        Raises:
            InvalidRequestError: It ended in the middle.
        """
        if self._preamble:
            raise _broken("its boundary is not in it")
        if not self._ended:
            raise InvalidRequestError("The multipart/form-data body ends early: its closing boundary is missing.")

    def form(self) -> Form:
        """What has been read, when the spool is finished."""
        small = self._small.files() if self._small else ()
        if self._nameless is not None and (words := _read_words(self._nameless)):
            return Form(self._fields | {self._file_field: [words]}, None, small)
        file = None if self._filename is None else self._spool.file(self._filename, self._content_type)
        return Form(self._fields, file, small)

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.header_value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._part.header_bytes += size
        if self._part.header_bytes > MAX_PART_HEADER_BYTES or self._part.header_count >= MAX_PART_HEADERS:
            raise _broken(f"a part has more than {MAX_PART_HEADERS} headers or {MAX_PART_HEADER_BYTES} bytes of them")

    def _end_header(self) -> None:
        part = self._part
        part.header_count += 1
        part.headers[part.header_name.lower()] = part.header_value
        part.header_name = part.header_value = b""

    def _end_headers(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise InvalidRequestError("A part of the form has no name in its Content-Disposition header.")
        self._part.name = _decode(options[b"name"], "a field name")
        # RFC 7578 forbids `filename*`, yet urllib3 1.x sends nothing else for a name that is not ASCII.
        is_named = b"filename" in options or _EXTENDED_FILENAME.search(disposition) is not None
        if self._small and self._small.takes(self._part.name):
            self._part.is_small_file = True
            filename = options.get(b"filename", b"upload").decode("utf-8", "replace") if is_named else None
            self._small.begin(filename, self._part.headers.get(b"content-type", b"").decode("latin-1"))
            return
        self._part.is_file = is_named or self._part.name in self._names
        if self._part.is_file:
            self._nameless = None if is_named else bytearray()
            self._begin_file(options.get(b"filename", b"upload"))
        elif (count := self._field_count + 1) > MAX_FIELDS:
            raise InvalidRequestError(f"The form has more than {MAX_FIELDS} fields.")
        else:
            self._field_count = count

    def _begin_file(self, filename: bytes) -> None:
        name = self._part.name
        if name not in self._names:
            raise InvalidRequestError(
                f"The file was sent in part {name!r}; it goes in part {self._file_field!r}.", param=self._file_field
            )
        if self._filename is not None:
            raise InvalidRequestError(f"More than one file in field {name!r}; send one per request.", param=name)
        if self._on_file is not None:
            self._on_file(self._fields)
        self._spool.begin()
        self._filename = filename.decode("utf-8", "replace")
        self._content_type = self._part.headers.get(b"content-type", b"").decode("latin-1")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_small_file and self._small:
            self._small.add(data[start:end])
            return
        if self._part.is_file:
            self._spool.add(memoryview(data)[start:end])
            if self._nameless is not None and len(self._nameless) <= MAX_NAME_BYTES:
                self._nameless += data[start : min(end, start + MAX_NAME_BYTES + 1)]
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD_BYTES:
            raise InvalidRequestError(
                f"The fields of the form hold more than {MAX_FIELD_BYTES} bytes, counted up to {self._part.name!r}."
            )
        self._part.value += data[start:end]

    def _end_part(self) -> None:
        if self._part.is_small_file and self._small:
            self._small.end()
        elif not self._part.is_file:
            value = _decode(bytes(self._part.value), f"field {self._part.name!r}")
            self._fields.setdefault(self._part.name, []).append(value)

    def _end(self) -> None:
        self._ended = True


def _read_words(data: bytearray) -> str:
    """The text of a part that is one; empty for what is long enough to be sound, or no text."""
    text = data.decode("utf-8", "replace").strip()
    return text if len(data) <= MAX_NAME_BYTES and text.isprintable() and "\ufffd" not in text else ""


def _broken(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"The multipart/form-data body is broken: {reason}.")


def _decode(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(f"The bytes of {what} are not UTF-8: {data[:40]!r}.") from None
