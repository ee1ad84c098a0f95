"""A `multipart/form-data` body, parsed while it arrives: fields in memory, the one file on disk."""

import errno
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from python_multipart.multipart import MultipartParser, parse_options_header

from voice_stack.core.errors import InvalidRequestError, StorageFullError
from voice_stack.core.form import Form, SpooledFile
from voice_stack.core.spool_folder import own_folder

MAX_FIELDS = 200
MAX_FIELD_BYTES = 1 << 20
_WRITE_BYTES = 2 << 20
_EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=", re.IGNORECASE)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_logger = logging.getLogger(__name__)

OnFile = Callable[[Mapping[str, list[str]]], None]


@dataclass(slots=True)
class _Part:
    """The part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    is_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class FormReader:
    """Takes the chunks of a body, in order.

    `parse` never touches the disk: file bytes wait until `write`, which a thread may call. A part is a file when it has
    a `filename`, whatever its type.

    Args:
        file_field: Name of the field that carries the file.
        spool_dir: Folder for the file; None for the system's.
        on_file: Called where the file begins, with the fields before it; what it raises ends the reading.
    """

    def __init__(self, file_field: str, spool_dir: Path | None, on_file: OnFile | None = None) -> None:
        self._file_field, self._spool_dir, self._on_file = file_field, spool_dir, on_file
        self._parser: MultipartParser | None = None
        self._part = _Part()
        self._fields: dict[str, list[str]] = {}
        self._field_count = self._field_bytes = self._size = 0
        self._filename: str | None = None
        self._content_type = ""
        self._pending, self._pending_bytes = list[memoryview](), 0
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._ended = self._closed = False
        self._file_lock = threading.Lock()

    def begin(self, boundary: bytes) -> None:
        """Set the line that separates the parts."""
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

    @property
    def is_write_due(self) -> bool:
        """Enough bytes wait to be worth a write."""
        return self._pending_bytes >= _WRITE_BYTES

    def parse(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            python_multipart.exceptions.FormParserError: They are no multipart body.
            InvalidRequestError: Its content is not what a form may hold.
        """
        if self._parser is None:
            raise ValueError("begin() comes before parse()")
        self._parser.write(chunk)

    def write(self) -> None:
        """Append the waiting file bytes to the temporary file.

        Raises:
            StorageFullError: There is no room for them, or the folder cannot be written.
        """
        with self._file_lock:
            if self._closed or self._filename is None:
                return
            try:
                self._append()
            except OSError as error:
                raise self._explain_failure(error) from error
            self._pending, self._pending_bytes = [], 0

    def _append(self) -> None:
        if self._file is None:
            self._path = _create_file(self._spool_dir)
            self._file = FileIO(self._path, "wb")
        waiting = memoryview(b"".join(self._pending))
        while waiting:
            waiting = waiting[self._file.write(waiting) :]

    def _explain_failure(self, error: OSError) -> StorageFullError:
        # The folder is for the operator; the client learns what went wrong and how far it came.
        _logger.error("upload not stored in %s: %s", self._spool_dir or tempfile.gettempdir(), error.strerror)
        if error.errno not in _NO_ROOM:
            reason = error.strerror or type(error).__name__
            return StorageFullError(f"The server cannot store uploads: {reason}.", code="storage_unavailable")
        return StorageFullError(
            f"The server has no room for this upload ({error.strerror}; {self._size} bytes had arrived). "
            "Send a smaller file, or try again when its disk has been cleared."
        )

    def finish(self) -> None:
        """Write what is left, at the end of the body.

        Raises:
            InvalidRequestError: The body ended in the middle.
        """
        if not self._ended:
            raise InvalidRequestError("The multipart/form-data body ends early: its closing boundary is missing.")
        self.write()
        with self._file_lock:
            self._close_file()

    def form(self) -> Form:
        """What has been read."""
        if self._filename is None or self._path is None:
            return Form(self._fields, None)
        return Form(self._fields, SpooledFile(self._path, self._filename, self._content_type, self._size))

    def close(self) -> None:
        """Remove the temporary file.

        A cancelled request does not end the thread that writes for it; whatever that thread does next makes no file.
        """
        with self._file_lock:
            self._closed = True
            self._close_file()
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _end_header(self) -> None:
        part = self._part
        part.headers[part.header_name.lower()] = part.header_value
        part.header_name = part.header_value = b""

    def _end_headers(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise InvalidRequestError("A part of the form has no name in its Content-Disposition header.")
        self._part.name = _decode(options[b"name"], "a field name")
        # RFC 7578 forbids `filename*`, yet urllib3 1.x sends nothing else for a name that is not ASCII.
        self._part.is_file = b"filename" in options or _EXTENDED_FILENAME.search(disposition) is not None
        if self._part.is_file:
            self._begin_file(options.get(b"filename", b"upload"))
        elif (count := self._field_count + 1) > MAX_FIELDS:
            raise InvalidRequestError(f"The form has more than {MAX_FIELDS} fields.")
        else:
            self._field_count = count

    def _begin_file(self, filename: bytes) -> None:
        name = self._part.name
        if name != self._file_field:
            raise InvalidRequestError(
                f"The file was sent in part {name!r}; it goes in part {self._file_field!r}.", param=self._file_field
            )
        if self._filename is not None:
            raise InvalidRequestError(f"More than one file in field {name!r}; send one per request.", param=name)
        if self._on_file is not None:
            self._on_file(self._fields)
        self._filename = filename.decode("utf-8", "replace")
        self._content_type = self._part.headers.get(b"content-type", b"").decode("latin-1")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._size += end - start
            self._pending.append(memoryview(data)[start:end])
            self._pending_bytes += end - start
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD_BYTES:
            raise InvalidRequestError(
                f"The fields of the form hold more than {MAX_FIELD_BYTES} bytes, counted up to {self._part.name!r}."
            )
        self._part.value += data[start:end]

    def _end_part(self) -> None:
        if not self._part.is_file:
            value = _decode(bytes(self._part.value), f"field {self._part.name!r}")
            self._fields.setdefault(self._part.name, []).append(value)

    def _end(self) -> None:
        self._ended = True


def _create_file(spool_dir: Path | None) -> Path:
    """A new empty file that only this user can read (mode 0600), in a folder that goes with this process."""
    descriptor, name = tempfile.mkstemp(suffix=".upload", dir=own_folder(spool_dir))
    os.close(descriptor)
    return Path(name)


def _decode(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(f"The bytes of {what} are not UTF-8: {data[:40]!r}.") from None
