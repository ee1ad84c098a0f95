"""The fields a client may send with audio, and how clients spell their values.

Lists come with `[]` or without, as repeated fields or as one JSON array; objects as bracketed fields
(`chunking_strategy[type]=server_vad`) or as one JSON object. A field that is empty counts as absent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_stack.asr.request import KnownVoice
from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.core.http.form import Form
from voice_stack.core.http.uploads import read_json
from voice_stack.core.system.files import check_name

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


Granularity = Literal["word", "segment"]
MAX_MS = 60_000
MAX_KEYWORDS = 100
MAX_SPEAKERS = 32

REFERENCES = "known_speaker_references"
MAX_KNOWN_SPEAKERS = 32
"""OpenAI takes four: this is what one round of a large meeting needs."""
MAX_REFERENCE_BYTES = 4 << 20
"""10 s of WAV at 48 kHz, 24 bit, stereo are 2.9 MB."""


def read_known_speakers(names: Sequence[str], form: Form) -> tuple[KnownVoice, ...]:
    """The voices that a form names, each with its recording, paired in the order in which they were sent.

    Args:
        names: The field `known_speaker_names`.
        form: As received; the recordings are its small files.

    Raises:
        InvalidRequestError: Names and recordings do not pair, or a name is none, or two speakers have the same.
        UnsupportedValueError: The recordings came otherwise than in a form.
    """
    if any(_split_name(sent)[0] == REFERENCES and any(given) for sent, given in form.fields.items()):
        raise UnsupportedValueError(f"{REFERENCES}: recordings of voices come in multipart/form-data", param=REFERENCES)
    if len(names) != len(form.small_files):
        raise InvalidRequestError(
            f"known_speaker_names and {REFERENCES} go in pairs: there are {len(names)} names and "
            f"{len(form.small_files)} recordings",
            param=REFERENCES if len(form.small_files) < len(names) else "known_speaker_names",
        )
    known = dict[str, KnownVoice]()
    for given, file in zip(names, form.small_files, strict=True):
        try:
            name = check_name(given)
        except ValueError as error:
            raise _bad_name(given, str(error)) from None
        if name in known:
            raise _bad_name(given, "two speakers have this name")
        known[name] = KnownVoice(name, file.path)
    return tuple(known.values())


def _bad_name(given: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"known_speaker_names: {given[:100]!r}: {reason}", param="known_speaker_names")


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
    response_format: str = Field(
        "json", description="json, text, srt, verbose_json, vtt, diarized_json; extensions: tsv, jsonl, lrc."
    )
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
    multilingual: bool | None = Field(
        None, description="Extension: false holds a file whose language has to be found to one language."
    )
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
    diarize: bool | None = Field(None, description="Extension: whether it is told who speaks, in every format.")
    num_speakers: int | None = Field(None, ge=1, le=MAX_SPEAKERS, description="Extension: so many speak.")
    min_speakers: int | None = Field(None, ge=1, le=MAX_SPEAKERS, description="Extension: at least so many speak.")
    max_speakers: int | None = Field(None, ge=1, le=MAX_SPEAKERS, description="Extension: at most so many speak.")
    known_speaker_names: tuple[str, ...] = Field((), description="Who is called by name where they speak.")
    known_speaker_references: tuple[str, ...] = Field((), description="A recording of each, 2 to 10 s, as data URL.")
    target_language: str | None = Field(
        None,
        max_length=40,
        description="Extension: what is said is put into this language, `de` or `pt-BR`, cue by cue, by the language "
        "model of `ASR_LLM_URL`; all fields are those of transcriptions then.",
    )
    original: bool = Field(False, description="Extension: with `target_language`, what was said stands beside it.")


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


MAX_TEXT_CHARS = 200_000
"""Some three hours of speech."""


class AlignmentForm(BaseModel):
    """Fields of `POST /audio/alignments`; a field that is empty counts as absent."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(max_length=MAX_TEXT_CHARS, description="What is said; its sentences and short lines are timed.")
    model: str = Field("whisper-1", max_length=200, description="`whisper-1` or any model of `GET /models`.")
    language: str | None = Field(None, description="Spoken language, as `en`; found from the audio if absent.")
    response_format: Literal["json", "srt", "vtt"] = Field("json", description="json, srt or vtt.")
    vad_filter: bool | None = Field(None, description="Whether silence is left out; not for songs.")
    max_line_width: int | None = Field(None, ge=8, le=200, description="Characters of a subtitle line.")
    max_lines: int = Field(2, ge=1, le=10, description="Lines of a subtitle.")
    background: bool = Field(False, description="Answer 202 with a job at once; its result is fetched later.")
    webhook_url: str | None = Field(
        None, max_length=2000, description="With `background`, told when the job is over; see transcriptions."
    )
    audio_track: str | None = Field(None, max_length=40, description="Which audio track, by number from 0 or language.")


MAX_GAP_S = 60.0


class DiarizationForm(BaseModel):
    """Fields of `POST /audio/diarization`; a field that is empty counts as absent."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(
        "", max_length=200, description="The server's model for speakers; with `include_text`, one for the text."
    )
    num_speakers: int = Field(0, ge=0, le=MAX_SPEAKERS, description="How many speak; 0: found out.")
    min_speakers: int = Field(0, ge=0, le=MAX_SPEAKERS, description="At least so many; 0: open.")
    max_speakers: int = Field(0, ge=0, le=MAX_SPEAKERS, description="At most so many; 0: open.")
    known_speaker_names: tuple[str, ...] = Field((), description="Who is called by name where they speak.")
    known_speaker_references: tuple[str, ...] = Field(
        (),
        description="A recording of each, 2 to 10 s of that voice alone, in the same order: a data URL or a file part.",
    )
    min_duration_on: float = Field(0.0, ge=0, le=MAX_GAP_S, description="Shorter turns are left out, in seconds.")
    min_duration_off: float = Field(0.0, ge=0, le=MAX_GAP_S, description="Shorter pauses are closed, in seconds.")
    include_text: bool = Field(False, description="What is said in each turn, too.")
    language: str = Field("", description="Spoken language, for `include_text`; found from the audio if absent.")
    response_format: Literal["json", "verbose_json", "rttm"] = Field("json", description="json, verbose_json or rttm.")
    audio_track: str | None = Field(None, max_length=40, description="Which audio track, by number from 0 or language.")


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
