"""A received form: fields in memory, the one file on disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """An uploaded file on disk: name and type as the client sent them, size in bytes."""

    path: Path
    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Form:
    """Field name, as sent, to its values in their order; and the file, if there is one."""

    fields: dict[str, list[str]]
    file: SpooledFile | None
