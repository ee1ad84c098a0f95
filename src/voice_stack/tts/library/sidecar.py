"""The TOML file beside a recording, checked; and the records of uploads, which are TOML, too."""

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Annotated, TypeVar

import tomli_w
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.problems import tell_problem
from voice_stack.core.regular_file import open_regular
from voice_stack.utils.language import require_language

MAX_NAME_CHARS = 100
MAX_TEXT_CHARS = 4000
MAX_TOML_BYTES = 65_536
_JOINERS = "\u200c\u200d"
"""Invisible, yet part of how some scripts and emoji are written."""
_NO_NAME = re.compile(r"[/\\\[\]]")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
RecordT = TypeVar("RecordT", bound=BaseModel)


def check_name(name: str) -> str:
    """A name fit to be shown, without blanks around it; it is never a path.

    Raises:
        ValueError: It is empty, too long, or has characters that change how text around it is read.
    """
    name = name.strip()
    if not name:
        raise ValueError("a name must not be empty")
    if len(name) > MAX_NAME_CHARS:
        raise ValueError(f"{len(name)} characters; a name has at most {MAX_NAME_CHARS}")
    if found := _NO_NAME.search(name):
        raise ValueError(f"a name must not hold {found[0]!r}")
    return _refuse_controls(name, "a name")


def check_text(text: str) -> str:
    """Lines of text without control characters.

    Raises:
        ValueError: It is too long, or has such characters.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"{len(text)} characters; at most {MAX_TEXT_CHARS} are kept")
    _refuse_controls(text.replace("\n", " ").replace("\r", " ").replace("\t", " "), "this text")
    return text


def check_language(tag: str) -> str:
    """A BCP 47 tag as it was written, `en-US`; empty stays empty.

    Raises:
        ValueError: No language is called that.
    """
    if not tag:
        return tag
    if not _LANGUAGE_TAG.fullmatch(tag):
        raise ValueError(f"{tag[:40]!r} is no language tag such as en, en-US or pt-BR")
    try:
        require_language(tag)
    except InvalidRequestError as error:
        raise ValueError(error.message) from None
    return tag


def _refuse_controls(text: str, what: str) -> str:
    for character in text:
        # Cc control, Cf invisible format such as right-to-left override, Cs half a pair, Zl and Zp line ends
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _JOINERS:
            raise ValueError(f"{what} must not hold the character U+{ord(character):04X}")
    return text


Name = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, AfterValidator(check_text)]
LanguageTag = Annotated[str, AfterValidator(check_language)]


class Sidecar(BaseModel):
    """What is said of a recorded voice; every field may be absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Name | None = Field(None, description="Shown to people; without one, the id.")
    language: LanguageTag = Field("", description="What the speaker speaks, as `en` or `en-US`.")
    description: Text = Field("", description="How the voice sounds, who it is.")
    licence: Text = Field(
        "", validation_alias=AliasChoices("licence", "license"), description="What others may do with it."
    )
    consent: Text = Field("", description="The speaker's agreement: an id (`cons_...`) or a sentence.")
    source: Text = Field("", description="Where the recording comes from.")
    created_at: int | None = Field(None, ge=0, lt=1 << 53, description="Seconds since 1970; set for uploads.")
    options: dict[str, float | bool | str] = Field(
        default_factory=dict, description="Settings of the engine for this voice, as `temperature`."
    )


class ConsentRecord(BaseModel):
    """A recorded consent: who agreed, in which language, when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    language: LanguageTag
    created_at: int = Field(ge=0)


def read_record(path: Path, record: type[RecordT]) -> RecordT:
    """Read a TOML file.

    Raises:
        InvalidRequestError: It is no TOML, or a field does not fit; the message names the file and the field.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(MAX_TOML_BYTES + 1)
    if len(content) > MAX_TOML_BYTES:
        raise InvalidRequestError(f"{path.name}: larger than {MAX_TOML_BYTES} bytes")
    try:
        return record.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        raise InvalidRequestError(f"{path.name}: {_explain(error, record)}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{path.name} is no TOML in UTF-8: {error}") from None


def write_record(record: BaseModel) -> bytes:
    """The record as TOML, without what is empty."""
    values = record.model_dump(exclude_defaults=True)
    return tomli_w.dumps(values, multiline_strings=False).encode()


def _explain(error: ValidationError, record: type[BaseModel]) -> str:
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"there is no field {field!r}; there are {', '.join(record.model_fields)}"
    return f"{field} = {str(problem['input'])[:60]!r}: {tell_problem(problem)}"
