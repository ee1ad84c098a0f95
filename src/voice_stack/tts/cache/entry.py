"""Cached speech on the disk: one speech is one file, so that it is there whole or not at all.

    audio bytes | JSON | length of the JSON (4 bytes) | CRC-32 of all before the footer (4 bytes) | magic (8 bytes)

The footer comes last: a file that was cut off has none, and one that was damaged has a checksum that does not fit. The
JSON names the key, so that no entry speaks under another's name, and nothing in it is believed unseen: others may write
where it lies.
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

from pydantic import Base64Bytes, BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError

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


_MAX_DESCRIPTION_BYTES = 32 << 20
"""Of the JSON: the captions of a book have less."""


@dataclass(frozen=True, slots=True)
class EntryData:
    """What an entry says of its audio."""

    audio_bytes: int
    facts: SpeechFacts
    notes: tuple[Note, ...]


class _Word(BaseModel):
    word: str
    start: FiniteFloat
    end: FiniteFloat


class _Sentence(BaseModel):
    text: str
    start: FiniteFloat
    end: FiniteFloat
    words: list[_Word] = []
    estimated: bool = False


class _NoteContent(BaseModel):
    """What notes may hold, of the types that those who read them rely on."""

    model_config = ConfigDict(extra="allow")

    characters: NonNegativeInt = 0
    until: FiniteFloat = 0.0
    is_last: bool = False
    sentence: _Sentence | None = None


class _Description(BaseModel):
    """The JSON of an entry."""

    key: str
    audio_s: FiniteFloat
    head_replaces: NonNegativeInt
    head: Base64Bytes
    notes: list[tuple[NonNegativeInt, _NoteContent]]

    def fits(self, key: str, audio_bytes: int) -> bool:
        """Whether it describes so much audio, under that key."""
        places = [0, *(at for at, _ in self.notes), audio_bytes]
        return self.key == key and self.head_replaces <= audio_bytes and places == sorted(places)


def read_entry(file: FileIO, key: str, *, is_checked: bool = False) -> EntryData | None:
    """Read what an entry says; None if it is damaged, or another's.

    Where its bytes are not known to be good all are read, which takes a second for two hours of MP3.
    """
    size = file.seek(0, 2)
    if size < _FOOTER.size:
        return None
    file.seek(size - _FOOTER.size)
    length, crc, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    audio_bytes = size - _FOOTER.size - length
    if magic != _MAGIC or audio_bytes < 0 or length > _MAX_DESCRIPTION_BYTES:
        return None
    if not (is_checked or _crc(file, audio_bytes + length) == crc):
        return None
    file.seek(audio_bytes)
    try:
        said = _Description.model_validate_json(file.read(length))
    except ValidationError:
        return None
    if not said.fits(key, audio_bytes):
        return None
    notes = tuple(Note(at, note.model_dump(exclude_unset=True)) for at, note in said.notes)
    return EntryData(audio_bytes, SpeechFacts(said.audio_s, ExactHead(said.head_replaces, said.head)), notes)


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
            "key": target.stem,
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
