"""The fields a client may send with audio, as they stand in the API docs."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_stack.asr.form.values import LIST_FIELDS, OBJECT_FIELDS

Granularity = Literal["word", "segment"]
MAX_MS = 60_000
MAX_KEYWORDS = 100


class ChunkingStrategy(BaseModel):
    """`chunking_strategy`: OpenAI's words for the options of the voice activity detector."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["auto", "server_vad"]
    threshold: float | None = Field(None, ge=0, le=1)
    prefix_padding_ms: int | None = Field(None, ge=0, le=MAX_MS)
    silence_duration_ms: int | None = Field(None, ge=0, le=MAX_MS)


class VadParameters(BaseModel):
    """`vad_parameters`: the detector's options by the names of the faster-whisper library."""

    model_config = ConfigDict(extra="ignore")

    threshold: float | None = Field(None, gt=0, lt=1)
    neg_threshold: float | None = Field(None, ge=0, lt=1)
    min_speech_duration_ms: int | None = Field(None, ge=0, le=MAX_MS)
    min_silence_duration_ms: int | None = Field(None, ge=0, le=MAX_MS)
    speech_pad_ms: int | None = Field(None, ge=0, le=MAX_MS)


class TranslationForm(BaseModel):
    """Fields of `POST /audio/translations`; a field that is empty counts as absent."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1, max_length=200, description="`whisper-1` or any model of `GET /models`.")
    prompt: str | None = Field(None, description="A sample of the style and of names to expect.")
    response_format: str = Field("json", description="json, text, srt, verbose_json, vtt; extensions: tsv, jsonl, lrc.")
    temperature: float = Field(0.0, ge=0, le=1, description="Where decoding starts.")
    beam_size: int | None = Field(None, ge=1, le=20, description="Extension: hypotheses kept while decoding.")
    hotwords: str | None = Field(None, max_length=4000, description="Extension: words to expect.")
    word_timestamps: bool = Field(False, description="Extension: words with times, in the formats that show them.")
    vad_filter: bool | None = Field(None, description="Extension: whether silence is left out.")
    vad_threshold: float | None = Field(None, gt=0, lt=1, description="Extension: probability that counts as speech.")
    min_silence_duration_ms: int | None = Field(
        None, ge=0, le=MAX_MS, description="Extension: silence that ends a stretch of speech."
    )
    speech_pad_ms: int | None = Field(
        None, ge=0, le=MAX_MS, description="Extension: audio kept before and after speech."
    )
    vad_parameters: VadParameters | None = Field(None, description="Extension: the same as one JSON object.")
    max_line_width: int | None = Field(None, ge=8, le=200, description="Extension: characters of a subtitle line.")
    max_lines: int = Field(2, ge=1, le=10, description="Extension: lines of a subtitle.")
    sdh: bool = Field(False, description="Extension: subtitles keep sound labels such as `[Music]`.")
    background: bool = Field(
        False, description="Extension: answer 202 with a job at once; its result is fetched later."
    )
    webhook_url: str | None = Field(
        None,
        max_length=2000,
        description="Extension: with `background`, told when the job is over; it must be allowed by the settings.",
    )
    audio_track: str | None = Field(
        None, max_length=40, description="Extension: which audio track, by number from 0 or by language."
    )


class TranscriptionForm(TranslationForm):
    """Fields of `POST /audio/transcriptions`; a field that is empty counts as absent."""

    language: str | None = Field(None, description="Spoken language, as `en`; found from the audio if absent.")
    languages: tuple[str, ...] = Field((), max_length=100, description="Languages it may be; limits the search.")
    keywords: tuple[str, ...] = Field((), max_length=MAX_KEYWORDS, description="Words to expect.")
    timestamp_granularities: frozenset[Granularity] = Field(
        frozenset({"segment"}), description="With verbose_json: `segment`, `word` or both."
    )
    include: frozenset[Literal["logprobs"]] = Field(
        frozenset(), description="`logprobs`: how probable each token was; with json or stream."
    )
    stream: bool = Field(False, description="Server-sent events: text as soon as it is final.")
    chunking_strategy: ChunkingStrategy | None = Field(
        None, description="`auto`, or `server_vad` with options, as bracketed fields or one JSON object."
    )
    known_speaker_names: tuple[str, ...] = Field((), description="Refused: speakers are not told apart here.")
    known_speaker_references: tuple[str, ...] = Field((), description="Refused: speakers are not told apart here.")


def form_body(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body for the API docs: the schema's fields as they are sent, and the file."""
    fields = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = fields.pop("$defs", {})
    fields["properties"] = {
        f"{name}[]" if name in LIST_FIELDS else name: _inline(field, definitions) if name in OBJECT_FIELDS else field
        for name, field in fields["properties"].items()
    }
    fields["properties"]["file"] = {"type": "string", "format": "binary", "description": "The audio."}
    fields["required"] = ["file", *fields.get("required", [])]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": fields}}}}


def _inline(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A field whose type is an object of its own, with that object's schema in its place."""
    choices = [
        definitions[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice for choice in field["anyOf"]
    ]
    return {**field, "anyOf": choices}
