"""A temporary file that takes an upload while it arrives, however it comes."""

import errno
import logging
import os
import tempfile
import threading
from io import FileIO
from pathlib import Path

from voice_stack.core.errors import StorageFullError
from voice_stack.core.form import SpooledFile
from voice_stack.core.spool_folder import own_folder

_WRITE_BYTES = 2 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_logger = logging.getLogger(__name__)


class Spool:
    """Takes the bytes of one upload, in order.

    `add` never touches the disk: bytes wait until `write`, which a thread may call.

    Args:
        folder: Folder for the file; None for the system's.
    """

    def __init__(self, folder: Path | None) -> None:
        self.size = 0
        self._folder = folder
        self._pending, self._pending_bytes = list[bytes | memoryview](), 0
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._begun = self._closed = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """There is a file, though it may be empty."""
        self._begun = True

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(data)
        self._pending.append(data)
        self._pending_bytes += len(data)

    @property
    def is_write_due(self) -> bool:
        """Enough bytes wait to be worth a write."""
        return self._pending_bytes >= _WRITE_BYTES

    def write(self) -> None:
        """Append the waiting bytes to the file.

        Raises:
            StorageFullError: There is no room for them, or the folder cannot be written.
        """
        with self._lock:
            if self._closed or not self._begun:
                return
            try:
                self._append()
            except OSError as error:
                raise self._explain_failure(error) from error
            self._pending, self._pending_bytes = [], 0

    def finish(self) -> None:
        """Write what is left.

        Raises:
            StorageFullError: As `write`.
        """
        self.write()
        with self._lock:
            self._close_file()

    def file(self, filename: str, content_type: str) -> SpooledFile:
        """What has been written, under the names that the client gave it."""
        if self._path is None:
            raise ValueError("begin() and finish() come before file()")
        return SpooledFile(self._path, filename, content_type, self.size)

    def close(self) -> None:
        """Remove the file.

        A cancelled request does not end the thread that writes for it; whatever that thread does next makes no file.
        """
        with self._lock:
            self._closed = True
            self._close_file()
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _append(self) -> None:
        if self._file is None:
            self._path = _create_file(self._folder)
            self._file = FileIO(self._path, "wb")
        waiting = memoryview(b"".join(self._pending))
        while waiting:
            waiting = waiting[self._file.write(waiting) :]

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _explain_failure(self, error: OSError) -> StorageFullError:
        # The folder is for the operator; the client learns what went wrong and how far it came.
        _logger.error("upload not stored in %s: %s", self._folder or tempfile.gettempdir(), error.strerror)
        if error.errno not in _NO_ROOM:
            reason = error.strerror or type(error).__name__
            return StorageFullError(f"The server cannot store uploads: {reason}.", code="storage_unavailable")
        return StorageFullError(
            f"The server has no room for this upload ({error.strerror}; {self.size} bytes had arrived). "
            "Send a smaller file, or try again when its disk has been cleared."
        )


def _create_file(folder: Path | None) -> Path:
    """A new empty file that only this user can read (mode 0600), in a folder that goes with this process."""
    descriptor, name = tempfile.mkstemp(suffix=".upload", dir=own_folder(folder))
    os.close(descriptor)
    return Path(name)
