"""Speeches of several sentences made one sound: asked for ahead, passed on in order, with the pauses between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np

from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.events import SAMPLE_RATE, Sentence
from voice_stack.chat.servers import SpeechServers
from voice_stack.core.errors import VoiceStackError

NOTHING_TO_SPEAK = "nothing_to_speak"
"""The code of the TTS server's error for a text that is nothing but what nobody reads aloud."""
SPEECHES_AT_ONCE = 2
"""One is passed on, and the next is made: more would be work for nobody, when the user interrupts."""
CHUNKS_AHEAD = 64
QUIET = 100
"""A sample below this, -50 dBFS, is silence."""
EDGE_S = 0.1
"""Most silence that is left of a speech's own between two of them."""
_BYTES = 2


class SoundJoiner:
    """Puts speeches one after the other, with the right silence between them: what they bring themselves counts.

    Attributes:
        given: Samples so far.
    """

    def __init__(self) -> None:
        self.given = 0
        self._pause = 0
        self._tail = self._lead = b""
        self._is_silent = True

    def begin(self, pause_s: float) -> None:
        """Another speech begins, so many seconds from the last sound of the one before to its first sound."""
        self._pause, self._lead, self._is_silent = round(pause_s * SAMPLE_RATE), b"", True

    def push(self, samples: bytes) -> tuple[bytes, bytes]:
        """Take further samples of the speech.

        Args:
            samples: s16le, mono, 24 kHz.

        Returns:
            The pause before the speech, when its sound begins, and its sound but for the silence at the end.
        """
        pause, held = b"", (self._lead if self._is_silent else self._tail) + samples
        start, end = _find_sound(held)
        if self._is_silent:
            if start == end:
                self._lead = held[-_length(EDGE_S) :]
                return b"", b""
            start = max(start - _length(EDGE_S), 0) if self.given else 0
            pause = self._make_pause(held[start:end])
            self._is_silent, self._lead = False, b""
        else:
            start = 0
        self._tail = held[end:]
        self.given += (len(pause) + end - start) // _BYTES
        return pause, held[start:end]

    def finish(self) -> bytes:
        """The silence at the very end."""
        rest, self._tail = self._tail, b""
        self.given += len(rest) // _BYTES
        return rest

    def _make_pause(self, sound: bytes) -> bytes:
        if not self.given:
            return b""
        tail, (lead, _) = self._tail[: _length(EDGE_S)], _find_sound(sound)
        return tail + bytes(max(self._pause * _BYTES - len(tail) - lead, 0))


def _length(duration_s: float) -> int:
    """In bytes."""
    return round(duration_s * SAMPLE_RATE) * _BYTES


def _find_sound(samples: bytes) -> tuple[int, int]:
    """Where sound begins and ends, in bytes; two equal numbers where there is none."""
    values = np.frombuffer(samples, "<i2")
    (loud,) = np.nonzero((values > QUIET) | (values < -QUIET))
    return (int(loud[0]) * _BYTES, (int(loud[-1]) + 1) * _BYTES) if loud.size else (0, 0)


@dataclass(slots=True)
class Speech:
    """A sentence on its way to being heard.

    Attributes:
        pause_s: From the last sound before it to its first.
        error: Why no more of it came.
    """

    sentence: Sentence
    pause_s: float
    error: VoiceStackError | None = None
    _chunks: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(CHUNKS_AHEAD))

    async def sound(self) -> AsyncIterator[bytes]:
        """Its samples, as they come."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def fetch(self, servers: SpeechServers, voice: VoiceChoice, caller: Caller, ignored: set[str]) -> None:
        """Have it spoken."""
        if self.sentence.emotion:
            voice = replace(voice, emotion=self.sentence.emotion)
        try:
            async with aclosing(servers.speak(self.sentence.text, voice, caller, ignored=ignored)) as chunks:
                async for chunk in chunks:
                    await self._chunks.put(chunk)
        except VoiceStackError as error:
            self.error = error if error.code != NOTHING_TO_SPEAK else None
        await self._chunks.put(None)
