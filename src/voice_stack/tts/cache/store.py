"""The folder of cached speech. It holds all there is to know: any number of servers may use it, and it survives them.

A file's modification time says when the speech was made, its access time when it was last used.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from voice_stack.core.file_claim import claim
from voice_stack.core.logging import log_event
from voice_stack.tts.cache.entry_file import EntryData, read_entry
from voice_stack.tts.cache.spool import Spool

logger = logging.getLogger(__name__)

_SUFFIX = ".speech"
_PART_SUFFIX = ".part"
_CLAIM_TIME_S = 60.0
"""A part that is younger may be about to be claimed by the server that has just made it."""
_ROOM_SHARE = 0.9
"""So full is the folder after tidying: the next speech need not tidy again."""
_MAX_CHECKED = 20_000
"""So many entries are remembered as undamaged: 5 MB."""
_LOOK_AGAIN_S = 60.0
"""Another server may fill the folder, too: so often its true size is read."""


def default_cache_dir() -> Path:
    """Where speech is kept when `TTS_CACHE_DIR` is not set: the user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-stack" / "speech"


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written to or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _File(NamedTuple):
    used_at: float
    size: int
    path: Path


class SpeechStore:
    """Cached speech by key; the methods block, and may be called from any thread.

    Args:
        folder: Where entries lie; made when the first one comes.
        max_bytes: Room for all of them.
        ttl_s: Seconds after which an entry is not served any more.
    """

    def __init__(self, folder: Path, max_bytes: int, ttl_s: float) -> None:
        self._folder = folder.expanduser().absolute()
        self.max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._tidying = threading.Lock()
        self._size = 0
        self._looked_at: float | None = None
        self._is_failing = False
        self._checked: set[tuple[int, ...]] = set()

    def find(self, key: str) -> tuple[Spool, EntryData] | None:
        """The entry of a key, open for reading; None if there is none that may be served."""
        path = self._path(key)
        try:
            file = path.open("rb", buffering=0)
            status = os.fstat(file.fileno())
            entry = self._read(file, status) if time.time() - status.st_mtime <= self._ttl_s else None
            if entry is None:
                file.close()
                self._drop(path, status)
                return None
            # A folder that can only be read serves, too; there nothing is ever removed, so the order means nothing.
            with contextlib.suppress(PermissionError):
                os.utime(file.fileno(), ns=(time.time_ns(), status.st_mtime_ns))
            return Spool(file, path, is_temporary=False), entry
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.warn(error)
            return None

    def begin(self, key: str) -> Spool:
        """A file for a speech that is being made.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{key}.{uuid4().hex}{_PART_SUFFIX}"
        file = path.open("x+b", buffering=0)
        claim(file.fileno())
        return Spool(file, path, is_temporary=True)

    def remove_abandoned(self) -> None:
        """Remove what killed servers were writing; other servers may be at work in the folder."""
        try:
            for path in self._folder.glob(f"*{_PART_SUFFIX}"):
                _remove_if_abandoned(path)
        except OSError as error:
            self.warn(error)

    def keep(self, key: str, spool: Spool, data: EntryData) -> None:
        """Make a complete speech the entry of its key, in place of another; the least recently used make room.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        status = spool.keep(self._path(key), data.facts, data.notes)
        self._is_failing = False
        self._checked.add(_identity(status))
        with self._tidying:
            self._size += status.st_size
            self._make_room()

    def warn(self, error: OSError) -> None:
        """Say once that speech is not cached, until it is again."""
        if not self._is_failing:
            log_event(
                logger, logging.WARNING, "speech is served but not cached", folder=str(self._folder), reason=str(error)
            )
        self._is_failing = True

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _read(self, file: FileIO, status: os.stat_result) -> EntryData | None:
        """What an entry says; its bytes are checked once for as long as this process sees the same file."""
        identity = _identity(status)
        entry = read_entry(file, is_checked=identity in self._checked)
        if len(self._checked) >= _MAX_CHECKED:
            self._checked.clear()
        if entry is not None:
            self._checked.add(identity)
        return entry

    def _drop(self, path: Path, status: os.stat_result) -> None:
        """Remove an entry that is old or damaged, if it has not been replaced meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == status.st_ino:
                log_event(logger, logging.INFO, "cached speech removed: old or damaged", file=path.name)
                path.unlink()

    def _make_room(self) -> None:
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < _LOOK_AGAIN_S and self._size <= self.max_bytes:
            return
        self._looked_at = now
        files = sorted(self._list_files(time.time()))
        self._size = sum(file.size for file in files)
        if self._size <= self.max_bytes:
            return
        # The newest stays, however large it is.
        for file in files[:-1]:
            if self._size <= self.max_bytes * _ROOM_SHARE:
                return
            file.path.unlink(missing_ok=True)
            self._size -= file.size

    def _list_files(self, now: float) -> Iterator[_File]:
        """The entries; those that are too old, and parts that nobody writes any more, are removed."""
        with os.scandir(self._folder) as listing:
            for item in listing:
                path = Path(item.path)
                with contextlib.suppress(FileNotFoundError):  # another server removed it
                    status = item.stat()
                    if path.suffix == _PART_SUFFIX and now - status.st_mtime > _CLAIM_TIME_S:
                        _remove_if_abandoned(path)
                    elif path.suffix == _SUFFIX:
                        if now - status.st_mtime > self._ttl_s:
                            path.unlink()
                        else:
                            yield _File(status.st_atime, status.st_size, path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part unless a server has it open: its claim ends with the server, however that died."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        if claim(file.fileno()):
            path.unlink()
