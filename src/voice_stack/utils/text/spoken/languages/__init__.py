"""The languages that numbers and the like can be read out in: a file of tables for each.

In the files a set is written with blanks between its words, a table as `key=value; key=value`.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_origin, get_type_hints

from pydantic import TypeAdapter

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

__all__ = ["GRAMMARS"]

_READERS: dict[object, Callable[[str], object]] = {Mapping: table, frozenset: words}


def _read(file: Path) -> Grammar:
    kinds = get_type_hints(Grammar)
    values: dict[str, object] = {"code": file.stem}
    for name, value in tomllib.loads(file.read_text(encoding="utf-8")).items():
        reader = _READERS.get(get_origin(kinds[name]))
        values[name] = reader(value) if reader else value
    return TypeAdapter(Grammar).validate_python(values)


GRAMMARS = {file.stem: _read(file) for file in sorted(Path(__file__).parent.glob("*.toml"))}
"""Every grammar by the code of its language."""
