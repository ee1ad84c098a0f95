"""One response: what a reply tells, as the events of OpenAI's Realtime wire, in their order."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np

from voice_stack.chat.events import SAMPLE_RATE, ReplyDone, ReplyEvent, Sound, TextDelta
from voice_stack.chat.realtime.items import Item, Part, Status
from voice_stack.chat.realtime.settings import ReplySettings
from voice_stack.chat.reply import ReplyRecord
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.realtime import Event, make_id
from voice_stack.language_model.deltas import ToolCall
from voice_stack.utils.audio import g711
from voice_stack.utils.audio.pcm import Resampler, to_int16
from voice_stack.utils.live_settings import AudioFormat

_FULL_SCALE = np.float32(1 / 32767)
PIECE_S = 0.2
"""Most sound of one event: clients take no more than 256 KiB, and stop within a piece."""
_LAWS: dict[str, g711.Law] = {"audio/pcmu": "pcmu", "audio/pcma": "pcma"}
CancelReason = Literal["turn_detected", "client_cancelled"]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""By the reason for which a model ended; all others are good ones."""


def make_event(kind: str, **fields: object) -> Event:
    """An event with an id of its own."""
    return {"type": kind, "event_id": make_id("event"), **fields}


class _SoundWriter:
    """Samples as a session's sound is written, in pieces for one event each."""

    def __init__(self, written: AudioFormat) -> None:
        self._law = _LAWS.get(written.type)
        self._resampler = Resampler(SAMPLE_RATE, g711.RATE) if self._law else None
        self._piece_bytes = int(PIECE_S * (2 * SAMPLE_RATE if self._law is None else g711.RATE))

    def write(self, samples: bytes) -> Iterator[str]:
        """Base64 of what is ready."""
        if self._law is None or self._resampler is None:
            return self._cut(samples)
        values = np.frombuffer(samples, "<i2").astype(np.float32) * _FULL_SCALE
        return self._cut(g711.encode(to_int16(self._resampler.push(values)), self._law))

    def finish(self) -> Iterator[str]:
        """What the filter still holds."""
        if self._law is None or self._resampler is None:
            return iter(())
        return self._cut(g711.encode(to_int16(self._resampler.finish()), self._law))

    def _cut(self, data: bytes) -> Iterator[str]:
        for start in range(0, len(data), self._piece_bytes):
            yield base64.b64encode(data[start : start + self._piece_bytes]).decode()


class Response:
    """One response.

    Args:
        settings: What it is like.
        voice: The name that is shown.
        conversation_id: None: it is out of band.
        place: Puts an item at the end of the conversation; returns the id of the one before it.
        metadata: The client's own.

    Attributes:
        id: `resp_...`.
        has_sound: Something of it can be heard.
    """

    def __init__(
        self,
        settings: ReplySettings,
        voice: str,
        conversation_id: str | None,
        place: Callable[[Item], str | None],
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self.id, self.settings, self.has_sound = make_id("resp"), settings, False
        self._voice, self._conversation_id, self._place, self._metadata = voice, conversation_id, place, metadata
        self._output = list[Item]()
        self._message: Item | None = None
        self._index, self._record = 0, ReplyRecord()
        self._writer = _SoundWriter(settings.sound.format)

    @property
    def is_in_conversation(self) -> bool:
        """Whether its items become part of it."""
        return self._conversation_id is not None

    def open(self) -> list[Event]:
        """It has begun."""
        return [make_event("response.created", response=self._show("in_progress"))]

    def take(self, told: ReplyEvent) -> list[Event]:
        """What is to be sent of what a reply tells; thoughts are for nobody."""
        self._record.take(told)
        match told:
            case TextDelta():
                opening = self._open_message()
                kind = "output_audio_transcript" if self.settings.is_spoken else "output_text"
                return [*opening, self._of_part(f"response.{kind}.delta", delta=told.delta)]
            case Sound():
                opening = self._open_message()
                self._require_message().audio_ms = self._record.sound_ms
                self.has_sound = True
                return [*opening, *self._sound(self._writer.write(told.samples))]
            case ToolCall():
                return self._call(told)
            case ReplyDone():
                return self._end(told)
        return []

    def cancel(self, reason: CancelReason) -> list[Event]:
        """Nothing more comes of it: what was not sent as sound was not said."""
        item = self._message if self._message is not None and self._message.status == "in_progress" else None
        events = [*self._close("incomplete"), self._done("cancelled", {"type": "cancelled", "reason": reason})]
        if item is not None and self.settings.is_spoken:
            item.cut(item.audio_ms)
        return events

    def fail(self, error: VoiceStackError) -> list[Event]:
        """It has failed; what was said stays."""
        return [*self._close("incomplete"), self._done("failed", _failure(error))]

    def _end(self, done: ReplyDone) -> list[Event]:
        usage = _count(done.usage)
        if done.tts_error is not None:
            return [*self._close("completed"), self._done("failed", _failure(done.tts_error), usage)]
        reason = _INCOMPLETE.get(done.finish_reason)
        if reason is None:
            return [*self._close("completed"), self._done("completed", {"type": "completed"}, usage)]
        return [*self._close("incomplete"), self._done("incomplete", {"type": "incomplete", "reason": reason}, usage)]

    def _show(self, status: str, details: Event | None = None, usage: Event | None = None) -> Event:
        sound = self.settings.sound
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [item.show() for item in self._output],
            "conversation_id": self._conversation_id,
            "output_modalities": [self.settings.output_modalities],
            "max_output_tokens": self.settings.max_output_tokens,
            "audio": {"output": {"format": sound.format.show(), "voice": self._voice}},
            "usage": usage,
            "metadata": self._metadata,
        }

    def _done(self, status: str, details: Event, usage: Event | None = None) -> Event:
        return make_event("response.done", response=self._show(status, details, usage))

    def _add(self, item: Item) -> list[Event]:
        """A new item of the output, as it is at first."""
        self._output.append(item)
        events = [
            make_event(
                "response.output_item.added", response_id=self.id, output_index=len(self._output) - 1, item=item.show()
            )
        ]
        if self.is_in_conversation:
            before = self._place(item)
            events.append(make_event("conversation.item.added", item=item.show(), previous_item_id=before))
        return events

    def _complete(self, item: Item) -> list[Event]:
        index = self._output.index(item)
        events = [
            make_event("response.output_item.done", response_id=self.id, output_index=index, item=item.show()),
        ]
        if self.is_in_conversation:
            events.append(make_event("conversation.item.done", item=item.show()))
        return events

    def _open_message(self) -> list[Event]:
        if self._message is not None:
            return []
        self._message = Item(make_id("item"), "message", "assistant", status="in_progress", reply=self._record)
        events = self._add(self._message)
        self._index = len(self._output) - 1
        part = {"type": "audio", "transcript": ""} if self.settings.is_spoken else {"type": "text", "text": ""}
        return [*events, self._of_part("response.content_part.added", part=part)]

    def _require_message(self) -> Item:
        assert self._message is not None
        return self._message

    def _of_part(self, kind: str, **fields: object) -> Event:
        place = {"response_id": self.id, "item_id": self._require_message().id, "output_index": self._index}
        return make_event(kind, **place, content_index=0, **fields)

    def _sound(self, pieces: Iterator[str]) -> list[Event]:
        return [self._of_part("response.output_audio.delta", delta=piece) for piece in pieces]

    def _close(self, status: Status) -> list[Event]:
        """End the message: its sound, its text, its part, itself."""
        if (item := self._message) is None:
            return []
        spoken, text = self.settings.is_spoken, self._record.text
        if item.status == "in_progress":  # otherwise the client has cut it
            item.status, item.parts = status, [Part("output_audio" if spoken else "output_text", text)]
        if spoken:
            ends = self._sound(self._writer.finish()) if status == "completed" else []
            ends.append(self._of_part("response.output_audio.done"))
            ends.append(self._of_part("response.output_audio_transcript.done", transcript=text))
            part = {"type": "audio", "transcript": text}
        else:
            ends = [self._of_part("response.output_text.done", text=text)]
            part = {"type": "text", "text": text}
        ends.append(self._of_part("response.content_part.done", part=part))
        self._message = None
        return [*ends, *self._complete(item)]

    def _call(self, told: ToolCall) -> list[Event]:
        call_id = told.id or make_id("call")
        item = Item(
            make_id("item"), "function_call", "assistant", status="in_progress", call_id=call_id, name=told.name
        )
        events = self._add(item)
        place = {"response_id": self.id, "item_id": item.id, "output_index": len(self._output) - 1}
        item.status, item.data = "completed", told.arguments
        kind = "response.function_call_arguments"
        return [
            *events,
            make_event(f"{kind}.delta", **place, call_id=call_id, delta=told.arguments),
            make_event(f"{kind}.done", **place, call_id=call_id, arguments=told.arguments, name=told.name),
            *self._complete(item),
        ]


def _failure(error: VoiceStackError) -> Event:
    told = error.body()["error"]
    return {"type": "failed", "error": {name: told[name] for name in ("type", "code", "message") if told[name]}}


def _count(usage: Mapping[str, object]) -> Event | None:
    """Tokens in the words of this wire; None where the model did not count."""

    def number(counted: object, name: str) -> int:
        value = counted.get(name) if isinstance(counted, Mapping) else None
        return value if isinstance(value, int) else 0

    if not usage:
        return None
    sent, said = number(usage, "prompt_tokens"), number(usage, "completion_tokens")
    cached = number(usage.get("prompt_tokens_details"), "cached_tokens")
    return {
        "total_tokens": number(usage, "total_tokens") or sent + said,
        "input_tokens": sent,
        "output_tokens": said,
        "input_token_details": {"text_tokens": sent, "audio_tokens": 0, "cached_tokens": cached},
        "output_token_details": {"text_tokens": said, "audio_tokens": 0},
    }
