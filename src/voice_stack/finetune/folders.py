"""Clips out of a folder: pairs of sound and text, LJSpeech's and other tables, NeMo's JSON lines, subtitled films."""

import csv
import html
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voice_stack.core.errors import InvalidRequestError
from voice_stack.finetune.clips import Clip, clean_text
from voice_stack.utils.audio.sources import MEDIA_SUFFIXES
from voice_stack.utils.cues.tokens import blank_sound_labels

SUBTITLES = (".srt", ".vtt")
TEXTS = (".txt", ".lab")
_PLACES = ("", "wavs", "clips", "audio")
"""Where, beside a table, its files are looked for."""

_FILE = ("audio_filepath", "audio_file", "file_name", "file", "filename", "path", "audio", "wav")
_TEXT = ("text", "transcription", "transcript", "sentence", "normalized_text")
_SPEAKER = ("speaker", "speaker_name", "speaker_id", "client_id")
"""Names of columns and keys, of NeMo, Coqui, Hugging Face's audio folders and Common Voice among others."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What cannot be used: where it is, and why."""

    place: str
    reason: str


@dataclass(slots=True)
class FoundClips:
    """What a folder holds.

    Attributes:
        clips: In the order of their files' names, or of their table.
        left_out: What looks like a clip and is none.
        spans: Where the clips are, each once.
    """

    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    spans: set[tuple[Path, float, float | None]] = field(default_factory=set)

    def leave_out(self, place: str, reason: str) -> None:
        """Say of something that it is not used."""
        self.left_out.append(LeftOut(place, reason))


def read_clips(source: Path) -> FoundClips:
    """Find the clips of a folder; no sound is read.

    Tables (`*.csv`, `*.tsv`) and JSON lines (`*.jsonl`, `*manifest*.json`) in the folder itself come first. Every other
    file of sound, in folders below as well, is a clip if its text lies beside it, and many if subtitles do.

    Args:
        source: The folder, or a table or a file of JSON lines by itself.

    Raises:
        InvalidRequestError: There is no such folder, or no clip in it; the message says what it was taken for.
    """
    found = FoundClips()
    if source.is_dir():
        for table in sorted(path for path in source.iterdir() if path.is_file() and _is_table(path)):
            _read_table(table, found)
        named = {clip.path for clip in found.clips}
        for path in _sounds(source):
            if path not in named:
                _read_neighbours(path, source, found)
    elif source.is_file() and source.suffix.lower() in {".csv", ".tsv", ".jsonl", ".json", ".txt"}:
        _read_table(source, found)
    else:
        raise InvalidRequestError(f"{source} is neither a folder nor a table (.csv, .tsv, .jsonl) of clips")
    if not found.clips:
        reasons = "".join(f"; {one.place}: {one.reason}" for one in found.left_out[:3])
        raise InvalidRequestError(
            f"no clip in {source}: there must be sounds with a .txt of the same name beside each, a metadata.csv "
            f"(file|text), a .jsonl with audio_filepath and text, or films with .srt or .vtt{reasons}"
        )
    return found


def _sounds(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in MEDIA_SUFFIXES and not is_hidden and path.is_file():
            yield path


def _read_neighbours(path: Path, root: Path, found: FoundClips) -> None:
    """The clips of a sound by what lies beside it: subtitles before a text, for who has those has times."""
    place = str(path.relative_to(root))
    beside = sorted(one for one in path.parent.glob(f"{_escape(path.stem)}.*") if one.is_file())
    exact = [one for one in beside if one.stem == path.stem]
    named = [one for one in exact if one.suffix.lower() in SUBTITLES] or [
        one for one in beside if one.suffix.lower() in SUBTITLES and one.stem.count(".") == path.stem.count(".") + 1
    ]
    if len(named) > 1:
        names = ", ".join(one.name for one in named)
        found.leave_out(place, f"several subtitles, {names}: keep the one that says what is spoken")
    elif named:
        _read_subtitles(path, named[0], place, found)
    elif texts := [one for one in exact if one.suffix.lower() in TEXTS]:
        _add(found, place, path, _read_text(texts[0]))
    else:
        found.leave_out(place, "no text beside it")


def _escape(stem: str) -> str:
    """A name that stands for itself in a pattern."""
    return re.sub(r"([*?[])", r"[\1]", stem)


def _read_text(path: Path) -> str | None:
    """The text of a file; None where it cannot be read, or is not UTF-8."""
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


_NO_UTF8 = "its text cannot be read as UTF-8"


def _add(
    found: FoundClips,
    place: str,
    path: Path,
    text: str | None,
    span: tuple[float, float | None] = (0.0, None),
    speaker: str = "",
) -> None:
    start_s, end_s = span
    if text is None:
        found.leave_out(place, _NO_UTF8)
    elif not (cleaned := clean_text(text)):
        found.leave_out(place, "its text is empty")
    elif not (0 <= start_s < (math.inf if end_s is None else end_s)) or end_s == math.inf:
        found.leave_out(place, f"it begins at {start_s} s and ends at {end_s} s")
    elif (path, start_s, end_s) in found.spans:
        found.leave_out(place, "it is named twice")
    else:
        found.spans.add((path, start_s, end_s))
        found.clips.append(Clip(path, start_s, end_s, cleaned, clean_text(speaker)))


def _is_table(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in {".csv", ".tsv", ".jsonl"} or (suffix == ".json" and "manifest" in path.stem.lower())


def _read_table(table: Path, found: FoundClips) -> None:
    text = _read_text(table)
    if text is None:
        found.leave_out(table.name, _NO_UTF8)
        return
    rows = _json_rows(text) if table.suffix.lower() in {".jsonl", ".json"} else _table_rows(text)
    for line, row in rows:
        place = f"{table.name}:{line}"
        if isinstance(row, str):
            found.leave_out(place, row)
        else:
            _add_row(row, table.parent, place, found)


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Each line with its number: its fields, or what is wrong with it."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"no JSON: {error}"
            else:
                yield number, row if isinstance(row, dict) else "no JSON object"


def _table_rows(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    lines = text.splitlines()
    mark = min("|\t,;", key=lambda one: lines[0].find(one) % 1_000_000) if lines else ","
    # LJSpeech quotes nothing: a quotation mark in it is one that is read.
    reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE if mark in "|\t" else csv.QUOTE_MINIMAL)
    # Its third column is the text in words; the second is as people write it.
    columns = ["file", "text"]
    try:
        for cells in reader:
            names = [cell.strip().lower() for cell in cells]
            if reader.line_num == 1 and not {*names}.isdisjoint(_FILE) and not {*names}.isdisjoint(_TEXT):
                columns = names
            elif len(cells) == 1:
                yield reader.line_num, f"one column only, where {mark!r} should part the file from its text"
            elif cells:
                yield reader.line_num, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        yield reader.line_num, f"no table: {error}"


def _add_row(row: Mapping[str, object], folder: Path, place: str, found: FoundClips) -> None:
    file, text = _field(row, _FILE), _field(row, _TEXT)
    if not isinstance(file, str) or not isinstance(text, str):
        found.leave_out(place, f"it has {', '.join(map(str, row)) or 'nothing'}, where a file and a text should be")
        return
    path = _find_sound(folder, file.strip())
    if path is None:
        found.leave_out(place, f"no file {file!r} beside the table")
        return
    speaker = _field(row, _SPEAKER)
    start_s, duration_s = _seconds(row.get("offset")) or 0.0, _seconds(row.get("duration"))
    # Without a place in the file the duration is the file's own, often rounded: the file knows better.
    end_s = None if duration_s is None or "offset" not in row else start_s + duration_s
    _add(found, place, path, text, (start_s, end_s), "" if speaker is None else str(speaker))


def _field(row: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


def _find_sound(folder: Path, name: str) -> Path | None:
    for place in _PLACES:
        for suffix in ("", ".wav", ".flac", ".mp3"):
            path = folder / place / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?\s+([^>]+)>")
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_NAMED = re.compile(r"^[-–—]?\s*(?:[A-Z][A-Z0-9 .'’#-]{1,30}:\s+)?|^[-–—]\s*", re.MULTILINE)
"""What is written before words and not said: a dash where two people speak, JOHN: where one is not seen."""


def _read_subtitles(film: Path, subtitles: Path, place: str, found: FoundClips) -> None:
    text = _read_text(subtitles)
    if text is None:
        found.leave_out(str(subtitles.name), _NO_UTF8)
        return
    cues = list(_cues(text))
    if not cues:
        found.leave_out(place, f"{subtitles.name} has no cue")
    for span, said, voice in cues:
        # A cue of sounds alone, [Music], is no clip and no fault.
        if said:
            _add(found, f"{place} {span[0]:.2f}-{span[1]:.2f} s", film, said, span, voice)


def _cues(text: str) -> Iterator[tuple[tuple[float, float], str, str]]:
    """Each cue of an SRT or WebVTT file: from when to when in seconds, what is said, and whose voice is named."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.split("\n")
        for number, line in enumerate(lines):
            if times := _TIMES.match(line):
                shown = "\n".join(lines[number + 1 :])
                voice = _VOICE.search(shown)
                bare = _NAMED.sub("", html.unescape(_TAG.sub("", shown)).strip())
                said = clean_text(blank_sound_labels(bare))
                parts = times.groups()
                yield (_to_s(parts[:4]), _to_s(parts[4:])), said, voice[1] if voice else ""
                break


def _to_s(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction}")
