"""What lies in `TTS_VOICE_DIR`: recordings, folders of recordings, TOML files beside them; and what requests say of it.

    anna.wav                  a voice of one recording; its id is `anna`
    anna.toml                 what is known of it
    bert/one.wav two.mp3      a voice of several recordings
    bert/voice.toml           the same as bert.toml beside the folder
    voice_0f..8a/             an upload, written by this server

What begins with a dot is not looked at, and no link that leads out of the folder is followed: who may write here may
not read elsewhere with the server's eyes.
"""

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tomli_w
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from voice_stack.core.errors import InvalidRequestError, tell_problem
from voice_stack.core.system.files import check_name, list_folder, open_regular, refuse_controls
from voice_stack.utils.language import require_language

MAX_TEXT_CHARS = 4000
MAX_TOML_BYTES = 65_536
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
RecordT = TypeVar("RecordT", bound=BaseModel)


def check_text(text: str) -> str:
    """Lines of text without control characters.

    Raises:
        ValueError: It is too long, or has such characters.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"{len(text)} characters; at most {MAX_TEXT_CHARS} are kept")
    refuse_controls(text.replace("\n", " ").replace("\r", " ").replace("\t", " "), "this text")
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


SUFFIXES = frozenset({
    ".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".mp4", ".aac", ".webm", ".mka", ".aif", ".aiff",
    ".caf", ".wma", ".amr", ".mpga", ".mpeg",
})  # fmt: skip
"""Of files that are taken for recordings."""
SIDECAR_NAME = "voice.toml"
_SIDECAR_SUFFIX = ".toml"
_UPLOAD_ID = re.compile(r"voice_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class RecordedVoice:
    """A voice of recordings, as it lies on the disk.

    Attributes:
        id: Name of its file or folder, without suffix.
        sidecar: What its TOML says.
        recordings: Its files, sorted, at least one.
        created_at: Seconds since 1970: of the upload, else of the newest recording.
        problem: What is wrong with its TOML; empty if nothing is.
        unused: Names of files beyond those that are listened to.
    """

    id: str
    sidecar: Sidecar
    recordings: tuple[Path, ...]
    created_at: int
    problem: str = ""
    unused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.sidecar.name or self.id

    @property
    def is_uploaded(self) -> bool:
        """It came over the API or by `voice-stack voices add`, and can be changed there."""
        return is_upload_id(self.id)


@dataclass(slots=True)
class FoundFiles:
    """The files of one voice."""

    recordings: list[Path] = field(default_factory=list)
    sidecar: Path | None = None


def is_upload_id(voice_id: str) -> bool:
    """Whether an id is one that this server makes."""
    return _UPLOAD_ID.fullmatch(voice_id) is not None


def find_recordings(folder: Path) -> dict[str, FoundFiles]:
    """The files of each voice by its id, sorted; only names are read.

    Args:
        folder: Need not exist.
    """
    found: dict[str, FoundFiles] = {}
    root = folder.resolve()
    for entry in list_folder(folder, root):
        if entry.is_file():
            _add(found, entry.name.rpartition(".")[0], entry)
        elif entry.is_dir():
            for inner in list_folder(entry.path, root):
                if inner.is_file():
                    _add(found, entry.name, inner, sidecar_name=SIDECAR_NAME)
    return {name: files for name, files in sorted(found.items()) if files.recordings}


def _add(found: dict[str, FoundFiles], name: str, entry: os.DirEntry[str], sidecar_name: str = "") -> None:
    suffix = "." + entry.name.rpartition(".")[2].lower()
    if suffix in SUFFIXES:
        found.setdefault(name, FoundFiles()).recordings.append(Path(entry.path))
    elif suffix == _SIDECAR_SUFFIX and sidecar_name in {"", entry.name}:
        found.setdefault(name, FoundFiles()).sidecar = Path(entry.path)


class VoiceForm(BaseModel):
    """Fields of `POST /audio/voices` besides the file `audio_sample`; unknown ones are ignored."""

    name: Name = Field(description="Shown to people; never a path.")
    consent: str = Field("", max_length=100, description="Id of a consent (`cons_...`).")
    type: Literal["audio_sample"] = Field("audio_sample", description="Voices are made of recordings.")
    language: LanguageTag = Field(
        "", description="Extension: what the speaker speaks, as `en-US`; else as in the consent."
    )
    description: Text = Field("", description="Extension: how the voice sounds.")
    licence: Text = Field("", description="Extension: what others may do with it.")
    source: Text = Field("", description="Extension: where the recording comes from.")


class VoiceChanges(BaseModel):
    """Fields of `POST /audio/voices/{id}`; what is absent stays as it is."""

    name: Name | None = None
    language: LanguageTag | None = None
    description: Text | None = None
    licence: Text | None = None


class ConsentForm(BaseModel):
    """Fields of `POST /audio/voice_consents` besides the file `recording`."""

    name: Name = Field(description="A label for this consent.")
    language: LanguageTag = Field(min_length=2, description="BCP 47 tag of the language spoken, as `en-US`.")


class ConsentChanges(BaseModel):
    """Fields of `POST /audio/voice_consents/{id}`."""

    name: Name = Field(description="The new label.")
