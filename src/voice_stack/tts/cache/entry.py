"""One cached speech is one file, so that it is there whole or not at all.

    audio bytes | JSON | length of the JSON (4 bytes) | CRC-32 of all before the footer (4 bytes) | magic (8 bytes)

The footer comes last: a file that was cut off has none, and one that was damaged has a checksum that does not fit.
"""

import base64
import json
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

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
