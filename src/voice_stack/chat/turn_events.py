"""What a turn of a conversation is asked, and what it tells."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from voice_stack.chat.cache import ReplyCache
from voice_stack.chat.conversation import Message, MessageStatus, Session, VoiceChoice
from voice_stack.chat.events import (
    Heard,
    ReasoningDelta,
    Sentence,
    Sound,
    SpokenSentence,
    Stage,
    TextDelta,
)
from voice_stack.chat.reply import Assistant
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.store import ConversationStore
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.context import CacheUse
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.ids import new_id
from voice_stack.language_model.deltas import ToolCall


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool that the model has called gave back."""

    call_id: str
    output: str


Said = SpooledFile | str | tuple[ToolResult, ...] | None
"""Speech, text, the results of tools; None: the model goes on from what there is."""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """How one turn differs from its session; None: it does not.

    Attributes:
        is_spoken: The reply is to be heard, not only read.
        language: That the user speaks, and the reply is spoken in.
        tools: As OpenAI's chat has them.
        cache: Whether a kept reply will do, and this one may be kept.
        key: The same key again is the same turn.
        interrupts: Whether it ends a reply that is being spoken; else that is a conflict.
        audio_end_ms: How much of that was heard.
    """

    is_spoken: bool = True
    voice: str | None = None
    speed: float | None = None
    language: str | None = None
    instructions: str | None = None
    emotion: str | None = None
    emotion_strength: float | None = None
    tools: tuple[Mapping[str, object], ...] | None = None
    cache: CacheUse = "usual"
    key: str | None = None
    interrupts: bool = False
    audio_end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TurnError:
    """Something failed. After `tts` the text goes on; else the turn is over."""

    error: VoiceStackError
    stage: Stage


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The last event of every turn.

    Attributes:
        status: Of the reply; `completed` without a reply where nobody spoke.
        user: The user's message as it is kept; None: there is none.
        message: The reply as it is kept; None: there is none.
        finish_reason: As the model said; `tool_calls`: the turn goes on with the tools' results.
        sentences: Where they lie in the sound.
        cache: `hit` or `miss`; None: it was not asked.
        ignored: Fields that changed nothing.
    """

    status: MessageStatus
    user: Message | None = None
    message: Message | None = None
    finish_reason: str = "stop"
    sentences: tuple[SpokenSentence, ...] = ()
    cache: str | None = None
    ignored: tuple[str, ...] = ()


TurnEvent = Heard | ReasoningDelta | TextDelta | Sentence | Sound | ToolCall | TurnError | TurnDone


@dataclass(frozen=True, slots=True)
class ToldTurn:
    """What a turn came to, for who asks for it again.

    Attributes:
        voice: How its reply was spoken; None: it was not.
        heard: What the user said, when that is known.
        calls: Of tools.
        failure: Why it failed, where that is still known.
        attempt: Which one of those under its key: from 0.
    """

    done: TurnDone
    voice: VoiceChoice | None
    heard: Heard | None = None
    calls: tuple[ToolCall, ...] = ()
    failure: TurnError | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class MessageIds:
    """Ids of the messages of one turn; with a key always the same, so that it is known again after a restart.

    Attributes:
        session_id: Which nobody can guess.
        key: Of the request; None: ids are random.
        digest: Of what is asked.
        attempt: As in `ToldTurn`.
    """

    session_id: str
    key: str | None = None
    digest: str = ""
    attempt: int = 0

    def asked(self, place: int = 0) -> str:
        """Of what the user says, or of a tool's result."""
        return self._make(f"asked {place} {self.digest}")

    def reply(self) -> str:
        """Of the reply."""
        return self._make(f"reply {self.attempt}")

    def _make(self, part: str) -> str:
        if self.key is None:
            return new_id("msg")
        named = f"{self.session_id}\n{part}\n{self.key}"
        return f"msg_{hashlib.sha256(named.encode(errors='surrogatepass')).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class TurnParts:
    """What turns are made with."""

    settings: ChatSettings
    store: ConversationStore
    servers: SpeechServers
    assistant: Assistant
    cache: ReplyCache


def voice_of(session: Session, options: TurnOptions, settings: ChatSettings) -> VoiceChoice:
    """How a reply is spoken."""
    return VoiceChoice(
        options.voice or session.voice or settings.voice,
        language=options.language or session.language,
        speed=options.speed or session.speed,
        instructions=options.instructions or session.instructions,
        emotion=options.emotion or session.emotion,
        emotion_strength=session.emotion_strength if options.emotion_strength is None else options.emotion_strength,
    )
