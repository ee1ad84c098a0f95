"""The events of a turn as JSON, and the sound of a reply in the format that is asked for."""

import base64
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

from voice_stack.chat.api.sessions import describe_message
from voice_stack.chat.conversation import Message
from voice_stack.chat.events import (
    Heard,
    ReasoningDelta,
    Sentence,
    Sound,
    TextDelta,
)
from voice_stack.chat.reply_sound import ReplyEncoder
from voice_stack.chat.turn_events import TurnDone, TurnError, TurnEvent
from voice_stack.language_model.deltas import ToolCall


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """Further sound of a reply, as it is sent; `index` and `offset_ms` are those of what it was made of last."""

    index: int
    offset_ms: int
    data: bytes

    def describe(self) -> dict[str, object]:
        """It, in JSON."""
        data = base64.b64encode(self.data).decode()
        return {"type": "audio.delta", "index": self.index, "offset_ms": self.offset_ms, "data": data}


class TurnRenderer:
    """What clients are told of turns.

    Args:
        prefix: Of the API's paths, as clients know it.
        shows_reasoning: They are told the model's thoughts.
    """

    def __init__(self, prefix: str, *, shows_reasoning: bool) -> None:
        self._prefix, self._shows_reasoning = prefix, shows_reasoning

    async def render(
        self, events: AsyncIterable[TurnEvent], encoder: ReplyEncoder
    ) -> AsyncGenerator[dict[str, object] | EncodedSound, None]:
        """Events as they are sent; the sound of the reply is one file on the whole."""
        last: Sound | None = None
        async for event in events:
            data = b""
            if isinstance(event, Sound):
                last, data = event, await encoder.push(event.samples)
            elif isinstance(event, TurnDone) and last is not None:
                data = await encoder.finish()
            if data and last is not None:
                yield EncodedSound(last.index, last.offset_ms, data)
            if (told := self.event(event)) is not None:
                yield told

    def event(self, event: TurnEvent) -> dict[str, object] | None:
        """An event without its sound; None where there is nothing to tell."""
        match event:
            case Heard():
                return {"type": "transcript", **self.transcript(event)}
            case ReasoningDelta(delta):
                return {"type": "reasoning.delta", "delta": delta} if self._shows_reasoning else None
            case TextDelta(delta):
                return {"type": "text.delta", "delta": delta}
            case Sentence(index, text, emotion):
                told: dict[str, object] = {"type": "sentence", "index": index, "text": text}
                return told | ({"emotion": emotion} if emotion else {})
            case ToolCall():
                return {"type": "tool_call", "id": event.id, "name": event.name, "arguments": event.arguments}
            case TurnError(error, stage):
                return {"type": "error", "stage": stage, **error.body()}
            case TurnDone():
                return {"type": "done", **self.done(event)}
        return None

    def transcript(self, heard: Heard) -> dict[str, object]:
        """What the user said."""
        return {
            "text": heard.text,
            "language": heard.language,
            "confidence": None if heard.confidence is None else round(heard.confidence, 4),
            "duration": round(heard.duration_s, 3),
        }

    def done(self, done: TurnDone) -> dict[str, object]:
        """How a turn ended."""
        sentences = [{"text": one.text, "start_ms": one.start_ms, "end_ms": one.end_ms} for one in done.sentences]
        return {
            "status": done.status,
            "finish_reason": done.finish_reason,
            "message": self.message(done.message) if done.message else None,
            "user_message_id": done.user.id if done.user else None,
            "sentences": sentences,
            "cache": done.cache,
            "ignored_fields": [*done.ignored],
        }

    def interruption(self, done: TurnDone | None) -> dict[str, object]:
        """What an interruption has done; None: nothing was being said."""
        message = self.message(done.message) if done is not None and done.message is not None else None
        return {"interrupted": done is not None and done.status == "interrupted", "message": message}

    def message(self, message: Message) -> dict[str, object]:
        """A message as it is kept."""
        unseen = set[str]() if self._shows_reasoning else {"reasoning"}
        return describe_message(message, self._prefix).model_dump(mode="json", exclude=unseen)
