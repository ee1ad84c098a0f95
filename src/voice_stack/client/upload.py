"""The audio of one call: opened, read in pieces, rewound for a retry; and where speech is written."""

import asyncio
import base64
import io
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast
from uuid import uuid4

import httpx2

from voice_stack.client.options import AudioFormat

# The opus of OpenAI's API is Opus in an Ogg container.
_FORMAT_OF_SUFFIX: Mapping[str, AudioFormat] = {
    ".mp3": "mp3",
    ".opus": "opus",
    ".ogg": "opus",
    ".oga": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".wav": "wav",
    ".pcm": "pcm",
    ".raw": "pcm",
}


def format_of(path: Path) -> AudioFormat:
    """The audio format that a file name says.

    Raises:
        ValueError: It says none that is known.
    """
    try:
        return _FORMAT_OF_SUFFIX[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_FORMAT_OF_SUFFIX)
        raise ValueError(
            f"{str(path)!r} does not say its format: give format=, or one of the suffixes {known}"
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write whose content appears at `path` when all is well, and nowhere when it is not.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


AudioFile: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a file, or a file open for binary reading; a seekable one is sent from its beginning."""


def data_url(recording: str | os.PathLike[str] | bytes) -> str:
    """A short recording, a path or the bytes of a file, as a part of a request.

    Raises:
        OSError: It cannot be read.
    """
    content = recording if isinstance(recording, bytes) else Path(recording).read_bytes()
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


class Upload:
    """The part of a binary file object that a multipart form needs.

    There is no `fileno` on purpose: the length would be taken from the descriptor, which is wrong for a
    decompressing file and zero for a pipe.
    """

    def __init__(self, file: BinaryIO) -> None:
        name = getattr(file, "name", None)
        # A file opened from a descriptor has a number for its name.
        self.filename = Path(name).name if isinstance(name, str) else "upload"
        self._file = file
        self._is_seekable = file.seekable()
        self._is_started = False

    @property
    def can_resend(self) -> bool:
        """Whether the whole content can still be sent (again)."""
        return self._is_seekable or not self._is_started

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`."""
        self._is_started = True
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the file.

        Raises:
            io.UnsupportedOperation: The file cannot be rewound.
        """
        if not self._is_seekable:
            raise io.UnsupportedOperation(f"{self.filename} cannot be rewound")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file, bytes.

        Raises:
            io.UnsupportedOperation: The file has no positions.
        """
        if not self._is_seekable:
            raise io.UnsupportedOperation(f"{self.filename} has no positions")
        return self._file.tell()

    def form_part(self) -> tuple[str, BinaryIO]:
        """File name and content in the form that `httpx2` takes; it calls `seek`, `tell` and `read` only."""
        return self.filename, cast("BinaryIO", self)


@contextmanager
def opened(file: AudioFile | None) -> Iterator[Upload | None]:
    """The upload for the length of one call, retries included; a file that was opened here is closed here.

    Raises:
        OSError: The path cannot be opened.
    """
    if file is None:
        yield None
    elif isinstance(file, bytes):
        yield Upload(io.BytesIO(file))
    elif isinstance(file, str | os.PathLike):
        with Path(file).open("rb") as stream:
            yield Upload(stream)
    else:
        yield Upload(file)


class ThreadedStream(httpx2.AsyncByteStream):
    """A request body that is read in a thread, so that a slow disk or pipe does not hold up the event loop."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self._chunks)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
