"""Places in the model directory: which names are paths, how folders appear whole and go whole."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL_SUFFIX = ".partial"
"""Ends the name of a folder in which a model is still put together."""


def looks_like_path(name: str) -> bool:
    """`./base` and `/models/base` are paths; a plain `base` is a name, whatever lies in the working folder."""
    return name.startswith("~") or "/" in name or os.sep in name


def delete_place(place: Path) -> None:
    """Delete a folder; of a link only the link."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


@contextlib.contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the final one, gone afterwards; what a killed process left there is cleared first."""
    partial = folder.with_name(f".{folder.name}{PARTIAL_SUFFIX}")
    delete_place(partial)
    partial.mkdir()
    try:
        yield partial
    finally:
        delete_place(partial)
