"""Where in a file its containers begin and end: recordings joined end to end are all read, and what is not is known.

FFmpeg reads one container and leaves what follows, without a word. Here the outermost structure is followed; where a
container does not say where it ends, the beginning of another is looked for. Memory and steps are bounded.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from voice_stack.utils.audio.sources import Layout, Part

MAX_PARTS = 5000
LEAD_BYTES = 4096
"""In front of the first container, where a broken tool left zeros or a header of its own."""
_FIRST_CHUNK, _CHUNK = 4096, 256 * 1024
_HEAD = 64
_MAX_STEPS = 300_000
"""Boxes, chunks, pages and likely beginnings looked at in a file; a day of sound has fewer."""
_TAG_BYTES = 128
_MOST_SEARCHED = 1 << 28
"""Bytes of MPEG-TS and MPEG-PS in which other files are looked for: in 10 GB that would take a minute."""
_ARCHIVES = (b"PK", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"%PDF", b"MZ", b"\x7fELF")
_UNKNOWN_SIZES = {0, 0xFFFFFFFF}
"""What a recorder writes that does not know yet how long it will be."""


class _Bytes:
    """A file, read at any place; beyond its end there is nothing."""

    def __init__(self, file: BinaryIO, end: int | None = None) -> None:
        self._file = file
        self._left = _MAX_STEPS
        self.size = file.seek(0, 2) if end is None else end

    def steps(self) -> Iterator[None]:
        while self._left > 0:
            self._left -= 1
            yield

    def at(self, place: int, count: int) -> bytes:
        if place >= self.size:
            return b""
        self._file.seek(place)
        return self._file.read(min(count, self.size - place))

    def number(self, place: int, count: int, *, big: bool = True) -> int:
        return int.from_bytes(self.at(place, count), "big" if big else "little")

    def find(self, literals: tuple[bytes, ...], start: int, end: int) -> Iterator[int]:
        """Places between `start` and `end` at which one of the literals stands, in order."""
        pattern, overlap = re.compile(b"|".join(map(re.escape, literals))), max(map(len, literals)) - 1
        place, step = start, _FIRST_CHUNK
        while place < end:
            chunk = self.at(place, min(step + overlap, end - place))
            # One search for each literal is ten times as fast as the pattern.
            if any(literal in chunk for literal in literals):
                yield from (place + m.start() for m in pattern.finditer(chunk) if m.start() < step)
            place, step = place + step, min(4 * step, _CHUNK)

    def skip_zeros(self, start: int) -> int:
        for place in range(start, self.size, _CHUNK):
            if rest := self.at(place, _CHUNK).lstrip(b"\0"):
                return min(place + _CHUNK, self.size) - len(rest)
        return self.size


End = Callable[[_Bytes, int], int | None]
"""Where a container that begins at a place ends; None: it does not say."""


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 or byte == 0xA9 for byte in name)


def _riff_end(file: _Bytes, start: int) -> int | None:
    big, kind, place = file.at(start, 4) == b"RIFX", file.at(start + 8, 4), start + 12
    if kind != b"WAVE":
        return _avi_end(file, start)
    long_bytes, has_data = 0, False
    for _ in file.steps():
        name, size = file.at(place, 4), file.number(place + 4, 4, big=big)
        if not _is_name(name) or _kind_at(file, place) or (has_data and place + 8 + size > file.size):
            return place
        if name == b"ds64":
            long_bytes = file.number(place + 16, 8, big=False)
        if name == b"data":
            if has_data:
                return place  # FFmpeg reads the first
            has_data = True
            size = long_bytes if size in _UNKNOWN_SIZES and long_bytes else size
            # One that was cut off says more than it holds: its samples go on with the next file's header.
            last = min(place + 8 + size, file.size)
            cut = next(file.find((b"WAVEfmt ", b"WAVEJUNK", b"WAVEbext"), place + 8, last), None)
            if cut is not None and _kind_at(file, cut - 8):
                return cut - 8
            if size in _UNKNOWN_SIZES:
                return None
        place += 8 + size
        if size % 2 and not _kind_at(file, place):  # not every writer pads
            place += 1
    return None


def _avi_end(file: _Bytes, start: int) -> int | None:
    end = start + 8 + file.number(start + 4, 4, big=False)
    while file.at(end, 4) == b"RIFF" and file.at(end + 8, 4) == b"AVIX":
        end += 8 + file.number(end + 4, 4, big=False)
    return None if end in {start + 8, start + 7 + (1 << 32)} else end


def _form_end(file: _Bytes, start: int) -> int | None:
    size = file.number(start + 4, 4)
    return start + 8 + size + size % 2 if size else None


def _au_end(file: _Bytes, start: int) -> int | None:
    size = file.number(start + 8, 4)
    return None if size in _UNKNOWN_SIZES else start + file.number(start + 4, 4) + size


def _caf_end(file: _Bytes, start: int) -> int | None:
    place, has_data = start + 8, False
    for _ in file.steps():
        name, size = file.at(place, 4), file.number(place + 4, 8)
        if not _is_name(name) or _kind_at(file, place) or (has_data and place + 12 + size > file.size):
            return place
        if size >= 1 << 63:
            return None
        has_data |= name == b"data"
        place += 12 + size
    return None


_BOXES = frozenset(
    b"ftyp moov mdat free skip wide udta uuid moof sidx ssix styp mfra meta pnot pdin emsg prft idat PICT".split()
)


def _box_end(file: _Bytes, start: int) -> int | None:
    place = start
    for _ in file.steps():
        head = file.at(place, 16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if name not in _BOXES or (name == b"ftyp" and place > start):
            return place
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if not size:
            return None
        if size < 8:
            return place
        place += size
    return None


def _element(file: _Bytes, place: int) -> tuple[bytes, int | None, int]:
    """Id, size and the place of the content of an element of Matroska; no size where it does not say."""
    head = file.at(place, 12)
    id_bytes = 9 - head[0].bit_length() if head and head[0] else 1
    length = head[id_bytes] if len(head) > id_bytes else 0
    size_bytes = 9 - length.bit_length() if length else 1
    size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    is_known = size != (1 << 7 * size_bytes) - 1
    return head[:id_bytes], size if is_known else None, place + id_bytes + size_bytes


_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ELEMENTS = frozenset(
    bytes.fromhex(name)
    for name in (
        *("ec", "bf", "e7", "a7", "ab", "a3", "a0", "1a45dfa3", "18538067", "114d9b74", "1549a966", "1654ae6b"),
        *("1f43b675", "1c53bb6b", "1254c367", "1043a770", "1941a469"),
    )
)
"""What stands outside, in a segment and in a cluster: these two have no size in what is recorded live."""


def _matroska_end(file: _Bytes, start: int) -> int | None:
    place = start
    for _ in file.steps():
        name, size, content = _element(file, place)
        if name not in _ELEMENTS or (name == _EBML and place > start):
            return place
        if size is None and name not in {_SEGMENT, _CLUSTER}:
            return None
        place = content + (size or 0)
    return None


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_OBJECTS = {_ASF, *map(bytes.fromhex, (
    "3626b2758e66cf11a6d900aa0062ce6c", "90080033b1e5cf1189f400a0c90349cb", "d329e2d6da35d111903400a0c90349be",
    "f803b1fead12644c840f2a1d2f7ad48c", "d03fb73c4a0c0348953dedf7b6228f0c",
))}  # fmt: skip
"""The header, the data, and indexes: simple, by time, of media objects, by timecode."""


def _asf_end(file: _Bytes, start: int) -> int | None:
    place = start
    for _ in file.steps():
        name, size = file.at(place, 16), file.number(place + 16, 8, big=False)
        if name not in _ASF_OBJECTS or (name == _ASF and place > start):
            return place
        if size < 24:
            return None
        place += size
    return None


def _ogg_end(file: _Bytes, start: int) -> int | None:
    """The end of a link of a chain: FFmpeg does not follow every chain to its end."""
    place, has_begun = start, False
    for _ in file.steps():
        head = file.at(place, 27 + 255)
        if not head.startswith(b"OggS\0") or len(head) < 28:
            if (
                _kind_at(file, place)
                or _kind_at(file, file.skip_zeros(place))
                or (found := next(file.find((b"OggS\0",), place + 1, file.size), None)) is None
            ):
                return place
            place = found  # a hole, over which FFmpeg jumps
            continue
        is_first = bool(head[5] & 2)
        if is_first and has_begun:
            return place
        has_begun = not is_first
        place += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return None


def _wavpack_end(file: _Bytes, start: int) -> int | None:
    place = start
    for _ in file.steps():
        head = file.at(place, 28)
        is_first = head[16:20] == b"\0\0\0\0" != head[20:24] and head[25:26] >= b"\x08" and head[25] & 0x08
        if head[:4] != b"wvpk" or (place > start and is_first):
            return place
        place += 8 + int.from_bytes(head[4:8], "little")
    return None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of container: how it begins, and where it ends; `offset` is where its literal stands in it."""

    literal: bytes
    end: End | None
    matches: Callable[[bytes], bool] = lambda _: True
    offset: int = 0


_KINDS = (
    _Kind(b"RIFF", _riff_end, lambda head: head[8:12] in {b"WAVE", b"AVI "}),
    _Kind(b"RIFX", _riff_end, lambda head: head[8:12] == b"WAVE"),
    _Kind(b"RF64", _riff_end, lambda head: head[8:12] == b"WAVE"),
    _Kind(b"ftyp", _box_end, lambda head: head[:3] == b"\0\0\0" and head[3] >= 8 and _is_name(head[8:12]), 4),
    _Kind(_EBML, _matroska_end, lambda head: b"webm" in head or b"matroska" in head),
    _Kind(b"OggS\0\2", _ogg_end),
    _Kind(b"fLaC", None, lambda head: head[5:8] == b"\0\0\x22"),
    _Kind(b"FORM", _form_end, lambda head: head[8:12] in {b"AIFF", b"AIFC"}),
    _Kind(b".snd", _au_end, lambda head: head[4:6] == b"\0\0" and head[12:15] == b"\0\0\0"),
    _Kind(b"caff\0\1", _caf_end),
    _Kind(_ASF, _asf_end),
    _Kind(bytes.fromhex("726966662e91cf11a5d628db04c10000"), lambda file, at: at + file.number(at + 16, 8, big=False)),
    _Kind(b"#!AMR", None),
    _Kind(b"FLV\1", None, lambda head: head[5:9] == b"\0\0\0\x09"),
    _Kind(b"TTA1", None, lambda head: head[4] in {1, 2, 3} and head[5] == 0),
    _Kind(b"wvpk", _wavpack_end, lambda head: head[9] == 4),
    _Kind(b"Creative Voice File\x1a", None),
)
"""By signatures that no sound has by chance: 5 bytes and more."""


def _kind_at(file: _Bytes, place: int) -> _Kind | None:
    head = file.at(place, _HEAD).ljust(_HEAD, b"\0")
    for kind in _KINDS:
        if head.startswith(kind.literal, kind.offset) and kind.matches(head):
            return kind
    return None


def _is_plain_stream(file: _Bytes, place: int) -> bool:
    """Whether MPEG audio, AC-3, MPEG-TS or MPEG-PS begins here: weak signatures, where a container is expected only."""
    head = file.at(place, 4)
    if len(head) < 4:
        return False
    is_mpeg = head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[2] & 0xF0 != 0xF0 and head[1] & 0x18 != 0x08
    is_ts = head[0] == 0x47 and file.at(place + 188, 1) == b"\x47" == file.at(place + 376, 1)
    # A tag at the end of a file belongs to what is in front of it.
    is_tag = head[:3] == b"ID3" and (not place or _begins(file, _skip_id3(file, place)))
    return is_mpeg or is_ts or is_tag or head[:2] == b"\x0b\x77" or head == b"\0\0\1\xba"


def _begins(file: _Bytes, place: int) -> bool:
    return _kind_at(file, place) is not None or _is_plain_stream(file, place)


def _is_archive(file: _Bytes) -> bool:
    """Whether what was sent is no sound, but may hold some."""
    return file.at(0, 8).startswith(_ARCHIVES) or file.at(257, 5) == b"ustar"


_TAGS = (b"ID3\2\0", b"ID3\3\0", b"ID3\4\0")


def _find_kind(file: _Bytes, start: int, end: int) -> int | None:
    """Where the next container begins."""
    found = file.find((*(kind.literal for kind in _KINDS), *_TAGS), start, end)
    for place, _ in zip(found, file.steps(), strict=False):
        if file.at(place, 5) in _TAGS and place + 10 < (behind := _skip_id3(file, place)) and _begins(file, behind):
            return place
        for at in (place, place - 4):
            if at >= start and (kind := _kind_at(file, at)) and at + kind.offset == place:
                return at
    return None


def _skip_id3(file: _Bytes, place: int) -> int:
    """What lies behind the tags at a place, one or several."""
    for _ in file.steps():
        head = file.at(place, 10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        place += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return place


def _skip_trailer(file: _Bytes, place: int) -> int:
    """What lies behind padding and tags: ID3, APE, Lyrics3."""
    while place < file.size and not _begins(file, place):
        start, place = place, file.skip_zeros(place)
        if found := [at for at in range(max(place - 3, start), place) if _begins(file, at)]:
            return found[0]  # MP4 and MPEG-PS begin with zeros of their own
        head = file.at(place, 32)
        if head[:3] == b"TAG":
            place += _TAG_BYTES
        elif head[:3] == b"ID3":
            place = _skip_id3(file, place)
        elif head[:8] == b"APETAGEX":
            place += 32 + int.from_bytes(head[12:16], "little")
        elif head[:11] == b"LYRICSBEGIN":
            place = next(file.find((b"LYRICS200", b"LYRICSEND"), place, file.size), place + 2) + 9
        else:
            return place
    return min(place, file.size)


def _part_at(file: _Bytes, start: int) -> Part:
    inner = _skip_id3(file, start)
    kind = _kind_at(file, inner)
    if kind:
        start = inner  # FFmpeg does not pass over a tag in front of each
    if kind is None and file.size > _MOST_SEARCHED and file.at(inner, 4)[:1] in {b"\0", b"\x47"}:
        return Part(start, file.size)
    end = kind.end(file, inner) if kind and kind.end else None
    if end is not None and inner < end <= file.size:
        return Part(start, end, is_closed=True)
    # FFmpeg reads a FLAC or a broken container on to the next of its own kind as well; to split it is more exact.
    found = _find_kind(file, inner + _HEAD, file.size)
    return Part(start, file.size if found is None else found)


def trailing(path: Path, start: int, end: int) -> int:
    """Bytes between two places of a file, without padding and tags at their beginning.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as opened:
        return max(end - _skip_trailer(_Bytes(opened, end), start), 0)


def find_parts(path: Path) -> Layout:
    """Follow a file from container to container.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as opened:
        file = _Bytes(opened)
        start, skipped, parts = 0, list[tuple[int, int]](), list[Part]()
        if not _begins(file, 0) and not _is_archive(file):
            start = _find_kind(file, 0, min(LEAD_BYTES, file.size)) or 0
        if start:
            skipped.append((0, start))
        while len(parts) <= MAX_PARTS:
            parts.append(part := _part_at(file, start))
            after = _skip_trailer(file, part.end)
            if after >= file.size:
                break
            found = after if _begins(file, after) else _find_kind(file, after, file.size)
            if found != after:
                skipped.append((after, (file.size if found is None else found) - after))
            if found is None:
                break
            start = found
        return Layout(file.size, tuple(parts), tuple(skipped))
