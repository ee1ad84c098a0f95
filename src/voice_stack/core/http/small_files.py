"""Files in base64, plain or as a data URL; and the small files that a form may carry beside its one large one."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voice_stack.core.errors import InvalidRequestError, PayloadTooLargeError
from voice_stack.core.http.spool import Spool, SpooledFile

_ESCAPE = re.compile(rb"\\(?:/|u00(?!5[cC])([2-7][0-9a-fA-F]))")
_STOP = re.compile(rb"[=\\]")
_MAX_LEFT_BYTES = 16
"""Padding and a part of an escape."""
_DATA_URL = re.compile(rb"data:([^,]*);base64,")
_URL_BYTES = 200


class Base64Reader:
    """Decodes base64, plain or a data URL of it, piece by piece into a spool; escapes of JSON are understood."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._left = b""
        self._media_type: str | None = None

    def add(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            binascii.Error: They are no base64.
        """
        self._left += piece
        if self._media_type is not None or len(self._left) >= _URL_BYTES:
            self._decode(is_end=False)

    def finish(self) -> str:
        """The text is at its end; returns the media type of its URL, or nothing.

        Raises:
            binascii.Error: It is no base64.
        """
        self._decode(is_end=True)
        return self._media_type or ""

    def _decode(self, *, is_end: bool) -> None:
        text = _ESCAPE.sub(_unescape, self._left) if b"\\" in self._left else self._left
        if self._media_type is None:
            url = _DATA_URL.match(text[:_URL_BYTES])
            self._media_type = url[1].decode("latin-1") if url else ""
            text = text[url.end() :] if url else text
        stop = _STOP.search(text)
        end = len(text) if is_end else (stop.start() if stop else len(text)) // 4 * 4
        self._left = text[end:]
        if len(self._left) > _MAX_LEFT_BYTES:
            raise binascii.Error("a character that does not belong there")
        self._spool.add(b64decode(text[:end], validate=True))


def _unescape(escape: re.Match[bytes]) -> bytes:
    return b"/" if escape[1] is None else bytes([int(escape[1], 16)])


@dataclass(slots=True)
class _SmallFile:
    spool: Spool
    filename: str
    content_type: str
    base64: Base64Reader | None
    is_complete: bool = False


@dataclass(slots=True)
class SmallFiles:
    """The files in the parts of one name, `NAME`, `NAME[]` or `NAME[0]`; sent as files, or as text that is base64.

    Attributes:
        name: Of the field.
        max_count: Most of them.
        max_bytes: Largest that is taken, decoded.
        spool_dir: Folder for them; None for the system's.
    """

    name: str
    max_count: int
    max_bytes: int
    spool_dir: Path | None
    _files: list[_SmallFile] = field(default_factory=list)

    def takes(self, part: str) -> bool:
        """Whether a part is one of them."""
        return part.partition("[")[0] == self.name and re.fullmatch(r"(\[\d*\])?", part[len(self.name) :]) is not None

    def begin(self, filename: str | None, content_type: str) -> None:
        """The next one begins; without a filename it is text.

        Raises:
            InvalidRequestError: There are too many.
        """
        if len(self._files) == self.max_count:
            raise InvalidRequestError(f"{self.name}: more than {self.max_count} were sent.", param=self.name)
        spool = Spool(self.spool_dir)
        spool.begin()
        base64 = Base64Reader(spool) if filename is None else None
        self._files.append(_SmallFile(spool, filename or "", content_type, base64))

    def add(self, data: bytes) -> None:
        """Take the next bytes of it.

        Raises:
            PayloadTooLargeError: It is too large.
            InvalidRequestError: It is text, but no base64.
        """
        file = self._files[-1]
        if file.base64 is None:
            file.spool.add(data)
        else:
            try:
                file.base64.add(data)
            except binascii.Error as error:
                raise self._no_base64(error) from None
        self._check_size(file)

    def _check_size(self, file: _SmallFile) -> None:
        if file.spool.size > self.max_bytes:
            raise PayloadTooLargeError(f"{self._label} has more than {self.max_bytes} bytes.", param=self.name)

    def end(self) -> None:
        """It is complete; one without content was never there.

        Raises:
            PayloadTooLargeError: It is too large.
            InvalidRequestError: It is text, but no base64.
        """
        file = self._files[-1]
        try:
            file.content_type = file.base64.finish() if file.base64 else file.content_type
        except binascii.Error as error:
            raise self._no_base64(error) from None
        self._check_size(file)
        file.is_complete = True
        if not file.spool.size:
            self._files.pop()

    @property
    def _label(self) -> str:
        return f"{self.name}[{len(self._files) - 1}]"

    def _no_base64(self, error: binascii.Error) -> InvalidRequestError:
        wanted = "send a file part, or its content as data:audio/wav;base64,...; an address is not fetched"
        return InvalidRequestError(f"{self._label} is neither a file nor base64 ({error}): {wanted}", param=self.name)

    @property
    def is_write_due(self) -> bool:
        """Whether bytes wait that are worth a write: what is complete takes no memory from then on."""
        return any(self._due())

    def _due(self) -> Iterator[_SmallFile]:
        return (file for file in self._files if file.spool.is_write_due or (file.is_complete and file.spool.is_open))

    def write(self) -> None:
        """Bring to the disk what waits; blocks.

        Raises:
            StorageFullError: There is no room for it.
        """
        for file in self._due():
            (file.spool.finish if file.is_complete else file.spool.write)()

    def files(self) -> tuple[SpooledFile, ...]:
        """Those that were sent, when they are written."""
        return tuple(file.spool.file(file.filename, file.content_type) for file in self._files)

    def close(self) -> None:
        """Remove them."""
        for file in self._files:
            file.spool.close()
