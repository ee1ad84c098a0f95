"""What `voice-stack models list` shows: every model of the table, and what else lies in the model directory."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_stack.core import model_files
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.model_sources import describe_sources, is_packed
from voice_stack.core.model_spec import Catalogue, ModelSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """A model as `voice-stack models list` shows it.

    Args:
        name: The model.
        engine: The engine that loads it.
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


def list_models(catalogue: Catalogue, model_dir: Path) -> tuple[ModelStatus, ...]:
    """Every model of the table, then every further one of the same engines that is in the model directory."""
    listed = tuple(_status(spec, model_dir / spec.folder) for spec in catalogue.models)
    return listed + tuple(_further(catalogue, model_dir))


def _further(catalogue: Catalogue, model_dir: Path) -> Iterator[ModelStatus]:
    engines = {spec.engine for spec in (*catalogue.models, catalogue.unlisted)}
    known = {spec.folder for spec in catalogue.models}
    for folder in sorted(model_dir.iterdir()) if model_dir.is_dir() else ():
        if folder.name in known or folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            manifest = model_files.read_manifest(folder)
        except ModelLoadError as error:
            _log.warning("not listed: %s", error)
            continue
        if manifest is not None and manifest.engine in engines:
            yield _local(manifest.model, manifest.engine, folder, manifest.source)


def _status(spec: ModelSpec, folder: Path) -> ModelStatus:
    if model_files.is_filled(folder):
        return _local(spec.name, spec.engine, folder, _recorded_source(folder))
    if spec.pack is not None and is_packed(spec):
        source, size_bytes = f"pack {', '.join(spec.pack.packages)}", model_files.pack_size_bytes(spec.pack)
        return ModelStatus(spec.name, spec.engine, "local", source, size_bytes, None)
    return ModelStatus(spec.name, spec.engine, "available", ", ".join(describe_sources(spec)), 0, None)


def _recorded_source(folder: Path) -> str:
    """One damaged manifest must not hide all other models from the list, so it is said in its line."""
    try:
        manifest = model_files.read_manifest(folder)
    except ModelLoadError as error:
        return error.message
    return manifest.source if manifest is not None else f"folder {folder}"


def _local(name: str, engine: str, folder: Path, source: str) -> ModelStatus:
    size_bytes = sum(path.stat().st_size for path in model_files.model_files(folder))
    return ModelStatus(name, engine, "local", source, size_bytes, folder)
