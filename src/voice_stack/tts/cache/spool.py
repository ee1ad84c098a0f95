"""Bytes of a speech in a file: while it is made, and when it is read from the cache."""

import os
import threading
import zlib
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from voice_stack.tts.cache.entry_file import pack_trailer
from voice_stack.tts.cache.speech_data import Note, SpeechFacts


class Spool:
    """An open file; its methods block, and may be called from any thread.

    Args:
        file: Open for what is done with it; it belongs to this object.
        path: Where the file lies.
        is_temporary: It is removed when it is closed without having been kept.
    """

    def __init__(self, file: FileIO, path: Path, *, is_temporary: bool) -> None:
        self._file = file
        self._path = path
        self._is_temporary = is_temporary
        # A thread that still works for a task that was cancelled must not meet another file under the same number.
        self._lock = threading.Lock()
        self._size = self._crc = 0

    def write(self, data: bytes) -> None:
        """Append; after a failure what was there before is unchanged.

        Raises:
            OSError: The disk is full, or the file is closed.
        """
        with self._lock:
            self._write(self._size, data)
            self._size += len(data)
            self._crc = zlib.crc32(data, self._crc)

    def read(self, position: int, length: int) -> bytes:
        """Bytes from `position` on, at most `length`.

        Raises:
            OSError: The file cannot be read, or is closed.
        """
        with self._lock:
            return os.pread(self._descriptor(), length, position)

    def keep(self, target: Path, facts: SpeechFacts, notes: Sequence[Note]) -> os.stat_result:
        """Make the file a cache entry; returns what the system knows of it.

        Raises:
            OSError: The disk is full, the folder cannot be written, or the file is gone.
        """
        with self._lock:
            trailer = pack_trailer(facts, notes, self._crc)
            self._write(self._size, trailer)
            os.utime(self._descriptor())
            self._path.replace(target)
            self._is_temporary = False
            return os.fstat(self._descriptor())

    def close(self) -> None:
        """Close the file, and remove it unless it is an entry; closing again does nothing."""
        with self._lock:
            self._file.close()
            if self._is_temporary:
                self._is_temporary = False
                self._path.unlink(missing_ok=True)

    def _write(self, position: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor(), view, position)
            view, position = view[written:], position + written

    def _descriptor(self) -> int:
        if self._file.closed:
            raise OSError(f"{self._path} is closed")
        return self._file.fileno()
