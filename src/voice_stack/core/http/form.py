"""A received form: fields in memory, the one file on disk; and fields as a schema has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from voice_stack.core.errors import InvalidRequestError, tell_problem

SchemaT = TypeVar("SchemaT", bound=BaseModel)


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


def check_fields(schema: type[SchemaT], values: Mapping[str, object]) -> SchemaT:
    """The fields of a request as the schema has them.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        if problem["type"] == "missing" and len(problem["loc"]) == 1:
            raise InvalidRequestError(f"you must provide {name!r}", param=name) from None
        path = name + "".join(f"[{part}]" for part in problem["loc"][1:])
        shown = f"{problem['input']!r}"[:200]
        raise InvalidRequestError(f"{path}={shown}: {tell_problem(problem)}", param=name) from None


HEADER = "x-ignored-fields"
_MAX_NAMED = 20
_MAX_CHARS = 60


def ignored_fields_header(names: Sequence[str]) -> dict[str, str]:
    """The header for fields that mean nothing here; empty where there are none.

    Args:
        names: The fields as sent. At most 20 are named, percent-encoded where a header has no room for a character.
    """
    shown = ", ".join(quote(name[:_MAX_CHARS], safe="[]") for name in names[:_MAX_NAMED])
    return {HEADER: shown} if names else {}
