"""The form of a transcription request, checked: everything a client can get wrong is answered here."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.core.multipart import Form, SpooledFile
from voice_stack.utils.language import require_language

Granularity = Literal["word", "segment"]
FormT = TypeVar("FormT", bound=BaseModel)
_BACKGROUND = "Extension: answer 202 with a job at once; its result is fetched later."
_WEBHOOK_URL = "Extension: with `background`, told when the job is over; it must be allowed by the settings."


class TranscriptionForm(BaseModel):
    """Fields of `POST /audio/transcriptions`; a field that is empty counts as absent."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1, max_length=200, description="`whisper-1` or any model of `GET /models`.")
    language: str | None = Field(None, description="Spoken language, as `en`; found from the audio if absent.")
    prompt: str | None = Field(None, description="A sample of the style and of names to expect.")
    response_format: str = Field("json", description="json, text, srt, verbose_json or vtt.")
    temperature: float = Field(0.0, ge=0, le=1, description="Where decoding starts.")
    timestamp_granularities: frozenset[Granularity] = Field(
        frozenset({"segment"}), description="With verbose_json: `segment`, `word` or both."
    )
    stream: bool = Field(False, description="Server-sent events: text as soon as it is final.")
    beam_size: int | None = Field(None, ge=1, le=20, description="Extension: hypotheses kept while decoding.")
    background: bool = Field(False, description=_BACKGROUND)
    webhook_url: str | None = Field(None, max_length=2000, description=_WEBHOOK_URL)


class TranslationForm(BaseModel):
    """Fields of `POST /audio/translations`; a field that is empty counts as absent."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(
        min_length=1, max_length=200, description="`whisper-1` or any multilingual model of `GET /models`."
    )
    prompt: str | None = Field(None, description="A sample of the style, in English.")
    response_format: str = Field("json", description="json, text, srt, verbose_json or vtt.")
    temperature: float = Field(0.0, ge=0, le=1, description="Where decoding starts.")
    beam_size: int | None = Field(None, ge=1, le=20, description="Extension: hypotheses kept while decoding.")
    background: bool = Field(False, description=_BACKGROUND)
    webhook_url: str | None = Field(None, max_length=2000, description=_WEBHOOK_URL)


@dataclass(frozen=True, slots=True)
class Checked:
    """A form that can be served, for either task."""

    file: SpooledFile
    model: str
    task: str
    language: str | None
    prompt: str | None
    response_format: str
    temperature: float
    granularities: frozenset[str]
    stream: bool
    beam_size: int | None
    background: bool = False
    webhook_url: str | None = None


def check_transcription(form: Form) -> Checked:
    """Check the form of a transcription.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    fields = _parse(TranscriptionForm, form)
    language = require_language(fields.language).code if fields.language else None
    if "word" in fields.timestamp_granularities and fields.response_format != "verbose_json" and not fields.stream:
        raise UnsupportedValueError(
            f"timestamp_granularities 'word' needs response_format 'verbose_json', not {fields.response_format!r}",
            param="timestamp_granularities",
        )
    _check_webhook(fields)
    if fields.stream and fields.background:
        raise UnsupportedValueError("background=true has no stream to send: leave one of the two out", param="stream")
    return Checked(
        _require_file(form),
        fields.model,
        "transcribe",
        language,
        fields.prompt,
        fields.response_format,
        fields.temperature,
        frozenset(fields.timestamp_granularities),
        fields.stream,
        fields.beam_size,
        fields.background,
        fields.webhook_url,
    )


def check_translation(form: Form) -> Checked:
    """Check the form of a translation.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    fields = _parse(TranslationForm, form)
    _check_webhook(fields)
    return Checked(
        _require_file(form),
        fields.model,
        "translate",
        None,
        fields.prompt,
        fields.response_format,
        fields.temperature,
        frozenset({"segment"}),
        False,
        fields.beam_size,
        fields.background,
        fields.webhook_url,
    )


def _check_webhook(fields: TranscriptionForm | TranslationForm) -> None:
    if fields.webhook_url and not fields.background:
        raise InvalidRequestError("webhook_url is for background jobs: add background=true", param="webhook_url")


def _require_file(form: Form) -> SpooledFile:
    if form.file is not None:
        return form.file
    if "file" in form.fields:
        message = "part 'file' was sent as text: it needs a filename, as `curl -F file=@NAME` gives it"
    else:
        sent = ", ".join(repr(name[:40]) for name in form.fields)
        message = f"no file was sent: the form needs a file in part 'file', not only {sent}"
    raise InvalidRequestError(message, param="file")


def _parse(schema: type[FormT], form: Form) -> FormT:
    """Fields may be sent with or without the `[]` of lists; the last value of a single field counts."""
    values: dict[str, object] = {}
    for sent_name, sent in form.fields.items():
        name = sent_name.removesuffix("[]")
        filled = [value for value in sent if value != ""]
        if filled and name in schema.model_fields:
            is_list = name == "timestamp_granularities"
            values[name] = filled if is_list else filled[-1]
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        if problem["type"] == "missing":
            raise InvalidRequestError(f"you must provide {name!r}", param=name) from None
        raise InvalidRequestError(f"{name}={problem['input']!r}: {problem['msg']}", param=name) from None


def form_body(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body for the API docs: the schema's fields and the file."""
    fields = schema.model_json_schema()
    fields["properties"]["file"] = {"type": "string", "format": "binary", "description": "The audio."}
    fields["required"] = ["file", *fields.get("required", [])]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": fields}}}}
