"""The ear of a conversation: a transcription session at the ASR server, over its own WebSocket."""

import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from voice_stack.chat.socket_passing import open_behind
from voice_stack.core.errors import UpstreamError, VoiceStackError
from voice_stack.core.http.realtime import Event
from voice_stack.utils.audio import g711
from voice_stack.utils.live_settings import AudioFormat

MAX_WAITING_CHARS = 4 << 20
"""Of frames that wait for the connection; then the client is not read."""
_SERVER = "The ASR server (CHAT_ASR_URL)"
_APPEND = r'"type"\s*:\s*"input_audio_buffer\.append"'
_ID = r'"event_id"\s*:\s*"[^"\\]{0,512}"'
_SOUND_BEHIND = re.compile(rf'\s*\{{\s*(?:{_ID}\s*,\s*)?{_APPEND}\s*,\s*(?:{_ID}\s*,\s*)?"audio"\s*:\s*"')
_SOUND_BEFORE = re.compile(r'\s*\{\s*"audio"\s*:\s*"')
_END = re.compile(rf'"\s*(?:,\s*{_ID}\s*)?\}}\s*$')
_END_BEFORE = re.compile(rf'"\s*,\s*(?:{_ID}\s*,\s*)?{_APPEND}\s*(?:,\s*{_ID}\s*)?\}}\s*$')
_EDGE = 1_400
"""Characters at either end that hold all but the sound."""


def sound_ms(base64_chars: int, written: AudioFormat) -> float:
    """How long sound is that a client sent."""
    return base64_chars * 3 / 4 / (2 * written.rate / 1000 if written.type == "audio/pcm" else g711.RATE / 1000)


def find_sound(text: str) -> int | None:
    """How much base64 a frame carries that appends sound; None: it is another one, or has to be parsed to know.

    Sound is most of what a client sends, and goes on as it came: neither decoded nor parsed here.
    """
    head, tail = text[:_EDGE], text[-_EDGE:]
    if begin := _SOUND_BEHIND.match(head):
        end = _END.search(tail)
    elif begin := _SOUND_BEFORE.match(head):
        end = _END_BEFORE.search(tail)
    else:
        return None
    if end is None:
        return None
    stop = len(text) - len(tail) + end.start()
    return stop - begin.end() if text.find('"', begin.end(), stop) < 0 and stop >= begin.end() else None


class Listening:
    """One connection.

    Args:
        url: Of the API of the ASR server.
        authorization: For the ASR server, if it needs one.
        first: What it is told first.
        hear: Takes what it tells.

    Attributes:
        is_new: It was never there.
    """

    def __init__(
        self, url: str, authorization: str | None, first: Event, hear: Callable[[Event], Awaitable[None]]
    ) -> None:
        self._url = f"{url}/realtime?intent=transcription".replace("http", "ws", 1)
        self._hear, self.is_new = hear, True
        self._headers = [("authorization", authorization)] if authorization else []
        self._waiting, self._size = deque([json.dumps(first)]), 0
        self._has_more, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_more.set()

    async def feed(self, text: str) -> None:
        """Have a frame sent, as soon as that is possible."""
        self._waiting.append(text)
        self._size += len(text)
        self._has_more.set()
        while self._size > MAX_WAITING_CHARS:
            self._has_room.clear()
            await self._has_room.wait()

    async def run(self) -> VoiceStackError:
        """Until the connection ends; returns why."""
        try:
            async with open_behind(self._url, self._headers, ()) as socket:
                self.is_new = False
                sending = asyncio.create_task(self._send(socket))
                try:
                    async for message in socket:
                        event = json.loads(message)
                        if isinstance(event, dict):
                            await self._hear(event)
                finally:
                    sending.cancel()
        except InvalidStatus as refusal:
            return UpstreamError(f"{_SERVER} {_explain(refusal.response.status_code)}")
        except (OSError, InvalidHandshake, ConnectionClosed, ValueError):
            told = "cannot be reached: is it running, and is the setting right?" if self.is_new else "broke off."
            return UpstreamError(f"{_SERVER} {told}")
        finally:
            self._size = 0
            self._has_room.set()
        return UpstreamError(f"{_SERVER} has ended the session in which it listened.")

    async def _send(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # whoever reads is told why
            while await self._has_more.wait():
                self._has_more.clear()
                while self._waiting:
                    text = self._waiting.popleft()
                    await socket.send(text)
                    self._size = max(self._size - len(text), 0)
                    self._has_room.set()


def _explain(status: int) -> str:
    if status in {401, 403}:
        return f"takes neither CHAT_ASR_KEY nor the caller's key ({status})."
    if status in {429, 503}:
        return f"has no room for another session ({status})."
    return f"has no live sessions, without which nobody is heard ({status}); typed text is answered."
