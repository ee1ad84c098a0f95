"""Uploads on the disk: the folder, the file that takes one while it arrives, what killed processes have left.

SPOOL_DIR/voice-stack-....spool/          mode 0700; of one process
SPOOL_DIR/voice-stack-....spool/.lock     claimed while that process lives
SPOOL_DIR/voice-stack-....spool/....upload

Any number of servers may share SPOOL_DIR: only a folder whose lock nobody has is removed.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from voice_stack.core.errors import StorageFullError
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import claim, is_full

logger = logging.getLogger(__name__)

SPOOLED = ".upload"
"""How the names of the files end."""
_PREFIX, _SUFFIX, _LOCK = "voice-stack-", ".spool", ".lock"
_TRIES = 5
_UNLOCKED_LIFE_S = 60.0
"""A folder without a lock is just being made; one so old was left by a process that died in that moment."""


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """An uploaded file on disk: name and type as the client sent them, size in bytes."""

    path: Path
    filename: str
    content_type: str
    size: int


_own: dict[Path, tuple[Path, int]] = {}
_guard = threading.Lock()


def own_folder(base: Path | None) -> Path:
    """This process's folder for uploads; made when there is none, or when somebody has tidied it away.

    Args:
        base: `SPOOL_DIR`; None: the system's folder for temporary files.

    Raises:
        OSError: It cannot be made.
    """
    base = _base(base)
    with _guard:
        folder, lock = _own.get(base, (None, None))
        if folder is not None and lock is not None:
            if (folder / _LOCK).exists():
                return folder
            os.close(lock)
            del _own[base]
        _own[base] = _make(base)
        return _own[base][0]


def release_folder(base: Path | None) -> None:
    """Remove this process's folder, at its end."""
    with _guard:
        folder, lock = _own.pop(_base(base), (None, None))
        if folder is not None and lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def sweep_folders(base: Path | None) -> None:
    """Remove the folders of processes that were killed; what cannot be removed is logged."""
    for folder in _base(base).glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            if _is_ours(folder) and _sweep(folder):
                log_event(logger, logging.WARNING, "uploads of a killed server removed", folder=str(folder))
        except FileNotFoundError:
            continue  # another server was quicker
        except OSError as error:
            log_event(logger, logging.WARNING, "uploads of a killed server stay", folder=str(folder), reason=str(error))


def _base(base: Path | None) -> Path:
    return Path(tempfile.gettempdir()) if base is None else base.expanduser().absolute()


def _make(base: Path) -> tuple[Path, int]:
    """A new folder and its claimed lock."""
    base.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, base))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # A server that sweeps in this very moment may have been quicker; then the folder is lost.
        if claim(lock) and (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)
    raise FileNotFoundError(f"{base}: what is made there vanishes at once")


def _is_ours(folder: Path) -> bool:
    """Of this user, and no link: the system's folder for temporary files is everybody's."""
    status = folder.lstat()
    return folder.is_dir() and not folder.is_symlink() and (os.name != "posix" or status.st_uid == os.getuid())


def _sweep(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        if time.time() - folder.stat().st_mtime < _UNLOCKED_LIFE_S:
            return False
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return True
    try:
        if not claim(lock):
            return False
        shutil.rmtree(folder)
        return True
    finally:
        os.close(lock)


def prepare_folder(base: Path | None) -> None:
    """Remove uploads that no living process works on, and make this process's folder; it blocks."""
    sweep_folders(base)
    try:
        own_folder(base)
    except OSError as error:
        # What needs no upload still works; an upload is answered with 507.
        log_event(logger, logging.ERROR, "uploads cannot be stored", folder=str(base), reason=str(error))


_WRITE_BYTES = 2 << 20


class Spool:
    """Takes the bytes of one upload, in order.

    `add` never touches the disk: bytes wait until `write`, which a thread may call.
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

    @property
    def is_open(self) -> bool:
        """Something waits, or may still come."""
        return bool(self._pending_bytes) or self._file is not None

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
        logger.error("upload not stored in %s: %s", self._folder or tempfile.gettempdir(), error.strerror)
        if not is_full(error):
            reason = error.strerror or type(error).__name__
            return StorageFullError(f"The server cannot store uploads: {reason}.", code="storage_unavailable")
        return StorageFullError(
            f"The server has no room for this upload ({error.strerror}; {self.size} bytes had arrived). "
            "Send a smaller file, or try again when its disk has been cleared."
        )


def _create_file(folder: Path | None) -> Path:
    """A new empty file that only this user can read (mode 0600), in a folder that goes with this process."""
    descriptor, name = tempfile.mkstemp(suffix=SPOOLED, dir=own_folder(folder))
    os.close(descriptor)
    return Path(name)
