"""The answers of the ASR server as the API docs show them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_stack.asr.rendering import JSON_TYPE, TEXT_TYPE, TRANSCRIPT_FORMATS
from voice_stack.core.http.api_docs import EVENT_STREAM, JSON, Responses, headers, texts


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Usage(_Open):
    """What was heard, in seconds or in tokens."""

    type: Literal["duration", "tokens"]


class WordObject(_Open):
    """A word and when it is said, in seconds."""

    word: str
    start: float
    end: float


class SegmentObject(_Open):
    """A stretch of speech."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    original: str | None = Field(None, description="With `original`: what `text` is a translation of.")


class TranscriptionObject(_Open):
    """`json`; the other fields are those of `verbose_json`."""

    text: str
    usage: Usage | None = None
    task: Literal["transcribe", "translate"] | None = None
    language: str | None = Field(None, description="English name.")
    duration: float | None = Field(None, description="Seconds.")
    segments: list[SegmentObject] | None = None
    words: list[WordObject] | None = None
    original: str | None = Field(None, description="With `original`: what `text` is a translation of.")


class DiarizedSegmentObject(BaseModel):
    """What somebody says; an event of a stream as well."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    text: str
    speaker: str = Field(description="A known name, or `A`, `B`, ...")
    original: str | None = Field(None, description="With `original`: what `text` is a translation of.")


class DiarizedObject(_Open):
    """`diarized_json`."""

    task: Literal["transcribe", "translate"]
    duration: float = Field(description="Seconds.")
    text: str
    segments: list[DiarizedSegmentObject]
    usage: Usage | None = None


class AlignedWordObject(BaseModel):
    """A word of the text and when it is said, in seconds; null: it is not in the sound."""

    word: str
    start: float | None
    end: float | None
    score: float = Field(description="How sure the model is that it is said there, 0 to 1.")


class AlignedSentenceObject(BaseModel):
    """A sentence or a short line of the text; the score is the mean of its words'."""

    text: str
    start: float | None
    end: float | None
    score: float


class AlignmentObject(_Open):
    """When a text is said."""

    task: Literal["align"]
    language: str = Field(description="English name.")
    duration: float = Field(description="Seconds.")
    text: str
    score: float = Field(description="Mean of all words' scores.")
    words: list[AlignedWordObject]
    sentences: list[AlignedSentenceObject]
    usage: Usage


class TurnObject(_Open):
    """Somebody speaks, in seconds; `name` and `name_score` where it is a known voice, `text` with `include_text`."""

    id: int
    speaker: str
    label: str
    start: float
    end: float
    text: str | None = None
    name: str | None = None
    name_score: float | None = None


class SpeakerObject(_Open):
    """What one speaker says in all."""

    id: str
    label: str
    total_speech_duration: float
    segment_count: int


class DiarizationObject(_Open):
    """Who speaks when; `speakers` with verbose_json, `text` and `language` with `include_text`."""

    task: Literal["diarize"]
    duration: float = Field(description="Seconds.")
    num_speakers: int
    segments: list[TurnObject]
    speakers: list[SpeakerObject] | None = None
    text: str | None = None
    language: str | None = None


class JobObject(_Open):
    """A background job, or a request that somebody waits for."""

    id: str
    object: Literal["transcription.job"]
    background: bool
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    created_at: int
    task: Literal["transcribe", "translate", "align", "diarize"]
    model: str
    response_format: str
    filename: str | None
    bytes: int
    percent: float | None
    eta_s: float | None
    queue_place: int | None


class JobList(BaseModel):
    """The newest jobs."""

    object: Literal["list"]
    data: list[JobObject]
    has_more: bool


class JobGone(BaseModel):
    """A job that was removed."""

    id: str
    object: Literal["transcription.job"]
    deleted: Literal[True]


class LanguageObject(BaseModel):
    """The language of a film."""

    detected_language: str = Field(description="English name.")
    language_code: str
    confidence: float


class DeepgramObject(BaseModel):
    """What Deepgram's clients get: `channels` with one alternative, `utterances` where they are asked for."""

    metadata: dict[str, object]
    results: dict[str, object]


_TEXTS = texts(item.media_type for item in TRANSCRIPT_FORMATS.values() if item.media_type != JSON_TYPE)
_HEADERS = headers(
    x_request_id="Names this request in the server's log.",
    x_ignored_fields="Fields that mean nothing here.",
    x_warnings="What of the file was not heard, separated by semicolons; absent where all was.",
)

TRANSCRIPT: Responses = {
    200: {
        "model": TranscriptionObject | DiarizedObject,
        "description": "The transcript in the format asked for.",
        "content": _TEXTS,
        "headers": _HEADERS,
    }
}
"""For a transcript that is waited for."""

ALIGNMENT: Responses = {
    200: {
        "model": AlignmentObject,
        "description": "The text with its times.",
        "content": texts([TRANSCRIPT_FORMATS["srt"].media_type]),
        "headers": _HEADERS,
    }
}
"""For an alignment that is waited for."""

DIARIZATION: Responses = {
    200: {"model": DiarizationObject, "content": texts([TEXT_TYPE]), "headers": _HEADERS, "description": "The turns."}
}

BACKGROUND: Responses = {202: {"model": JobObject, "description": "With `background`: the job that was begun."}}

TRANSCRIPT_OR_EVENTS: Responses = {
    200: {**TRANSCRIPT[200], "content": {**_TEXTS, **texts([EVENT_STREAM])}},
    **BACKGROUND,
}
"""For the route that streams as well."""

BAZARR_TRANSCRIPT: Responses = {200: {**TRANSCRIPT[200], "headers": {}, "content": {**_TEXTS, JSON: {}}}}
DETECTED_LANGUAGE: Responses = {200: {"model": LanguageObject}}
"""For Bazarr's routes."""
