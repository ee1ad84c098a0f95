"""Replies that were given lately: the same question in the same conversation costs no second answer.

"Go on" or "another one" asked twice is not the same question: the key holds what was said before.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from voice_stack.chat.events import ReplyDone
from voice_stack.chat.settings import CacheMode
from voice_stack.core.http.context import CacheUse
from voice_stack.core.result_cache import ResultCache
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedValues
from voice_stack.core.telemetry.registry import CACHE
from voice_stack.language_model.model import ModelRequest

MAX_AGE_S = 30 * 60.0
MAX_REPLIES = 5_000
MAX_BYTES = 16 << 20


@dataclass
class _Flight:
    """Who makes a reply, and who waits for it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class ReplyCache:
    """Texts of replies, with their marks for the voice, by what they answer; lives on the event loop.

    Args:
        mode: What makes a question the same: `exact`, `query`; `off`: nothing does.
        clock: Seconds on a steady clock.
        shared: Where replicas find them.
    """

    def __init__(self, mode: CacheMode, clock: Callable[[], float] = time.monotonic, shared: SharedState = OFF) -> None:
        self._mode = mode
        self._texts = ResultCache[str](MAX_BYTES, MAX_AGE_S, clock, MAX_REPLIES)
        self._shared = SharedValues(shared, "reply", TypeAdapter(str), MAX_AGE_S)
        self._flights: dict[str, _Flight] = {}

    def key(self, request: ModelRequest, *, conversation: str = "", role: str = "") -> str | None:
        """What a question is told apart by; None where no reply may be kept: the model may call tools.

        Args:
            request: What the model is asked; its last message is the question.
            conversation: Whose it is: what others were told is no answer here.
            role: Of the session.
        """
        if self._mode == "off" or not request.messages or request.options.get("tools"):
            return None
        heard = [*request.messages]
        if self._mode == "query":
            heard = [message for message in heard[:-1] if message.get("role") == "system"] + heard[-1:]
        parts = (conversation, role, request.model, _canonical(request.options), _canonical(heard))
        digest = hashlib.sha256()
        for part in parts:
            content = part.encode(errors="surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()

    @asynccontextmanager
    async def flight(self, key: str | None, use: CacheUse = "usual") -> AsyncIterator[str | None]:
        """The text that is kept; None: whoever asks has it made, and others with that key wait until then.

        Args:
            key: Of the question; None: nothing is kept.
            use: What the request allows.
        """
        if key is None or use == "none":
            yield None
            return
        flight = self._flights.setdefault(key, _Flight())
        flight.users += 1
        try:
            async with flight.turn:
                text = await self._find(key) if use == "usual" else None
                CACHE.labels("replies", "miss" if text is None else "hit").inc()
                if text is None:
                    yield None
                    return
            yield text
        finally:
            flight.users -= 1
            if not flight.users:
                del self._flights[key]

    async def _find(self, key: str) -> str | None:
        packed = self._texts.find(key)
        return await self._shared.find(key) if packed is None else self._texts.unpack(packed)

    async def put(self, key: str | None, reply: ReplyDone, use: CacheUse = "usual") -> None:
        """Keep a reply that came to its end by itself; others are not kept."""
        if key is not None and use != "none" and reply.finish_reason == "stop" and reply.text.strip():
            text = reply.written or reply.text
            self._texts.keep(key, self._texts.pack(text))
            await self._shared.keep(key, text)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
