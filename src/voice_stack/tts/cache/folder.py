"""The folder of kept speech: complete entries by key, and the unfinished ones that servers are writing.

A file's modification time says when the speech was made, its access time when it was last used. Servers may share the
folder, also from several machines, over NFS or the like: each names its unfinished files after itself.
"""

import contextlib
import hashlib
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from uuid import getnode, uuid4

from voice_stack.core.logging import log_event
from voice_stack.core.system.files import claim, open_regular
from voice_stack.tts.cache.entry import EntryData, SpeechFile, read_entry

logger = logging.getLogger(__name__)

_SUFFIX = ".speech"
_PART_SUFFIX = ".part"
_CLAIM_TIME_S = 60.0
"""A part that is younger may be about to be claimed by the server that has just made it."""
_FOREIGN_TIME_S = 24 * 3600.0
"""So old is a part that nobody writes any more, where claims cannot tell: another machine's."""
_ROOM_SHARE = 0.9
"""So full is the folder after tidying: the next speech need not tidy again."""
_MAX_CHECKED = 20_000
"""So many entries are remembered as undamaged: 5 MB."""
_LOOK_AGAIN_S = 60.0
"""Another server may fill the folder, too: so often its true size is read."""


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written to or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@cache
def _machine() -> str:
    """A name of this machine or container in names of files."""
    return hashlib.sha256(f"{platform.node()} {getnode()}".encode()).hexdigest()[:8]


TTL_S = 7 * 24 * 3600.0
"""What nobody has asked for in a week gives its room back, though the folder is not full."""


class SpeechStore:
    """Cached speech by key; the methods block, and may be called from any thread.

    Args:
        folder: Where entries lie; made when the first one comes.
        max_bytes: Room for all of them.
        ttl_s: Seconds after which an entry is not served any more.
    """

    def __init__(self, folder: Path, max_bytes: int, ttl_s: float = TTL_S) -> None:
        self._folder = folder.expanduser().absolute()
        self.max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._tidying, self._counting = threading.Lock(), threading.Lock()
        self._size = 0
        self._looked_at: float | None = None
        self._is_failing = False
        self._checked: set[tuple[int, ...]] = set()

    def find(self, key: str) -> tuple[SpeechFile, EntryData] | None:
        """The entry of a key, open for reading; None if there is none that may be served."""
        path = self.path(key)
        try:
            file = open_regular(path).detach()
            assert isinstance(file, FileIO)
            status = os.fstat(file.fileno())
            entry = self._read(file, key, status) if time.time() - status.st_mtime <= self._ttl_s else None
            if entry is None:
                file.close()
                self._drop(path, status)
                return None
            # A folder that can only be read serves, too; there nothing is ever removed, so the order means nothing.
            with contextlib.suppress(PermissionError):
                os.utime(file.fileno(), ns=(time.time_ns(), status.st_mtime_ns))
            return SpeechFile(file, path, is_temporary=False), entry
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.warn(error)
            return None

    def begin(self, key: str) -> SpeechFile:
        """A file for a speech that is being made.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self._part(key)
        file = path.open("x+b", buffering=0)
        _claim(file.fileno())
        return SpeechFile(file, path, is_temporary=True)

    def take_over(self, key: str, fetch: Callable[[BinaryIO], float]) -> bool:
        """Make an entry of another store one of this folder; False if it is damaged, and nothing was kept.

        Args:
            key: Of the entry.
            fetch: Writes it to a file; returns when the speech was made, in seconds since 1970.

        Raises:
            OSError: The disk is full, or the folder cannot be written; and whatever `fetch` raises.
        """
        path = self._part(key)
        try:
            with path.open("xb") as target:
                _claim(target.fileno())
                made_at = fetch(target)
            with path.open("rb", buffering=0) as file:
                if read_entry(file, key) is None:
                    return False
            os.utime(path, (time.time(), made_at))
            path.replace(self.path(key))
        finally:
            path.unlink(missing_ok=True)
        self._count(self.path(key).stat())
        return True

    def remove_abandoned(self) -> None:
        """Remove what killed servers were writing; other servers may be at work in the folder."""
        try:
            for path in self._folder.glob(f"*{_PART_SUFFIX}"):
                _remove_if_abandoned(path)
        except OSError as error:
            self.warn(error)

    def keep(self, key: str, spool: SpeechFile, data: EntryData) -> None:
        """Make a complete speech the entry of its key, in place of another; the least recently used make room.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        self._count(spool.keep(self.path(key), data.facts, data.notes))

    def warn(self, error: OSError) -> None:
        """Say once that speech is not cached, until it is again."""
        if not self._is_failing:
            log_event(
                logger, logging.WARNING, "speech is served but not cached", folder=str(self._folder), reason=str(error)
            )
        self._is_failing = True

    def path(self, key: str) -> Path:
        """Where the entry of a key lies, if there is one."""
        return self._folder / f"{key}{_SUFFIX}"

    def _part(self, key: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / f"{key}.{_machine()}.{uuid4().hex}{_PART_SUFFIX}"

    def _count(self, status: os.stat_result) -> None:
        """A good entry has come."""
        self._is_failing = False
        self._checked.add(_identity(status))
        with self._counting:
            self._size += status.st_size
        # In a large folder far away this takes long: one thread is enough for it.
        if self._tidying.acquire(blocking=False):
            try:
                self._make_room()
            finally:
                self._tidying.release()

    def _read(self, file: FileIO, key: str, status: os.stat_result) -> EntryData | None:
        """What an entry says; its bytes are checked once for as long as this process sees the same file."""
        identity = _identity(status)
        entry = read_entry(file, key, is_checked=identity in self._checked)
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
        size = sum(size for _used_at, size, _path in files)
        limit = self.max_bytes * _ROOM_SHARE if size > self.max_bytes else size
        # The newest stays, however large it is.
        for _used_at, file_size, path in files[:-1]:
            if size <= limit:
                break
            path.unlink(missing_ok=True)
            size -= file_size
        with self._counting:
            self._size = size

    def _list_files(self, now: float) -> Iterator[tuple[float, int, Path]]:
        """Use, size and path of each entry; old ones, and parts that nobody writes any more, are removed."""
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
                            yield status.st_atime, status.st_size, path


def _claim(descriptor: int) -> bool | None:
    """As `claim`; None where the file system knows no claims."""
    try:
        return claim(descriptor)
    except OSError:
        return None


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part unless a server has it open: its claim ends with the server, however that died.

    Claims of another machine are not seen everywhere: its parts go when they are old.
    """
    with contextlib.suppress(FileNotFoundError):
        is_old = time.time() - path.stat().st_mtime > _FOREIGN_TIME_S
        if path.name.split(".")[1] != _machine() and not is_old:
            return
        with path.open("r+b", buffering=0) as file:
            is_claimed = _claim(file.fileno())
        if is_claimed or (is_claimed is None and is_old):
            path.unlink()
