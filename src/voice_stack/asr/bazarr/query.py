"""The query of Bazarr's routes, checked; what Bazarr's other Whisper servers take, and names they do not know."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voice_stack.asr.form import MAX_SPEAKERS
from voice_stack.asr.request import Times
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.http.form import check_fields
from voice_stack.utils.language import read_language

QueryT = TypeVar("QueryT", bound=BaseModel)

OUTPUTS = {"json": "verbose_json", "srt": "srt", "vtt": "vtt", "txt": "text", "tsv": "tsv", "jsonl": "jsonl"}
"""`output` -> the name of the format in `TRANSCRIPT_FORMATS`."""
SUBTITLES = frozenset({"srt", "vtt"})


class _BazarrQuery(BaseModel):
    """What both routes take."""

    model_config = ConfigDict(extra="ignore")

    encode: bool = Field(True, description="false: the part is raw 16-bit samples, mono, 16 kHz; true: a media file.")
    video_file: str | None = Field(None, description="Path of the film as Bazarr sees it; for the log only.")


class AsrQuery(_BazarrQuery):
    """The query of `POST /asr`; a value that is empty counts as absent."""

    task: Literal["transcribe", "translate"] = Field("transcribe", description="`translate`: into English.")
    language: str | None = Field(None, description="Spoken language in any spelling; found from the audio if absent.")
    output: Literal["json", "srt", "vtt", "txt", "tsv", "jsonl"] = Field("txt", description="Format of the answer.")
    word_timestamps: bool = Field(False, description="With json: words with times.")
    vad_filter: bool | None = Field(None, description="Leave silence out; absent: as in the settings.")
    initial_prompt: str | None = Field(None, description="A sample of the style and of names to expect.")
    hotwords: str | None = Field(None, max_length=4000, description="Extension: words to expect.")
    model: str | None = Field(None, max_length=200, description="Extension: absent: the default of the settings.")
    diarize: bool | None = Field(None, description="Tell who speaks; absent: only where it is told how many.")
    min_speakers: int | None = Field(None, ge=1, le=MAX_SPEAKERS, description="At least so many speak.")
    max_speakers: int | None = Field(None, ge=1, le=MAX_SPEAKERS, description="At most so many speak.")

    target_language: str | None = Field(
        None, max_length=40, description="Extension: put into this language by the language model of `ASR_LLM_URL`."
    )
    original: bool = Field(False, description="Extension: with `target_language`, what was said stands beside it.")

    @property
    def asks_for_speakers(self) -> bool:
        """Whether it is to be told who speaks."""
        return bool(self.min_speakers or self.max_speakers) if self.diarize is None else self.diarize

    @property
    def times(self) -> Times:
        """The finest times that the answer shows."""
        if self.output == "txt":
            return "none"
        return "words" if self.word_timestamps and self.output == "json" else "segments"

    @field_validator("language")
    @classmethod
    def _find_code(cls, value: str | None) -> str | None:
        language = read_language(value)
        return language.code if language else None


class DetectQuery(_BazarrQuery):
    """The query of `POST /detect-language`."""

    detect_lang_length: float | None = Field(None, ge=0, description="How far to look, in seconds; absent: to the end.")
    detect_lang_offset: float = Field(0.0, ge=0, description="Where to begin, in seconds.")


def parse_query(schema: type[QueryT], parameters: Mapping[str, str]) -> QueryT:
    """Check a query as it was sent; names that the schema lacks are ignored.

    Raises:
        UnsupportedValueError: A value does not fit; the message names it and what fits.
    """
    sent = {name: value for name, value in parameters.items() if value != ""}
    return check_fields(schema, sent, UnsupportedValueError)


def query_parameters(schema: type[BaseModel]) -> dict[str, object]:
    """The parameters and the body for the API docs."""
    fields = schema.model_json_schema()["properties"]
    parameters = [
        {"name": name, "in": "query", "description": field.pop("description"), "schema": field}
        for name, field in fields.items()
    ]
    file = {"type": "string", "format": "binary", "description": "The film, or its sound."}
    part = {"type": "object", "properties": {"audio_file": file}, "required": ["audio_file"]}
    return {
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": part}}},
    }
