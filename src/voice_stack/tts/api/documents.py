"""The answers of the TTS server as the API docs show them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_stack.core.http.api_docs import EVENT_STREAM, JSON, Responses, binaries, headers, texts
from voice_stack.tts.captions.kept import CAPTION_FORMATS
from voice_stack.utils.audio.encode import AUDIO_FORMATS, RATED_FORMATS


class VoiceObject(BaseModel):
    """A voice; an uploaded one has more fields."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str
    language: str
    languages: list[str]
    engine: str
    model: str
    kind: Literal["built-in", "cloned", "alias"]
    description: str
    licence: str
    alias_of: str | None
    available: bool


class Cloning(BaseModel):
    """Whether recordings can speak here."""

    available: bool
    unavailable_reason: str | None
    requires_consent: bool = Field(description="Whether a voice needs a recorded consent.")


class VoiceList(BaseModel):
    """The voices there are."""

    voices: list[VoiceObject]
    cloning: Cloning


class VoiceFinding(BaseModel):
    """What is wrong with a recording."""

    code: str = Field(description="As `noisy` or `too_short`.")
    message: str
    refuses: bool = Field(description="Whether it cannot be used for that.")


class VoiceCheck(BaseModel):
    """How good a recording is for a voice."""

    object: Literal["audio.voice_check"] = "audio.voice_check"
    usable: bool
    findings: list[VoiceFinding]
    duration: float = Field(description="Seconds of it that count.")
    speech: float = Field(description="Seconds of speech in that.")


class ConsentObject(BaseModel):
    """A recorded consent."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["audio.voice_consent"]
    name: str
    language: str
    created_at: int


class ConsentPage(BaseModel):
    """A page of consents, newest first."""

    object: Literal["list"]
    data: list[ConsentObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(BaseModel):
    """What is gone."""

    id: str
    object: str
    deleted: Literal[True]


_SOUND = binaries(item.media_type for item in AUDIO_FORMATS.values())
_CACHED: Responses = {304: {"description": "The client has it already: its `If-None-Match` names it."}}
_HEADERS = headers(
    x_request_id="Names this request in the server's log.",
    x_cache="Where the speech comes from.",
    x_captions="With `timestamps`: where its captions are.",
    x_ignored_fields="Fields that mean nothing here.",
    x_duration_seconds="Of the speech, where all of it is there when the answer begins.",
    etag="Names this speech.",
)

SPEECH: Responses = {
    200: {
        "description": "The speech, as it is spoken.",
        "content": {**_SOUND, **texts([EVENT_STREAM])},
        "headers": _HEADERS,
    },
    **_CACHED,
}
SOUND: Responses = {
    200: {
        "description": "The speech.",
        "content": binaries(item.media_type for item in RATED_FORMATS.values()),
        "headers": headers(x_ignored_fields="Fields that mean nothing here.", request_id="Names this request."),
    }
}
"""For ElevenLabs' routes."""


class CharacterTimesObject(BaseModel):
    """When each character is said, in seconds."""

    characters: list[str]
    character_start_times_seconds: list[float]
    character_end_times_seconds: list[float]


class AlignedSpeechObject(BaseModel):
    """Speech and the times of its characters; of a stream one such object in each line."""

    audio_base64: str
    alignment: CharacterTimesObject | None
    normalized_alignment: CharacterTimesObject | None


ALIGNED_SPEECH: Responses = {200: {"model": AlignedSpeechObject}}
PREVIEW: Responses = {200: {"description": "How the voice sounds.", "content": _SOUND}, **_CACHED}
CAPTIONS: Responses = {
    200: {
        "description": "The captions in the format asked for.",
        "content": {
            **texts(item.media_type for item in CAPTION_FORMATS.values()),
            JSON: {"schema": {"type": "object", "required": ["id", "status", "duration", "sentences"]}},
        },
    }
}
