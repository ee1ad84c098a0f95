"""The messages of OpenAI's chat with sound in them, as a language model of text gets them."""

import asyncio
import base64
import binascii
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from voice_stack.chat.conversation import Caller
from voice_stack.chat.events import SAMPLE_RATE
from voice_stack.chat.servers import SpeechServers
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, UnsupportedValueError
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedValues
from voice_stack.language_model.model import ChatMessage
from voice_stack.utils.audio.pcm import wav_header

KEPT_S = 3600.0
"""As long a reply may be named by the id of its sound; OpenAI says it in `expires_at`."""
MAX_KEPT = 10_000
MAX_KEPT_CHARS = 20_000_000
INPUT_FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "webm", "m4a", "mp4", "aac", "pcm16")
"""Of `input_audio`; OpenAI has the first two. The ASR server looks at the bytes; only `pcm16` has to be said."""
UNHEARD = "..."
"""What a message says in which nobody spoke: many models refuse an empty one."""
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")


class KeptTexts:
    """Texts by a key, each for an hour; where there are too many the oldest go first.

    Args:
        shared: Where replicas find them.
        kind: What they are called there.
    """

    def __init__(self, shared: SharedState, kind: str) -> None:
        self._texts: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._chars = 0
        self._shared = SharedValues(shared, kind, TypeAdapter(str), KEPT_S)

    async def keep(self, key: str, text: str) -> float:
        """Keep a text; until when, in seconds since 1970."""
        self._drop(key)
        expires_at = time.time() + KEPT_S
        self._texts[key] = expires_at, text
        self._chars += len(text)
        while len(self._texts) > MAX_KEPT or self._chars > MAX_KEPT_CHARS:
            self._drop(next(iter(self._texts)))
        await self._shared.keep(key, text)
        return expires_at

    async def find(self, key: str) -> str | None:
        """The text; None if it was not kept or is no more."""
        expires_at, text = self._texts.get(key, (0.0, ""))
        if expires_at > time.time():
            return text
        self._drop(key)
        return await self._shared.find(key)

    def _drop(self, key: str) -> None:
        self._chars -= len(self._texts.pop(key, (0.0, ""))[1])


def has_sound(messages: object) -> bool:
    """Whether there is sound in the messages, or the name of some."""
    return isinstance(messages, list) and any(
        isinstance(message, dict) and (_reply_of(message) is not None or any(map(_is_audio, _parts_of(message))))
        for message in messages
    )


class MessageReader:
    """Reads messages: sound becomes what is said in it, the id of a spoken reply what was said then.

    A client sends the whole conversation with each turn; what has been transcribed once is not again.

    Args:
        servers: Transcribes.
        shared: Where replicas find what was said.
    """

    def __init__(self, servers: SpeechServers, shared: SharedState = OFF) -> None:
        self._servers = servers
        self.replies = KeptTexts(shared, "reply_sound")
        self._heard = KeptTexts(shared, "heard_sound")

    async def read(self, messages: Sequence[ChatMessage], caller: Caller, model: str) -> list[ChatMessage]:
        """The messages without sound.

        Args:
            messages: As the client sent them.
            caller: Who asks.
            model: That transcribes.

        Raises:
            InvalidRequestError: The id of a reply is not known, or no longer.
            InvalidAudioError: There is no sound in what should be some.
            UnsupportedValueError: Its format is none that is taken.
            VoiceStackError: It cannot be transcribed.
        """
        return [await self._read(message, f"messages.{n}", caller, model) for n, message in enumerate(messages)]

    async def _read(self, message: ChatMessage, place: str, caller: Caller, model: str) -> ChatMessage:
        rest = {name: value for name, value in message.items() if name != "audio"}
        if (reply := _reply_of(message)) is not None:
            return rest | {"content": message.get("content") or await self._find_reply(reply, place)}
        parts = _parts_of(message)
        if not any(map(_is_audio, parts)):
            return rest
        read = [
            {"type": "text", "text": await self._hear(part, f"{place}.content.{n}", caller, model)}
            if _is_audio(part)
            else part
            for n, part in enumerate(parts)
        ]
        texts = [text for part in read if part.get("type") == "text" and isinstance(text := part.get("text"), str)]
        # Many templates of models take nothing but one text.
        return rest | {"content": "\n".join(texts) if len(texts) == len(read) else read}

    async def _find_reply(self, reply: Mapping[str, object], place: str) -> str:
        audio_id = reply.get("id")
        known = await self.replies.find(audio_id) if isinstance(audio_id, str) else None
        text = reply.get("transcript") if known is None else known
        if not isinstance(text, str):
            raise InvalidRequestError(
                f"No spoken reply has the id {str(audio_id)[:100]!r}, or not any more: they are known for an hour "
                "at most. Send what was said as the message's content.",
                param=f"{place}.audio.id",
                code="audio_not_found",
            )
        return text

    async def _hear(self, part: Mapping[str, object], place: str, caller: Caller, model: str) -> str:
        sound = part.get("input_audio")
        fields = sound if isinstance(sound, dict) else {}
        format_name, data = fields.get("format"), fields.get("data")
        if format_name is not None and format_name not in INPUT_FORMATS:
            raise UnsupportedValueError(
                f"{str(format_name)[:100]!r} is no format of sound. Formats: {', '.join(INPUT_FORMATS)}.",
                param=f"{place}.input_audio.format",
            )
        if not isinstance(data, str) or not data:
            raise InvalidAudioError("There is no base64 of a recording.", param=f"{place}.input_audio.data")
        file = await asyncio.to_thread(_decode, data, f"{place}.input_audio.data")
        if format_name == "pcm16":
            file = wav_header(len(file) // 2, SAMPLE_RATE) + file
        key = hashlib.sha256(f"{caller.authorization}\n{model}\n".encode() + file).hexdigest()
        text = await self._heard.find(key)
        if text is None:
            try:
                text = (await self._servers.transcribe(file, caller, model=model)).text or UNHEARD
            except InvalidRequestError as error:
                if error.param != "file":
                    raise
                raise InvalidAudioError(error.message, param=f"{place}.input_audio.data", code=error.code) from error
            await self._heard.keep(key, text)
        return text


def _decode(data: str, place: str) -> bytes:
    """The bytes of base64, or of a data URL with it; no other address is looked at."""
    found = _DATA_URL.match(data[:300])
    text = data[found.end() :] if found else data
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAudioError(f"This is no base64: {error}.", param=place) from None


def _reply_of(message: ChatMessage) -> Mapping[str, object] | None:
    audio = message.get("audio")
    return audio if message.get("role") == "assistant" and isinstance(audio, dict) else None


def _parts_of(message: ChatMessage) -> list[Mapping[str, object]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _is_audio(part: Mapping[str, object]) -> bool:
    return part.get("type") == "input_audio"
