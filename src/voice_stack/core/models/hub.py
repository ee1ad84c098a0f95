"""Models from the Hugging Face hub. The client library is imported by the download, not by this module."""

import fnmatch
import os
import shutil
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError, VoiceStackError
from voice_stack.core.models.files import ModelSpec, Progress, check_file, refuse

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

DEFAULT_ENDPOINT = "https://huggingface.co"
ANSWER_TIMEOUT_S = 15.0
_STAGING = ".download"


def hub_endpoint() -> str:
    """The hub's address: `HF_ENDPOINT` as it is now, or the public hub."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def forbid_downloads() -> None:
    """Libraries that would ask the hub by themselves do not, in this process and those it starts."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


def download(spec: ModelSpec, repo: str, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """Fetch a model's files from the hub and check those whose SHA-256 the hub knows.

    Returns:
        The source in words with the exact revision, and the SHA-256 of each file by its path in the folder.

    Raises:
        ModelNotFoundError: The hub has no such repository, or it has not the files of such a model.
        ModelLoadError: The hub is unreachable or refuses, or a file has another SHA-256 than it must.
        OSError: The files cannot be written.
    """
    import httpx2
    from huggingface_hub import errors

    known = errors.HfHubHTTPError, errors.HFValidationError, errors.EntryNotFoundError, errors.OfflineModeIsEnabled
    where = f"model {spec.name!r}: hub repository {repo} at {hub_endpoint()}"
    try:
        return _fetch(spec, repo, folder, progress)
    except known as error:
        raise _explain(error, spec, where) from error
    except httpx2.HTTPError as error:
        raise ModelLoadError(f"{where} cannot be reached ({type(error).__name__}: {error})") from error
    except OSError as error:
        # The client raises a bare OSError for a file that came too short; one with a number is the disk's.
        if error.errno is not None:
            raise
        raise ModelLoadError(f"{where} sent a broken file: {error}") from error


def _explain(error: Exception, spec: ModelSpec, where: str) -> VoiceStackError:
    """An error of the hub's client, in our words."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return ModelLoadError(f"{where} is gated: accept its terms on its page, then set HF_TOKEN")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return ModelNotFoundError(f"{where} does not exist, or is private: then set HF_TOKEN")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return ModelLoadError(f"{where} stopped answering: {error}")
    if isinstance(error, errors.EntryNotFoundError):
        return ModelNotFoundError(f"{where} has no folder {spec.hub_folder!r}")
    if isinstance(error, errors.HfHubHTTPError):
        return ModelLoadError(f"{where} answered {error.response.status_code}: {error}")
    return ModelLoadError(f"{where} was not asked: HF_HUB_OFFLINE is set")


def _fetch(spec: ModelSpec, repo: str, folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    from huggingface_hub import HfApi, RepoFile, hf_hub_download

    api = HfApi(endpoint=hub_endpoint())
    revision = api.model_info(repo, timeout=ANSWER_TIMEOUT_S).sha
    source = f"hub {repo}@{revision}"
    tree = api.list_repo_tree(repo, spec.hub_folder or None, recursive=True, revision=revision)
    wanted = _choose(spec, [entry for entry in tree if isinstance(entry, RepoFile)])
    total = sum(entry.size for entry in wanted.values())
    _require_space(spec, folder, total)
    meter = _Meter(progress, total)
    digests, known = {}, dict(zip(spec.hub_files, spec.hub_sha256, strict=False))
    for name, entry in wanted.items():
        staged = hf_hub_download(
            repo, entry.path, revision=revision, endpoint=api.endpoint, local_dir=folder / _STAGING,
            tqdm_class=meter.bar_class(),
        )  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Path(staged).replace(folder / name)
        check = check_file(folder, name, known.get(name) or (entry.lfs.sha256 if entry.lfs else None))
        if check.found is None or not check.intact:
            raise refuse(spec, source, check)
        digests[name] = check.found
    shutil.rmtree(folder / _STAGING)
    return source, digests


def _choose(spec: ModelSpec, entries: "list[RepoFile]") -> "dict[str, RepoFile]":
    """The model's files by their path inside its folder."""
    inside = {str(PurePosixPath(entry.path).relative_to(spec.hub_folder or ".")): entry for entry in entries}
    # The listing comes from outside: a path that climbs out of the folder is not one of the model's.
    safe = {name: entry for name, entry in inside.items() if ".." not in name.split("/") and not name.startswith("/")}
    if missing := [name for name in spec.hub_files if name not in safe]:
        place = f"{spec.hub_repo}/{spec.hub_folder}".rstrip("/")
        raise ModelNotFoundError(
            f"model {spec.name!r}: hub repository {place} has no {', '.join(missing)}; "
            f"engine {spec.engine} needs {', '.join(spec.hub_files)}"
        )
    patterns = (*spec.hub_files, *spec.hub_extras)
    return {name: safe[name] for name in sorted(safe) if any(fnmatch.fnmatchcase(name, one) for one in patterns)}


def _require_space(spec: ModelSpec, folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise ModelLoadError(
            f"model {spec.name!r} needs {needed_bytes / 1e6:.0f} MB in {folder.parent}, "
            f"{free_bytes / 1e6:.0f} MB are free"
        )


class _Meter:
    """Adds up the bytes of all files of a model and reports them."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, count: float) -> None:
        self._done = min(self._done + int(count), self._total)
        self._progress(self._done, self._total)

    def bar_class(self) -> type["_Bar"]:
        """A class for the hub client, which makes one bar per file."""
        return type("_MeterBar", (_Bar,), {"meter": self})


class _Bar:
    """The part of a progress bar that the hub client uses; it draws nothing."""

    meter: _Meter

    def __init__(self, *, initial: int = 0, **_labels: object) -> None:
        if initial:
            self.meter.add(initial)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, count: float | None = 1) -> None:
        self.meter.add(count or 0)

    def update_transfer(self, count: float | None = 1) -> None:
        """Bytes on the wire, before they are on disk: they must not be counted twice."""

    def set_postfix_str(self, text: str, refresh: bool = False) -> None:
        """The rate in words."""

    def set_transfer_postfix_str(self, text: str, refresh: bool = False) -> None:
        """The rate in words."""

    def refresh(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is held."""
