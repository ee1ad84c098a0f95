"""The items of a conversation: what a client makes, what is shown of each, and what the language model is told."""

import binascii
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voice_stack.chat.conversation import Message, MessageStatus, Role
from voice_stack.chat.reply import ReplyRecord, heard_text
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.realtime import MAX_ID_CHARS, Event, make_id
from voice_stack.utils.audio.pcm import wav_header
from voice_stack.utils.live_settings import AudioFormat

MAX_ITEMS, MAX_CHARS = 1_000, 4_000_000
"""Of a conversation that is kept."""
Kind = Literal["message", "function_call", "function_call_output"]
Status = Literal["in_progress", "completed", "incomplete"]
_CONTENT = {"user": ("input_text", "input_audio"), "assistant": ("output_text", "output_audio", "text", "audio")}
_G711_TAGS = {"audio/pcma": 6, "audio/pcmu": 7}
"""Of RIFF."""


@dataclass(slots=True)
class Part:
    """A part of a message; its text is None while it is not known what was said."""

    type: str
    text: str | None

    def show(self) -> Event:
        """As it is sent; what is not known yet is null, which agents in JavaScript insist on."""
        return {"type": self.type, "transcript" if self.type.endswith("audio") else "text": self.text}


@dataclass(slots=True)
class Item:
    """One item.

    Attributes:
        parts: Of a message.
        call_id: Of a function's call and of its output; `name` is the function, `data` the arguments or the output.
        failure: Why nobody knows what was said.
        reply: What it was made of, with the times of its sentences.
        audio_ms: The sound of it that was sent, or heard of it.
    """

    id: str
    kind: Kind = "message"
    role: Role = "user"
    parts: list[Part] = field(default_factory=list)
    status: Status = "completed"
    call_id: str = ""
    name: str = ""
    data: str = ""
    failure: Event | None = None
    reply: ReplyRecord | None = None
    audio_ms: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be known what was said."""
        return self.failure is None and any(part.text is None for part in self.parts)

    @property
    def text(self) -> str:
        """All that is said in it."""
        return "\n".join(part.text for part in self.parts if part.text)

    @property
    def size(self) -> int:
        """In characters."""
        return len(self.text) + len(self.data)

    def say(self, text: str) -> None:
        """It is known now what was said."""
        for part in self.parts:
            if part.text is None:
                part.text = text

    def cut(self, audio_end_ms: int) -> None:
        """Keep what was heard of a reply, up to there in its sound; what was not spoken here stays as it is."""
        if self.reply is None or (self.parts and self.parts[0].type != "output_audio"):
            return
        heard = heard_text(self.reply.sentences(), audio_end_ms)
        self.parts, self.status, self.audio_ms = [Part("output_audio", heard)], "incomplete", audio_end_ms

    def show(self) -> Event:
        """As it is sent."""
        named: Event = {"id": self.id, "object": "realtime.item", "type": self.kind, "status": self.status}
        match self.kind:
            case "message":
                return named | {"role": self.role, "content": [part.show() for part in self.parts]}
            case "function_call":
                return named | {"call_id": self.call_id, "name": self.name, "arguments": self.data}
        return named | {"call_id": self.call_id, "output": self.data}


class Items:
    """The items of a conversation, in their order; the oldest are forgotten where there are too many."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def find(self, item_id: object) -> Item | None:
        """The item of that id."""
        return self._items.get(item_id) if isinstance(item_id, str) else None

    def remove(self, item: Item) -> None:
        """Forget one."""
        del self._items[item.id]

    def place(self, item: Item, before: str | None = None) -> str | None:
        """Put one behind another, at the end, or in front of all (`root`); returns the id of the one before it."""
        if before is None:
            before = next(reversed(self._items), None)
            self._items[item.id] = item
        else:
            items = list(self)
            items.insert(0 if before == "root" else list(self._items).index(before) + 1, item)
            self._items = {one.id: one for one in items}
        size = sum(one.size for one in self)
        while len(self._items) > 1 and (len(self._items) > MAX_ITEMS or size > MAX_CHARS):
            size -= self._items.pop(next(iter(self._items))).size
        return None if before == "root" else before


def read_item(sent: object, written: AudioFormat) -> tuple[Item, bytes]:
    """An item that a client makes, and the file of its sound if it has one without a transcript.

    Args:
        sent: As it came.
        written: How the session's sound is written.

    Raises:
        InvalidRequestError: It is none, or holds what cannot be taken.
    """
    fields = sent if isinstance(sent, Mapping) else {}
    given, kind = fields.get("id"), fields.get("type")
    item_id = given if isinstance(given, str) and 0 < len(given) <= MAX_ID_CHARS else make_id("item")
    match kind:
        case "message":
            return _read_message(item_id, fields, written)
        case "function_call":
            name, data = _text(fields, "name"), _text(fields, "arguments")
            call_id = fields["call_id"] if isinstance(fields.get("call_id"), str) else make_id("call")
            return Item(item_id, "function_call", "assistant", call_id=call_id, name=name, data=data), b""
        case "function_call_output":
            output = Item(item_id, "function_call_output", "tool", call_id=_text(fields, "call_id"))
            output.data = _text(fields, "output")
            return output, b""
    kinds = "message, function_call, function_call_output"
    raise InvalidRequestError(f"{str(kind)[:60]!r} is no item; possible are {kinds}", param="item.type")


def _text(fields: Mapping[str, object], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise InvalidRequestError(f"item.{name} must be a string", param=f"item.{name}", code="invalid_value")
    return text


def _read_message(item_id: str, fields: Mapping[str, object], written: AudioFormat) -> tuple[Item, bytes]:
    role, content = fields.get("role"), fields.get("content")
    if role not in {"user", "assistant", "system"} or not isinstance(content, list):
        message = "a message has a role, one of user, assistant, system, and content, a list"
        raise InvalidRequestError(message, param="item", code="invalid_value")
    kinds, parts, sounds = _CONTENT.get(str(role), ("input_text",)), list[Part](), list[bytes]()
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in kinds:
            message = f"{str(kind)[:60]!r} is no content of {role}'s message; possible are {', '.join(kinds)}"
            raise InvalidRequestError(message, param="item.content", code="invalid_value")
        said = part.get("transcript" if kind.endswith("audio") else "text")
        if kind == "input_audio" and not isinstance(said, str):
            sounds.append(_decode(part.get("audio")))
            said = None
        elif not isinstance(said, str):
            said = ""
        parts.append(Part(kind if role != "assistant" else f"output_{kind.removeprefix('output_')}", said))
    item = Item(item_id, "message", role, parts)
    return item, _wrap(b"".join(sounds), written) if sounds else b""


def _decode(audio: object) -> bytes:
    try:
        return binascii.a2b_base64(audio, strict_mode=True) if isinstance(audio, str) else _no_sound()
    except ValueError as error:
        message = f"audio must be base64: {error}"
        raise InvalidRequestError(message, param="item.content.audio", code="invalid_value") from None


def _no_sound() -> bytes:
    raise ValueError("it is no string")


def _wrap(sound: bytes, written: AudioFormat) -> bytes:
    """A file of sound."""
    if written.type == "audio/pcm":
        return wav_header(len(sound) // 2, written.rate) + sound
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, _G711_TAGS[written.type], 1, 8_000, 8_000, 1, 8)
    riff = struct.pack("<4sI4s", b"RIFF", len(sound) + 36, b"WAVE")
    return riff + layout + struct.pack("<4sI", b"data", len(sound)) + sound


def as_messages(items: Iterable[Item]) -> Sequence[Message]:
    """What was said and called, as conversations are kept: calls of one reply together, their outputs behind them."""
    items = list(items)
    outputs = {item.call_id: item for item in items if item.kind == "function_call_output"}
    messages = list[Message]()
    calls, told = list[Item](), list[Item]()

    def end_calls() -> None:
        if calls:
            named = tuple(
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.data}}
                for call in calls
            )
            messages.append(Message(calls[0].id, "", 0.0, "assistant", tool_calls=named))
            messages.extend(Message(item.id, "", 0.0, "tool", item.data, tool_call_id=item.call_id) for item in told)
        calls.clear()
        told.clear()

    for item in items:
        match item.kind:
            case "function_call" if item.call_id in outputs:
                calls.append(item)
                told.append(outputs[item.call_id])
            case "message":
                end_calls()
                status: MessageStatus = "interrupted" if item.status == "incomplete" else "completed"
                messages.append(Message(item.id, "", 0.0, item.role, item.text, status=status))
    end_calls()
    return messages
