"""Cached speech on the disk: one speech is one file, so that it is there whole or not at all.

    audio bytes | JSON | length of the JSON (4 bytes) | CRC-32 of all before the footer (4 bytes) | magic (8 bytes)

The footer comes last: a file that was cut off has none, and one that was damaged has a checksum that does not fit.
A file's modification time says when the speech was made, its access time when it was last used.
"""

import base64
import contextlib
import json
import logging
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from uuid import uuid4

from voice_stack.core.logging import log_event
from voice_stack.core.system.files import claim
from voice_stack.utils.audio.codecs import ExactHead


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell a listener at a place of the speech: captions, how far it has come.

    Attributes:
        at: Bytes of the stream that go before it.
        content: A JSON object.
    """

    at: int
    content: dict[str, object]


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """The next bytes of a speech, perhaps between notes.

    Attributes:
        note: What is to be told after them.
        heading: What is to be told before them.
        is_last: Whether the piece is known to end the speech.
    """

    audio: bytes
    note: dict[str, object] | None = None
    heading: dict[str, object] | None = None
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class SpeechFacts:
    """What is known once a speech is complete.

    Attributes:
        audio_s: Its length in seconds.
        exact_head: Makes a file that states its length of what was streamed.
    """

    audio_s: float
    exact_head: ExactHead = ExactHead()  # noqa: RUF009 - frozen


_FOOTER = struct.Struct("<II8s")
_MAGIC = b"vspeech1"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EntryData:
    """What an entry says of its audio."""

    audio_bytes: int
    facts: SpeechFacts
    notes: tuple[Note, ...]


def read_entry(file: FileIO, *, is_checked: bool = False) -> EntryData | None:
    """Read what an entry says; None if it is damaged.

    Where its bytes are not known to be good all are read, which takes a second for two hours of MP3.
    """
    size = file.seek(0, 2)
    if size < _FOOTER.size:
        return None
    file.seek(size - _FOOTER.size)
    length, crc, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    audio_bytes = size - _FOOTER.size - length
    if magic != _MAGIC or audio_bytes < 0 or not (is_checked or _crc(file, audio_bytes + length) == crc):
        return None
    file.seek(audio_bytes)
    content = json.loads(file.read(length))
    head = ExactHead(content["head_replaces"], base64.b64decode(content["head"]))
    notes = tuple(Note(at, note) for at, note in content["notes"])
    return EntryData(audio_bytes, SpeechFacts(content["audio_s"], head), notes)


def _crc(file: FileIO, size: int) -> int:
    file.seek(0)
    crc = 0
    while size and (block := file.read(min(size, _BLOCK_BYTES))):
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


class SpeechFile:
    """An open file; its methods block, and may be called from any thread.

    Args:
        file: Open for what is done with it; it belongs to this object.
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
        content = {
            "audio_s": facts.audio_s,
            "head_replaces": facts.exact_head.replaces,
            "head": base64.b64encode(facts.exact_head.data).decode(),
            "notes": [[note.at, note.content] for note in notes],
        }
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        with self._lock:
            self._write(self._size, data + _FOOTER.pack(len(data), zlib.crc32(data, self._crc), _MAGIC))
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


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written to or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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
        self._tidying = threading.Lock()
        self._size = 0
        self._looked_at: float | None = None
        self._is_failing = False
        self._checked: set[tuple[int, ...]] = set()

    def find(self, key: str) -> tuple[SpeechFile, EntryData] | None:
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
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{key}.{uuid4().hex}{_PART_SUFFIX}"
        file = path.open("x+b", buffering=0)
        claim(file.fileno())
        return SpeechFile(file, path, is_temporary=True)

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
        self._size = sum(size for _used_at, size, _path in files)
        if self._size <= self.max_bytes:
            return
        # The newest stays, however large it is.
        for _used_at, size, path in files[:-1]:
            if self._size <= self.max_bytes * _ROOM_SHARE:
                return
            path.unlink(missing_ok=True)
            self._size -= size

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


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part unless a server has it open: its claim ends with the server, however that died."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        if claim(file.fileno()):
            path.unlink()
