"""What a conversation is: its settings, its messages, who asks, and how it is spoken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MessageStatus = Literal["in_progress", "completed", "interrupted", "failed"]
SessionState = Literal["idle", "listening", "processing", "thinking", "speaking", "interrupted", "error", "ended"]
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what is passed on to the ASR and TTS servers.

    Attributes:
        authorization: The caller's header, used where no key of a server is set.
        request_id: Sent as `x-request-id`.
    """

    authorization: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """How a reply is spoken; None: as the TTS server does by itself."""

    voice: str
    model: str = "tts-1"
    language: str | None = None
    speed: float = 1.0
    instructions: str | None = None
    emotion: str | None = None
    emotion_strength: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation as it was set up.

    Attributes:
        id: `sess_...`.
        created_at: Seconds since 1970.
        updated_at: Of its last message or change.
        system: What the model is told first; None: the setting.
        role: Free, for the caller; part of the reply cache's key.
        voice: None: the setting.
        model: Of the language model; None: the setting.
        language: Spoken, ISO 639-1; None: found.
        speed: Of speech, 0.25..4.
        instructions: How to speak.
        emotion: Of the voice; `emotion_strength` is 0..1.
        tools: As OpenAI's chat has them.
        metadata: The caller's own.
        conversation_id: The caller's own name of the conversation; with `user_id` it is one session's alone.
        state: What it is doing.
    """

    id: str
    created_at: float
    updated_at: float
    system: str | None = None
    role: str = ""
    voice: str | None = None
    model: str | None = None
    language: str | None = None
    speed: float = 1.0
    instructions: str | None = None
    emotion: str | None = None
    emotion_strength: float | None = None
    tools: tuple[Mapping[str, object], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    conversation_id: str | None = None
    user_id: str | None = None
    state: SessionState = "idle"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it is kept.

    Attributes:
        id: `msg_...`.
        text: Of an interrupted reply: as far as it was heard.
        reasoning: The model's thoughts; never sent back to it.
        status: A reply that a crash cut off is `failed`.
        tool_calls: Of an assistant's message, as OpenAI's chat has them; `tool_call_id` of a tool's.
        confidence: Of a user's speech; `language`, `duration_seconds` as well.
        timings: Seconds by stage, as in `ReplyDone`.
        usage: As the model counted.
        spoken_chars: So much of a reply has gone to the TTS server.
        tts_error: Why the text is not, or not all, spoken.
    """

    id: str
    session_id: str
    created_at: float
    role: Role
    text: str = ""
    reasoning: str = ""
    status: MessageStatus = "completed"
    tool_calls: tuple[Mapping[str, object], ...] = ()
    tool_call_id: str | None = None
    confidence: float | None = None
    language: str | None = None
    duration_seconds: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, object] = field(default_factory=dict)
    spoken_chars: int = 0
    tts_error: str | None = None
