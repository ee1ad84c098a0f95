"""One cached speech is one file, so that it is there whole or not at all.

    audio bytes | JSON | length of the JSON (4 bytes) | CRC-32 of all before the footer (4 bytes) | magic (8 bytes)

The footer comes last: a file that was cut off has none, and one that was damaged has a checksum that does not fit.
"""

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO

from voice_stack.tts.cache.speech_data import Note, SpeechFacts
from voice_stack.utils.audio.exact_head import ExactHead

_FOOTER = struct.Struct("<II8s")
_MAGIC = b"vspeech1"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EntryData:
    """What an entry says of its audio."""

    audio_bytes: int
    facts: SpeechFacts
    notes: tuple[Note, ...]


def pack_trailer(facts: SpeechFacts, notes: Sequence[Note], audio_crc: int) -> bytes:
    """What follows the audio in an entry.

    Args:
        facts: What is known of the speech.
        notes: Its notes, in order.
        audio_crc: CRC-32 of the audio bytes.
    """
    content = {
        "audio_s": facts.audio_s,
        "head_replaces": facts.exact_head.replaces,
        "head": base64.b64encode(facts.exact_head.data).decode(),
        "notes": [[note.at, note.content] for note in notes],
    }
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return data + _FOOTER.pack(len(data), zlib.crc32(data, audio_crc), _MAGIC)


def read_entry(file: FileIO, *, is_checked: bool = False) -> EntryData | None:
    """Read what an entry says; None if it is damaged.

    Args:
        file: The entry.
        is_checked: Its bytes are known to be good. Else all are read, which takes a second for two hours of MP3.
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
