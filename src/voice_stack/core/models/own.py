"""Models that were trained here: each a folder below `finetuned` in the model directory, with a record of its own."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from voice_stack.core.errors import ModelLoadError
from voice_stack.core.models.files import MANIFEST, OWN_FOLDER, Catalogue, ModelSpec
from voice_stack.core.system.files import open_regular, warn_once

RECORD = "finetune.json"
"""In the folder of each: what it was made of, for people; `engine`, `base` and `languages` of it are read here."""
_MAX_RECORD_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_own_name(name: str) -> bool:
    """Whether a model may be called so: 1 to 64 letters, digits and any of . _ -, a letter or digit first."""
    return _NAME.fullmatch(name) is not None


def find_own(catalogue: Catalogue, model_dir: Path, name: str) -> ModelSpec | None:
    """The model of that name, if it was trained here and an engine of the catalogue runs it; two small files are read.

    Raises:
        ModelLoadError: There is one, and its record or its manifest is damaged or missing.
    """
    folder = model_dir / OWN_FOLDER / name
    if not is_own_name(name) or not folder.is_dir():
        return None
    if not (folder / MANIFEST).is_file():
        raise ModelLoadError(f"model {name!r}: {folder} is not whole, it has no {MANIFEST}: copy it anew, or remove it")
    try:
        with open_regular(folder / RECORD) as file:
            record = json.loads(file.read(_MAX_RECORD_BYTES))
        engine, base, languages = str(record["engine"]), str(record["base"]), tuple(map(str, record["languages"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelLoadError(
            f"model {name!r}: {folder / RECORD} is damaged ({type(error).__name__}: {error}): remove {folder}"
        ) from error
    if engine not in {spec.engine for spec in (*catalogue.models, catalogue.unlisted)}:
        return None
    return replace(catalogue.unlisted, name=name, engine=engine, base=base, languages=languages)


def find_own_if_whole(catalogue: Catalogue, model_dir: Path, name: str) -> ModelSpec | None:
    """As `find_own`; one that is damaged is said once in the log, and is as good as not there."""
    try:
        return find_own(catalogue, model_dir, name)
    except ModelLoadError as error:
        warn_once(error.message)
        return None


def list_own(catalogue: Catalogue, model_dir: Path) -> Iterator[ModelSpec]:
    """Those that an engine of the catalogue runs, by name."""
    folder = model_dir / OWN_FOLDER
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return (spec for name in names if (spec := find_own_if_whole(catalogue, model_dir, name)))
