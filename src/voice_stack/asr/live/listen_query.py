"""What the query of Deepgram's `/v1/listen` asks, of a file or of a live session."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voice_stack.asr.live.turns import Encoding, LiveRequest, SoundFormat, TurnRules
from voice_stack.asr.models import AsrCapabilities
from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.core.http.form import check_fields
from voice_stack.utils.audio.g711 import RATE as G711_RATE
from voice_stack.utils.language import find_characters, read_language

LEAST_ENDPOINTING_MS, USUAL_ENDPOINTING_S, WITHOUT_ENDPOINTING_S = 300, 0.5, 1.0
"""Silence that may end an utterance; what ends it where less or nothing is asked, for then pauses within a sentence
would be ends; and where no end is to be told."""
MAX_TERMS, MAX_TERMS_CHARS = 100, 4_000
MAX_SHOWN = 200
"""Characters of a client's words that an answer repeats."""
_ENCODINGS: dict[str, Encoding] = {"linear16": "pcm", "mulaw": "pcmu", "alaw": "pcma"}
_LISTS = frozenset({"keyterm", "keywords", "tag", "detect_language"})
_EVERYWHERE = frozenset(
    {"model", "version", "language", "keyterm", "keywords", "punctuate", "smart_format", "mip_opt_out", "tag"}
    | {"encoding", "sample_rate", "channels"}
)
_OF_FILES = {"detect_language", "diarize", "diarize_model", "paragraphs", "utterances", "utt_split"}
ASKED_OF_FILES = _EVERYWHERE | _OF_FILES
ASKED_LIVE = _EVERYWHERE | {"interim_results", "endpointing", "utterance_end_ms", "vad_events"}
"""What is heeded of a query for a file, and of one for a live session."""
_REFUSED = {
    "callback": "is not called here; background jobs of /v1/audio/transcriptions tell a webhook",
    "redact": "cannot be had: nothing is taken out of a text here",
}
"""What must not be passed over: somebody counts on it."""


class ListenQuery(BaseModel):
    """What is heeded of the query of `/v1/listen`."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field("", max_length=200, description="A model of `GET /models`; Deepgram's are the default model.")
    language: str | None = Field(None, description="As `en`; `multi`: any, and it may change; found if absent.")
    detect_language: tuple[str, ...] = Field((), description="`true`, or the languages that it may be.")
    keyterm: tuple[str, ...] = Field((), description="Words to expect; repeated.")
    keywords: tuple[str, ...] = Field((), description="The same as `word:weight`; the weight means nothing here.")
    punctuate: bool | None = Field(None, description="`false`: words alone, in small letters.")
    smart_format: bool = Field(False, description="Punctuation, whatever `punctuate` says, and paragraphs.")
    paragraphs: bool = Field(False, description="Sentences and paragraphs with their times.")
    utterances: bool = Field(False, description="Stretches of speech between pauses.")
    utt_split: float = Field(0.8, ge=0, le=60, description="A pause that divides them, in seconds.")
    diarize: bool = Field(False, description="Who says each word.")
    diarize_model: str | None = Field(None, max_length=40, description="The same; there is one such model here.")
    encoding: str | None = Field(None, max_length=40, description="Of bare samples: `linear16`, `mulaw` or `alaw`.")
    sample_rate: int | None = Field(None, ge=4_000, le=48_000, description="Of bare samples, in Hz.")
    channels: int = Field(1, ge=1, le=8, description="Of bare samples.")
    interim_results: bool = Field(False, description="Words while they are spoken.")
    endpointing: int | bool = Field(True, description="Silence that ends an utterance, in ms: 300 at least, else 500.")
    utterance_end_ms: int | None = Field(None, ge=100, le=60_000, description="`UtteranceEnd` after so long a gap.")
    vad_events: bool = Field(False, description="`SpeechStarted`.")
    tag: tuple[str, ...] = ()

    @field_validator("endpointing", mode="before")
    @classmethod
    def _read_number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 6 else value

    @property
    def is_multilingual(self) -> bool:
        """Whether the language may change on the way."""
        return (self.language or "").lower() == "multi"

    @property
    def language_name(self) -> str | None:
        """The one language that is named, if one is."""
        return None if self.is_multilingual else self.language

    @property
    def terms(self) -> list[str]:
        """Words to expect, of both kinds."""
        return [*self.keyterm, *(word.rpartition(":")[0] or word for word in self.keywords)]

    @property
    def is_bare(self) -> bool:
        """Words are shown without punctuation."""
        return self.punctuate is False and not self.smart_format

    @property
    def silence_s(self) -> float:
        """Silence that ends an utterance."""
        if self.endpointing is False:
            return WITHOUT_ENDPOINTING_S
        if self.endpointing is True or self.endpointing < LEAST_ENDPOINTING_MS:
            return USUAL_ENDPOINTING_S
        return self.endpointing / 1000

    def sound(self) -> SoundFormat:
        """How live sound is written.

        Raises:
            InvalidRequestError: That is not said, or it cannot be heard so.
        """
        law = _ENCODINGS.get(self.encoding or "")
        if law is None:
            told = f"encoding={self.encoding!r}: " if self.encoding else "you must provide encoding: "
            raise UnsupportedValueError(f"{told}live sound is one of {', '.join(_ENCODINGS)} here", param="encoding")
        if self.channels > 1:
            raise UnsupportedValueError(f"channels={self.channels}: live sound has one channel here", param="channels")
        if self.sample_rate is None:
            raise InvalidRequestError("you must provide sample_rate, in Hz", param="sample_rate")
        if law != "pcm" and self.sample_rate != G711_RATE:
            message = f"sample_rate={self.sample_rate}: {self.encoding} has {G711_RATE} Hz here"
            raise UnsupportedValueError(message, param="sample_rate")
        return SoundFormat(law, self.sample_rate)

    def ask(self, base: LiveRequest, can: AsrCapabilities) -> LiveRequest:
        """What a live session asks of the engine.

        Args:
            base: What the server's settings say.
            can: What the model can do.

        Raises:
            InvalidRequestError: A language has no such name, or the sound cannot be heard.
        """
        language = read_language(self.language_name)
        hotwords = join_terms(self.terms) if can.prompt else None
        code = language.code if language else None
        decode = replace(base.decode, language=code, hotwords=hotwords, word_timestamps=can.words)
        return replace(
            base,
            decode=decode,
            sound=self.sound(),
            rules=TurnRules("silence", silence_s=self.silence_s),
            characters=find_characters(self.language_name) or base.characters,
            multilingual=True if self.is_multilingual else base.multilingual,
            has_drafts=self.interim_results,
        )


def read_query(sent: Sequence[tuple[str, str]], heeded: frozenset[str]) -> tuple[ListenQuery, list[str]]:
    """The query, and names of what was sent and means nothing.

    Args:
        sent: Names and values in their order.
        heeded: `ASKED_OF_FILES` or `ASKED_LIVE`.

    Raises:
        InvalidRequestError: A value does not fit, or what is asked must not be passed over.
    """
    values: dict[str, object] = {}
    ignored: dict[str, None] = {}
    for name, value in sent:
        if value.lower() in {"", "false"} and name not in {"punctuate", "endpointing"}:
            continue
        if name in _REFUSED:
            raise UnsupportedValueError(f"{name}={value[:MAX_SHOWN]!r}: {name} {_REFUSED[name]}", param=name)
        if name not in heeded:
            ignored[name] = None
        elif name in _LISTS:
            known = values.setdefault(name, [])
            assert isinstance(known, list)
            known.append(value)
        else:
            values[name] = value
    return check_fields(ListenQuery, values), list(ignored)


def join_terms(terms: Sequence[str]) -> str | None:
    """Words to expect, as the engine takes them; so many as there is room for."""
    return ", ".join(terms)[:MAX_TERMS_CHARS] or None
