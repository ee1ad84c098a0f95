"""A live transcription as its door sees it: sound is fed, and what is heard comes back while more is to come."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from voice_stack.asr.live.turns import (
    Change,
    Clear,
    Cleared,
    Commit,
    LiveRequest,
    LiveSound,
    Muted,
    SpeechStarted,
    Told,
    TurnClosed,
    TurnDraft,
    TurnText,
)
from voice_stack.core.engine.handle import JobHandle

MUTED_GRACE_S = 1.0
"""Beyond the silence that ends a turn: sound that comes late is not taken for none."""
LEAST_BYTES, MOST_BYTES = 160, 1 << 18
"""Less sound, a packet of a telephone, waits for more: each piece takes memory of its own; more comes in parts."""
Piece = LiveSound | Commit | Clear | Change


class LiveTranscription:
    """One live transcription under way; lives on the event loop.

    Args:
        request: What was asked for.
        handle: The job in the engine.
    """

    def __init__(self, request: LiveRequest, handle: JobHandle) -> None:
        self.request, self.handle = request, handle
        self._is_open = False
        self._fed_at, self._waiting = 0.0, b""
        self._mute_timer: asyncio.TimerHandle | None = None
        self._muting: asyncio.Task[None] | None = None

    async def feed(self, piece: Piece) -> None:
        """Give it sound, or what else a client may do; waits while the engine is far behind."""
        if isinstance(piece, Change):
            self.request = piece.request
        if isinstance(piece, LiveSound):
            self._fed_at = asyncio.get_running_loop().time()
            self._waiting += piece.data
            if len(self._waiting) < LEAST_BYTES:
                return
        if self._waiting:
            sound, self._waiting = self._waiting, b""
            for start in range(0, len(sound), MOST_BYTES):
                await self.handle.feed(LiveSound(sound[start : start + MOST_BYTES]))
        if not isinstance(piece, LiveSound):
            await self.handle.feed(piece)

    def close(self) -> None:
        """No more sound comes: what is open is brought to its end."""
        self.handle.end_input()

    async def outputs(self) -> AsyncGenerator[Told | TurnDraft | TurnText]:
        """What is heard, as it comes; the job is cancelled if nobody reads on.

        Raises:
            VoiceStackError: The job failed.
        """
        try:
            async for output in self.handle.outputs():
                match output:
                    case SpeechStarted():
                        self._is_open = True
                        self._watch()
                    case TurnClosed() | Cleared():
                        self._is_open = False
                yield cast("Told | TurnDraft | TurnText", output)
        finally:
            if self._mute_timer is not None:
                self._mute_timer.cancel()
            self.handle.cancel()

    def _watch(self) -> None:
        """A muted microphone sends nothing, not even the silence that would end the turn."""
        loop = asyncio.get_running_loop()
        patience_s = self.request.rules.longest_pause_s + MUTED_GRACE_S
        left_s = self._fed_at + patience_s - loop.time()
        if not self._is_open or self.request.rules.kind == "none":
            return
        if left_s <= 0:
            self._muting = loop.create_task(self.handle.feed(Muted()))
            self._fed_at = loop.time()
            left_s = patience_s
        self._mute_timer = loop.call_later(left_s, self._watch)
