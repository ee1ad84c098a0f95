"""The recordings of an archive: those below a folder or in a bucket, or those that a list names."""

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from voice_stack.archive.manifest import Item
from voice_stack.core.errors import ConfigurationError, UnsupportedValueError
from voice_stack.core.system.objects import SCHEME, ObjectStore, split_url
from voice_stack.utils.audio.sources import MEDIA_SUFFIXES
from voice_stack.utils.language import require_language

MAX_RECORDING_BYTES = 64 << 30
_PATHS = ("path", "audio_filepath", "file", "audio", "url")
"""What lists call the column with the recordings; the second is NeMo's."""
_MAX_TOLD = 10


@dataclass(slots=True)
class Source:
    """What is to be made an archive of.

    Attributes:
        name: A folder, a list of recordings, or `s3://bucket/prefix`.
        problems: What could not be looked at, once `items` is through.
    """

    name: str
    problems: list[str] = field(default_factory=list)

    def items(self) -> Iterator[Item]:
        """All recordings, one after the other.

        Raises:
            ConfigurationError: There is no such source, or the list is broken: nothing is begun then.
        """
        path = Path(self.name)
        if self.name.startswith(SCHEME):
            return self._in_bucket()
        if path.is_dir():
            return self._below(path)
        if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file():
            raise ConfigurationError(
                f"{path} is a recording: `voice-stack transcribe` is for single ones; an archive is a folder, a list "
                "of recordings (.txt, .jsonl, .csv) or s3://bucket/prefix"
            )
        return self._listed(path)

    def _below(self, root: Path) -> Iterator[Item]:
        folders = [root]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    seen = sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
            except OSError as error:
                self.problems.append(f"{error.filename}: {error.strerror}")
                continue
            # A link to a folder may lead back up.
            folders += [Path(entry.path) for entry in reversed(seen) if entry.is_dir(follow_symlinks=False)]
            for entry in seen:
                if Path(entry.name).suffix.lower() in MEDIA_SUFFIXES:
                    yield from self._file(Path(entry.path), PurePosixPath(Path(entry.path).relative_to(root)))

    def _file(self, path: Path, key: PurePosixPath, language: str = "", stem: str = "") -> Iterator[Item]:
        try:
            str(key).encode()
            status = path.stat()
        except UnicodeEncodeError:
            self.problems.append(f"{os.fsencode(path)!r}: its name is no UTF-8")
            return
        except OSError as error:
            self.problems.append(f"{path}: {error.strerror}")
            return
        if path.is_file():
            mark = str(status.st_mtime_ns)
            yield Item(str(key), str(path), status.st_size, mark, language, stem or str(key.with_suffix("")))

    def _in_bucket(self) -> Iterator[Item]:
        bucket, _ = split_url(self.name)
        store, prefix = ObjectStore.open(self.name), split_url(self.name)[1]
        for found in store.list():
            key = safe_key(found.key)
            if key.suffix.lower() in MEDIA_SUFFIXES and not any(part.startswith(".") for part in key.parts):
                place = f"{SCHEME}{bucket}/{prefix}/{found.key}" if prefix else f"{SCHEME}{bucket}/{found.key}"
                mark = found.tag or str(found.changed_at)
                yield Item(str(key), place, found.size, mark, stem=str(key.with_suffix("")))

    def _listed(self, path: Path) -> Iterator[Item]:
        for line in read_list(path):
            if line.place.startswith(SCHEME):
                yield from self._object(line)
                continue
            place = path.parent / line.place
            below = Path(os.path.normpath(line.place))
            is_below = not below.is_absolute() and ".." not in below.parts
            key = below if is_below else Path(os.path.normpath(place.absolute()))
            yield from self._file(place, safe_key(key.as_posix()), line.language, line.output)

    def _object(self, line: "Line") -> Iterator[Item]:
        bucket, key = split_url(line.place)
        found = _open_bucket(bucket).find(key)
        if found is None:
            self.problems.append(f"{line.place}: there is no such object")
            return
        name = safe_key(f"{bucket}/{key}")
        stem = line.output or str(name.with_suffix(""))
        mark = found.tag or str(found.changed_at)
        yield Item(str(name), line.place, found.size, mark, line.language, stem)


@dataclass(frozen=True, slots=True)
class Line:
    """A recording that a list names: where it lies, its language, and the name of its texts if it says one."""

    place: str
    language: str = ""
    output: str = ""


def read_list(path: Path) -> list[Line]:
    """A list of recordings: a path or `s3://...` a line (.txt), objects (.jsonl), or rows below a header (.csv, .tsv).

    Raises:
        ConfigurationError: There is none, or it is broken; the message names the lines.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no list of recordings: it is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    kind = path.suffix.lower()
    rows: Iterable[tuple[int, Mapping[str, object] | str]]
    if kind in {".jsonl", ".ndjson", ".json"}:
        rows = _read_json_lines(text)
    elif kind in {".csv", ".tsv"}:
        rows = _read_table(path, text)
    else:
        lines = enumerate(text.splitlines(), 1)
        rows = ((number, {"path": line.strip()}) for number, line in lines if line.strip() and line[0] != "#")
    found, faults = list[Line](), list[str]()
    for number, row in rows:
        try:
            found.append(_read_row(row))
        except UnsupportedValueError as error:
            faults.append(f"line {number}: {error.message}")
    if faults:
        more = f"; and {len(faults) - _MAX_TOLD} more" if len(faults) > _MAX_TOLD else ""
        raise ConfigurationError(f"{path} is broken: {'; '.join(faults[:_MAX_TOLD])}{more}")
    return found


def _read_json_lines(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                yield number, f"no JSON: {error}"
            else:
                yield number, row if isinstance(row, dict) else "no object"


def _read_table(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    table = csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    names = [name.strip() for name in table.fieldnames or ()]
    if not set(_PATHS) & set(names):
        columns = ", ".join(map(repr, names[:_MAX_TOLD])) or "none"
        raise ConfigurationError(f"{path} has no column 'path' in its first line, but {columns}")
    table.fieldnames = names
    try:
        for row in table:
            yield table.line_num, row
    except csv.Error as error:
        yield table.line_num + 1, str(error)


def _read_row(row: Mapping[str, object] | str) -> Line:
    if isinstance(row, str):
        raise UnsupportedValueError(row)
    place = next((row[name] for name in _PATHS if row.get(name)), None)
    if not isinstance(place, str):
        raise UnsupportedValueError(f"no 'path' that is a text, but {place!r}" if place else "no 'path'")
    if "\0" in place:
        raise UnsupportedValueError("the path holds U+0000")
    language, output = row.get("language") or "", row.get("output") or ""
    if not isinstance(language, str) or not isinstance(output, str):
        raise UnsupportedValueError("'language' and 'output' are texts")
    code = require_language(language).code if language else ""
    return Line(place, code, str(safe_key(output)) if output else "")


def safe_key(name: str) -> PurePosixPath:
    """A name of others as a path that stays below where it is put: nothing absolute, no `..`."""
    parts = name.replace("\0", "").split("/")
    return PurePosixPath(*("_" if part == ".." else part for part in parts))


@lru_cache(maxsize=64)
def _open_bucket(bucket: str) -> ObjectStore:
    return ObjectStore.open(f"{SCHEME}{bucket}")


@contextmanager
def fetched(item: Item, folder: Path | None = None) -> Iterator[Path]:
    """The file of an item, on this machine while the context lasts.

    Args:
        item: Whose.
        folder: Where the recordings of buckets are put meanwhile; None: the system's folder for temporary files.

    Raises:
        VoiceStackError, OSError: It cannot be had.
    """
    if not item.place.startswith(SCHEME):
        yield Path(item.place)
        return
    bucket, key = split_url(item.place)
    with tempfile.TemporaryDirectory(dir=folder, prefix="voice-stack-") as own:
        path = Path(own, f"recording{PurePosixPath(key).suffix}")
        with path.open("xb") as file:
            _open_bucket(bucket).download(key, file, MAX_RECORDING_BYTES)
        yield path
