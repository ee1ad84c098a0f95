"""Form fields as clients spell them -> one value for each field of a schema.

Lists come with `[]` or without, as repeated fields or as one JSON array; objects as bracketed fields
(`chunking_strategy[type]=server_vad`) or as one JSON object. A field that is empty counts as absent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.json_text import read_json

LIST_FIELDS = frozenset(
    {
        "timestamp_granularities",
        "include",
        "languages",
        "keywords",
        "known_speaker_names",
        "known_speaker_references",
    }
)
OBJECT_FIELDS = {"chunking_strategy": "type", "vad_parameters": ""}
"""Fields that are objects, with the key that a plain word in their place is the value of."""

_BRACKETED = re.compile(r"(\w+)\[(\w+)\]")
_NUMBERED = re.compile(r"(\w+)\[\d*\]")


@dataclass(frozen=True, slots=True)
class FormValues:
    """What a form says.

    Attributes:
        values: By field name: a string, a list of strings, or an object.
        ignored: Names, as sent, of fields that nobody here knows.
    """

    values: dict[str, object]
    ignored: tuple[str, ...]


def read_fields(schema: type[BaseModel], sent: Mapping[str, Sequence[str]], *, file_field: str) -> FormValues:
    """Sort the fields of a form.

    Args:
        schema: The fields there are.
        sent: Name, as sent, to its values.
        file_field: Name of the part that holds the file, which is no field.

    Raises:
        InvalidRequestError: A list or an object is written as JSON, and that is broken.
    """
    values: dict[str, object] = {}
    ignored: list[str] = []
    for sent_name, given in sent.items():
        filled = [value for value in given if value != ""]
        name, key = _split_name(sent_name)
        if name not in schema.model_fields:
            ignored += [sent_name] if name != file_field else []
        elif not filled:
            continue
        elif name in OBJECT_FIELDS:
            part = {key: filled[-1]} if key else _read_object(name, filled[-1])
            unknown = part.keys() - _object_keys(schema, name)
            ignored += [f"{name}[{unknown_key}]" for unknown_key in sorted(unknown)]
            known = values.setdefault(name, {})
            assert isinstance(known, dict)
            known |= part
        elif name in LIST_FIELDS:
            known_items = values.setdefault(name, [])
            assert isinstance(known_items, list)
            known_items += [item for value in filled for item in _read_list(name, value)]
        else:
            values[name] = filled[-1]
    return FormValues(values, tuple(ignored))


def _split_name(sent: str) -> tuple[str, str]:
    """The field and the key of it that a name means: `a[]` and `a[0]` are `a`; `a[b]` is the key `b` of `a`."""
    if numbered := _NUMBERED.fullmatch(sent):
        return (numbered[1], "") if numbered[1] in LIST_FIELDS else (sent, "")
    if bracketed := _BRACKETED.fullmatch(sent):
        return (bracketed[1], bracketed[2]) if bracketed[1] in OBJECT_FIELDS else (sent, "")
    return sent, ""


def _object_keys(schema: type[BaseModel], name: str) -> set[str]:
    """The keys of an object: those of the one model its type allows beside None."""
    annotation = schema.model_fields[name].annotation
    models = [choice for choice in getattr(annotation, "__args__", ()) if issubclass(choice, BaseModel)]
    return {key for model in models for key in model.model_fields}


def _read_list(name: str, value: str) -> list[str]:
    if not value.lstrip().startswith("["):
        return [value]
    items = _read_json(name, value)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InvalidRequestError(f'{name}={value[:100]!r}: a JSON array must hold strings, as ["a", "b"]', param=name)
    return [item for item in items if item]


def _read_object(name: str, value: str) -> dict[str, object]:
    word_key = OBJECT_FIELDS[name]
    if word_key and re.fullmatch(r"\s*\w+\s*", value):
        return {word_key: value.strip()}
    found = _read_json(name, value)
    if word_key and isinstance(found, str):
        return {word_key: found}
    if not isinstance(found, dict):
        raise InvalidRequestError(f"{name}={value[:100]!r}: this JSON is no object", param=name)
    return {str(key): item for key, item in found.items() if item is not None}


def _read_json(name: str, value: str) -> object:
    try:
        return read_json(value.encode())
    except ValueError as error:
        raise InvalidRequestError(f"{name}={value[:100]!r}: broken JSON: {error}", param=name) from None
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{name}={value[:100]!r}: {error.message}", param=name) from None
