"""The body of a speech request, checked: everything a client can get wrong is answered here."""

from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.form import check_fields
from voice_stack.tts.captions.sentences import Granularity
from voice_stack.tts.moods import MOODS
from voice_stack.utils.audio.encode import AUDIO_FORMATS
from voice_stack.utils.language import is_to_be_found
from voice_stack.utils.text.markup import Markup

MAX_INPUT_CHARS = 200_000
"""A novel's chapters, some three hours of speech; OpenAI's own limit is 4096."""


class SpeechBody(BaseModel):
    """Fields of `POST /audio/speech`; unknown ones are ignored, null counts as absent."""

    model: str = Field(min_length=1, max_length=200, description="`tts-1` or any model of `GET /models`.")
    input: str = Field(description="The text to speak.")
    voice: str = Field("alloy", min_length=1, max_length=200, description="A voice of `GET /audio/voices`.")
    response_format: str = Field("mp3", description=f"One of {', '.join(AUDIO_FORMATS)}.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the voice's own pace.")
    stream_format: Literal["audio", "sse"] = Field("audio", description="Bytes, or server-sent events.")
    instructions: str | None = Field(
        None,
        max_length=4096,
        description="How to speak, or as who, in words; where the model does not heed it, `x-ignored-fields` says so.",
    )
    emotion: str | None = Field(
        None,
        max_length=60,
        description=f"Mood of the voice: {', '.join(MOODS)}, or another word. Where the voice has none, "
        "`x-ignored-fields` says so.",
    )
    emotion_strength: float | None = Field(None, ge=0, le=1, description="How much of it.")
    language: str | None = Field(None, description="Language of the text, as `en`; found from the text if absent.")
    markup: Markup | None = Field(
        None, description="`auto`: markup is read as a person would; `plain`: as it stands. Absent: `TTS_MARKUP`."
    )
    stream: bool = Field(True, description="False: the answer waits for the whole speech and has exact lengths.")
    cache: bool = Field(True, description="False: the speech is made anew, and not kept.")
    timestamps: Granularity | None = Field(
        None, description="Times of words (true, `word`) or of sentences: events with `sse`, else see `x-captions`."
    )

    @property
    def is_heard_early(self) -> bool:
        """Whether somebody listens while it is spoken; else it is only wanted whole."""
        return self.stream or self.stream_format == "sse"

    @field_validator("voice", mode="before")
    @classmethod
    def _unwrap_id(cls, value: object) -> object:
        return value["id"] if isinstance(value, dict) and "id" in value else value

    @field_validator("emotion")
    @classmethod
    def _strip(cls, value: str | None) -> str | None:
        return (value or "").strip() or None

    @field_validator("language")
    @classmethod
    def _leave_open(cls, value: str | None) -> str | None:
        return None if value is None or is_to_be_found(value) else value

    @field_validator("speed", "emotion_strength", mode="before")
    @classmethod
    def _require_number(cls, value: object, info: ValidationInfo) -> object:
        # To Python, and so to pydantic, true is 1; and pydantic hands on no TypeError.
        if isinstance(value, bool):
            low, high = (0.25, 4) if info.field_name == "speed" else (0, 1)
            raise ValueError(f"a number from {low} to {high} is expected, not true or false")  # noqa: TRY004
        return value

    @field_validator("timestamps", mode="before")
    @classmethod
    def _name_finest(cls, value: object) -> object:
        return {True: "word", False: None}[value] if isinstance(value, bool) else value


def find_ignored_fields(body: Mapping[str, object], unheeded: Collection[str]) -> list[str]:
    """Names of the fields of a body, as sent, that have a value and change nothing.

    Args:
        body: What the client sent.
        unheeded: Fields that not all that speaks for it heeds.
    """
    heeded = SpeechBody.model_fields.keys() - set(unheeded)
    return [name for name, value in body.items() if name not in heeded and value != ""]


def check_speech(body: Mapping[str, object]) -> SpeechBody:
    """Check a decoded JSON body.

    Args:
        body: What the client sent; null counts as absent, and is left out.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    speech = check_fields(SpeechBody, body)
    if len(speech.input) > MAX_INPUT_CHARS:
        raise InvalidRequestError(
            f"the text has {len(speech.input)} characters, at most {MAX_INPUT_CHARS} are taken",
            param="input",
            code="string_above_max_length",
        )
    return speech
