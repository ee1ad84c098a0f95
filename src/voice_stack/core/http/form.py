"""A received form: fields in memory, the one file on disk; and fields as a schema has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voice_stack.core.errors import InvalidRequestError, tell_problem

SchemaT = TypeVar("SchemaT", bound=BaseModel)
_MAX_SHOWN = 200
"""Characters of a bad value that an error message repeats."""


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


def check_fields(
    schema: type[SchemaT], values: Mapping[str, object], kind: type[InvalidRequestError] = InvalidRequestError
) -> SchemaT:
    """The fields of a request as the schema has them.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        raise explain_problem(problem, problem["loc"], kind) from None


def explain_problem(
    problem: ErrorDetails, place: Sequence[str | int], kind: type[InvalidRequestError] = InvalidRequestError
) -> InvalidRequestError:
    """What a client is told of a value that does not fit.

    Args:
        problem: The first that pydantic has found.
        place: The field, and what is at fault inside it; empty: all of the body.
        kind: Of error.
    """
    name = str(place[0]) if place else None
    if problem["type"] == "missing" and len(place) <= 1:
        return kind(f"you must provide {repr(name) if name else 'a body'}", param=name)
    path = (name or "the body") + "".join(f"[{part}]" for part in place[1:])
    shown = f"{problem['input']!r}"[:_MAX_SHOWN]
    return kind(f"{path}={shown}: {tell_problem(problem)}", param=name)


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
