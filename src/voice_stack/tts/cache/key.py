"""What makes two speeches the same: a digest of everything that shapes their bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path

from voice_stack.core.regular_file import open_regular
from voice_stack.core.server import VERSION
from voice_stack.tts.request import TtsWorkerConfig
from voice_stack.tts.turns import Turn

_SHAPES_NOTHING = {"model_dir", "offline", "operator_paths", "device", "threads"}
"""Fields of an engine's configuration that say where and how fast it works."""


def speech_key(turns: Sequence[Turn], format_name: str) -> str:
    """The key of a speech, 64 hexadecimal digits; it reads the files of cloned voices, so not on the event loop.

    Everything in the requests and in the engines' configuration counts, recordings and tables by their content, and the
    version of this program.

    Args:
        turns: Who speaks what.
        format_name: What it is encoded in.

    Raises:
        OSError: A file cannot be read.
    """
    # Whether somebody waits for the beginning changes in how many pieces it comes, and no more.
    requests = [replace(turn.request, is_awaited=True) for turn in turns]
    said = [[_describe_engine(turn), _plain(request)] for turn, request in zip(turns, requests, strict=True)]
    content = [VERSION, format_name, said]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _describe_engine(turn: Turn) -> object:
    config = turn.engine.config
    assert isinstance(config, TtsWorkerConfig)
    shaping = {field.name: getattr(config, field.name) for field in fields(config)}
    return [_plain({name: value for name, value in shaping.items() if name not in _SHAPES_NOTHING}), _age(config.model)]


def _plain(value: object) -> object:
    """A value as JSON has it; files by their content."""
    if isinstance(value, Path):
        return _digest_file(value) if value.is_file() else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def _age(model: str) -> object:
    """Sizes and times of an operator's own model files, which may be replaced; none for a model from the catalogue."""
    path = Path(model).expanduser()
    if not path.exists():
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[file.name, status.st_size, status.st_mtime_ns] for file in files for status in [file.stat()]]


def _digest_file(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
