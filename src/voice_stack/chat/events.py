"""What a turn tells, in the order in which it happens: JSON, SSE, WebSocket and OpenAI's forms render these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from voice_stack.core.errors import VoiceStackError
from voice_stack.language_model.deltas import ToolCall

SAMPLE_RATE = 24_000
"""Of all sound here: 16 bit, little-endian, mono."""
Stage = Literal["stt", "llm", "tts"]


@dataclass(frozen=True, slots=True)
class HeardSegment:
    """A stretch of what the user said, and when, in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What the user said.

    Attributes:
        text: Empty where nobody spoke.
        language: ISO 639-1, where it is known.
        confidence: exp of the mean log-probability of the tokens, 0..1; 0 where nothing was heard, 1 for typed text,
            None where the ASR server tells nothing of it.
        duration_s: Of the sound, seconds.
        segments: Its parts, where their times are known.
    """

    text: str
    language: str | None = None
    confidence: float | None = 1.0
    duration_s: float = 0.0
    segments: tuple[HeardSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Thoughts of the model: never spoken, never sent back to it."""

    delta: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Further visible text, without marks for the voice."""

    delta: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, or the first clause of a reply, that the TTS server has been given."""

    index: int
    text: str
    emotion: str | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """Further sound of the reply, in order.

    Attributes:
        index: Of the sentence; a pause belongs to the one before it.
        samples: s16le, mono, 24 kHz; whole samples.
        offset_ms: Where in the sound of the reply they begin.
    """

    index: int
    samples: bytes
    offset_ms: int


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """Where a sentence lies in the sound of the reply, in ms."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The last event of a reply that ended by itself.

    Attributes:
        text: All visible text.
        reasoning: All thoughts.
        finish_reason: As the model said: `stop`, `length`, `tool_calls`, `content_filter`; `error` where it broke off,
            which is raised behind this event.
        usage: Tokens, as the model counted them; empty where it did not.
        sentences: What was spoken, and when, each with what stands before it in the text.
        tts_error: Why nothing more was spoken, although the text went on.
        timings: Seconds since the reply was asked for, by stage: first_token (of any kind), first_text, first_sentence,
            first_audio, llm_done, done.
        ignored: Fields that changed nothing, as the TTS server said.
        written: The text with its marks for the voice, as the model wrote it.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    usage: Mapping[str, object] = field(default_factory=dict)
    sentences: tuple[SpokenSentence, ...] = ()
    tts_error: VoiceStackError | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    written: str = ""


ReplyEvent = ReasoningDelta | TextDelta | Sentence | Sound | ToolCall | ReplyDone
