"""The files of a model on disk: the manifest beside them, their digests, and how packs become files."""

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.model_spec import ModelPack, ModelSpec, PackFile

MANIFEST = "manifest.json"
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
        size_bytes: Size now; 0 for a missing file.
        expected: SHA-256 on record; None if there is no record to hold it against.
        found: SHA-256 now; None for a missing file.
    """

    name: str
    size_bytes: int
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
    fresh = folder / f".{MANIFEST}.new"
    fresh.write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
    fresh.replace(folder / MANIFEST)


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
    if not path.is_file():
        return FileCheck(name, 0, expected, None)
    return FileCheck(name, path.stat().st_size, expected, hash_file(path))


def refuse(spec: ModelSpec, source: str, check: FileCheck) -> ModelLoadError:
    """The error for a file that is not what it must be."""
    found = f"found {check.found}" if check.found else "the file is missing"
    return ModelLoadError(
        f"model {spec.name!r}: {check.name} from {source} is damaged or altered: "
        f"expected SHA-256 {check.expected}, {found}"
    )


def find_parts(file: PackFile) -> list[Path] | None:
    """Where the parts of a file are installed, without importing their packages; None if one is not."""
    paths = []
    for package, inside in file.parts:
        module = importlib.util.find_spec(package)
        roots = (module.submodule_search_locations or ()) if module else ()
        path = next((Path(root) / inside for root in roots if (Path(root) / inside).is_file()), None)
        if path is None:
            return None
        paths.append(path)
    return paths


def is_installed(pack: ModelPack) -> bool:
    """Whether every part of every file of a pack is installed."""
    return all(find_parts(file) is not None for file in pack.files)


def pack_size_bytes(pack: ModelPack) -> int:
    """Bytes of all installed parts."""
    return sum(part.stat().st_size for file in pack.files for part in find_parts(file) or ())


def _describe_source(pack: ModelPack) -> str:
    names = [requirement.partition("==")[0] for requirement in pack.packages]
    return "pack " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def assemble_pack(spec: ModelSpec, pack: ModelPack, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """Put a model's files together from installed packages; digests are computed on the way.

    Args:
        spec: The model.
        pack: Its packages.
        folder: Existing folder that gets the files.
        progress: Told the bytes done.

    Returns:
        The source in words, and the SHA-256 of each file by name.

    Raises:
        ModelLoadError: A file has another SHA-256 than the model's.
        ModelNotFoundError: A part is no longer installed.
    """
    source, total, done, digests = _describe_source(pack), pack_size_bytes(pack), 0, {}
    for file in pack.files:
        digest = hashlib.sha256()
        with (folder / file.name).open("wb") as target:
            for part in find_parts(file) or _missing(spec, file):
                with part.open("rb") as reader:
                    while block := reader.read(BLOCK_BYTES):
                        target.write(block)
                        digest.update(block)
                        done += len(block)
                        progress(done, total)
        digests[file.name] = digest.hexdigest()
        check = FileCheck(file.name, (folder / file.name).stat().st_size, file.sha256, digests[file.name])
        if not check.intact:
            raise refuse(spec, source, check)
    return source, digests


def _missing(spec: ModelSpec, file: PackFile) -> list[Path]:
    raise ModelNotFoundError(f"model {spec.name!r}: {file.name} was uninstalled while it was being read")
