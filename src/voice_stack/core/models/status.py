"""Models as `voice-stack models list` shows them: what is on this machine, where from, how large."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_stack.core.errors import ModelLoadError
from voice_stack.core.models.files import Catalogue, ModelSpec, is_filled, model_files, read_manifest
from voice_stack.core.models.sources import describe_sources, is_packed, pack_size_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """A model as `voice-stack models list` shows it.

    Args:
        state: `local`: usable without fetching anything; `available`: can be fetched.
        source: Where it comes from, for people.
        size_bytes: Bytes on this machine; 0 if it is not here.
        path: Its folder, once it has one.
    """

    name: str
    engine: str
    state: Literal["local", "available"]
    source: str
    size_bytes: int
    path: Path | None


def find_further(catalogue: Catalogue, model_dir: Path) -> Iterator[ModelStatus]:
    """The models of these engines in the model directory that the catalogue does not list."""
    engines = {spec.engine for spec in (*catalogue.models, catalogue.unlisted)}
    known = {spec.folder for spec in catalogue.models}
    for folder in sorted(model_dir.iterdir()) if model_dir.is_dir() else ():
        if folder.name in known or folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            manifest = read_manifest(folder)
        except ModelLoadError as error:
            _log.warning("not listed: %s", error)
            continue
        if manifest is not None and manifest.engine in engines:
            yield _local(manifest.model, manifest.engine, folder, manifest.source)


def find_status(spec: ModelSpec, folder: Path) -> ModelStatus:
    """How a model stands on this machine.

    Args:
        spec: The model.
        folder: Where it is, or would be.
    """
    if is_filled(folder):
        return _local(spec.name, spec.engine, folder, _recorded_source(folder))
    if spec.pack is not None and is_packed(spec):
        source, size_bytes = f"pack {', '.join(spec.pack.packages)}", pack_size_bytes(spec.pack)
        return ModelStatus(spec.name, spec.engine, "local", source, size_bytes, None)
    return ModelStatus(spec.name, spec.engine, "available", ", ".join(describe_sources(spec)), 0, None)


def _recorded_source(folder: Path) -> str:
    """One damaged manifest must not hide all other models from the list, so it is said in its line."""
    try:
        manifest = read_manifest(folder)
    except ModelLoadError as error:
        return error.message
    return manifest.source if manifest is not None else f"folder {folder}"


def _local(name: str, engine: str, folder: Path, source: str) -> ModelStatus:
    size_bytes = sum(path.stat().st_size for path in model_files(folder))
    return ModelStatus(name, engine, "local", source, size_bytes, folder)


def tell_remedy(spec: ModelSpec) -> str:
    """What mends a damaged model, for people."""
    if spec.base:
        return f"copy {spec.name} anew from where it was trained, or train it again"
    return f"voice-stack models rm {spec.name} && voice-stack models pull {spec.name}"
