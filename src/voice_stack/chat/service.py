"""Conversations: whose turn it is, what interrupts it, and the same request sent again."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from voice_stack.chat.conversation import Caller, Session
from voice_stack.chat.events import Heard, ReplyDone, Sound
from voice_stack.chat.turn import Turn
from voice_stack.chat.turn_events import (
    MessageIds,
    Said,
    ToldTurn,
    TurnDone,
    TurnEvent,
    TurnOptions,
    TurnParts,
    voice_of,
)
from voice_stack.core.errors import ConflictError, InvalidRequestError, NotFoundError
from voice_stack.core.http.spool import SpooledFile
from voice_stack.language_model.deltas import ToolCall

IN_PROGRESS = "The reply to an earlier message is still being made: wait for its end, or send interrupt=true."
KEYS_KEPT = 1_000
KEYS_LAST_S = 3600.0
PLAYS_ON_S = 60.0
"""How long after its sound is over a reply may still be cut at what was heard: players hold some back."""


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A turn that may be asked for again."""

    turn: Turn
    digest: str
    until: float


class Conversations:
    """All conversations of a server.

    Args:
        parts: What turns are made with.
    """

    def __init__(self, parts: TurnParts) -> None:
        self.parts = parts
        self._last = dict[str, Turn]()
        """By session: the turn that is made, or the last one while its sound may still be heard."""
        self._keyed = OrderedDict[tuple[str, str], _Keyed]()

    async def turn(
        self, session_id: str, said: Said, caller: Caller, options: TurnOptions
    ) -> AsyncGenerator[TurnEvent, None]:
        """One turn; `TurnDone` is its last event, also when it is interrupted or fails.

        Args:
            session_id: Of the conversation.
            said: What the user says; a file has to stay until `Heard` is told.
            caller: Who asks.
            options: How it differs from the session.

        Raises:
            NotFoundError: There is no such conversation.
            ConflictError: Another turn is being made (`turn_in_progress`).
            InvalidRequestError: The key was used for something else.
        """
        session = await self.parts.store.require_session(session_id)
        digest = "" if options.key is None else await asyncio.to_thread(_digest, said, options)
        while True:
            before = self._find(session_id, options.key, digest)
            told = before.told if before is not None else await self._find_kept(session, said, options, digest)
            is_failed = told is not None and await self._is_to_be_tried_again(session_id, told)
            if self._find(session_id, options.key, digest) is before:
                break  # no other request with that key has begun meanwhile
        if before is not None and told is None:
            events = self._repeat(before.wait_told(), caller)
        elif told is not None and not is_failed:
            events = self._repeat(told, caller)
        else:
            if options.interrupts:
                await self.interrupt(session_id, options.audio_end_ms)
            if (running := self._last.get(session_id)) is not None and running.done is None:
                raise ConflictError(IN_PROGRESS, code="turn_in_progress")
            attempt = 0 if told is None else told.attempt + (told.done.message is not None)
            ids = MessageIds(session_id, options.key, digest, attempt)
            turn = Turn(self.parts, session, said, caller, options, ids, told)
            self._note(session_id, turn, digest)
            events = turn.events()
        async with aclosing(events):
            async for event in events:
                yield event

    async def interrupt(self, session_id: str, audio_end_ms: int | None = None) -> TurnDone | None:
        """Stop the reply of a conversation; what was heard of it is kept, also shortly after it has ended.

        Args:
            session_id: Of the conversation.
            audio_end_ms: How much of its sound was heard; None: what can have been heard by now.

        Returns:
            How the turn ended; None where nothing is being said.

        Raises:
            NotFoundError: There is no such conversation.
        """
        await self.parts.store.require_session(session_id)
        turn = self._last.get(session_id)
        return None if turn is None else await turn.interrupt(audio_end_ms)

    async def delete(self, session_id: str) -> None:
        """Stop the reply of a conversation, and remove all that is kept of it.

        Raises:
            NotFoundError: There is no such conversation.
        """
        await self.interrupt(session_id)
        await self.parts.store.delete_session(session_id)
        self._last.pop(session_id, None)
        for keyed in [keyed for keyed in self._keyed if keyed[0] == session_id]:
            del self._keyed[keyed]

    async def read_out(self, session_id: str, message_id: str, caller: Caller) -> AsyncGenerator[Sound, None]:
        """The sound of a reply that is kept, spoken anew in the voice of the session.

        Raises:
            NotFoundError: There is no such message, or nothing to be heard of it.
            VoiceStackError: It cannot be spoken.
        """
        session = await self.parts.store.require_session(session_id)
        message = await self.parts.store.require_message(session_id, message_id)
        if message.role != "assistant" or not message.text:
            raise NotFoundError(
                "Of this message there is no sound: replies can be heard again, what users said is not kept."
            )
        voice = voice_of(session, TurnOptions(), self.parts.settings)
        async with aclosing(self.parts.assistant.say(message.text, voice, caller)) as events:
            async for event in events:
                if isinstance(event, Sound):
                    yield event
                elif isinstance(event, ReplyDone) and event.tts_error is not None:
                    raise event.tts_error

    async def close(self) -> None:
        """End all turns, at the server's end: they are kept as far as they were heard."""
        running = [turn for turn in self._last.values() if turn.done is None]
        await asyncio.gather(*(turn.interrupt() for turn in running))

    def _note(self, session_id: str, turn: Turn, digest: str) -> None:
        self._last[session_id] = turn
        if turn.options.key is not None:
            until = time.monotonic() + KEYS_LAST_S
            self._keyed[session_id, turn.options.key] = _Keyed(turn, digest, until)
            if len(self._keyed) > KEYS_KEPT:
                self._keyed.popitem(last=False)

        def forget() -> None:
            if self._last.get(session_id) is turn:
                del self._last[session_id]

        turn.at_end(lambda: asyncio.get_running_loop().call_later(turn.sound_s + PLAYS_ON_S, forget))

    def _find(self, session_id: str, key: str | None, digest: str) -> Turn | None:
        known = self._keyed.get((session_id, key)) if key is not None else None
        if known is None or known.until < time.monotonic():
            return None
        if known.digest != digest:
            raise _reused(str(key))
        return known.turn

    async def _find_kept(self, session: Session, said: Said, options: TurnOptions, digest: str) -> ToldTurn | None:
        """What a turn came to before this server was started: its messages have the ids that its key gives them."""
        if options.key is None:
            return None
        find, ids, reply = self.parts.store.find_message, MessageIds(session.id, options.key, digest), None
        while (later := await find(session.id, ids.reply())) is not None:
            reply, ids = later, replace(ids, attempt=ids.attempt + 1)
        if reply is None or reply.status == "in_progress":
            return None
        user = None if said is None else await find(session.id, ids.asked())
        if said is not None and user is None:
            raise _reused(options.key)
        if user is not None and user.role != "user":
            user = None
        done = TurnDone(reply.status, user, reply, "tool_calls" if reply.tool_calls else "stop")
        voice = voice_of(session, options, self.parts.settings) if options.is_spoken else None
        heard = None if user is None else Heard(user.text, user.language, user.confidence, user.duration_seconds or 0.0)
        return ToldTurn(done, voice, heard, tuple(map(_read_call, reply.tool_calls)), attempt=ids.attempt - 1)

    async def _is_to_be_tried_again(self, session_id: str, told: ToldTurn) -> bool:
        """A turn without an answer, while nothing came after it."""
        if told.done.status == "completed":
            return False
        if told.done.message is None:
            return True
        last = await self.parts.store.recent_messages(session_id, 1)
        return told.done.status == "failed" and last[-1].id == told.done.message.id

    async def _repeat(self, before: ToldTurn | Awaitable[ToldTurn], caller: Caller) -> AsyncGenerator[TurnEvent, None]:
        """What a turn told, when it is over; the reply is spoken anew."""
        told = before if isinstance(before, ToldTurn) else await before
        if told.heard is not None:
            yield told.heard
        if (reply := told.done.message) is not None:
            async with aclosing(self.parts.assistant.say(reply.text, told.voice, caller)) as events:
                async for event in events:
                    if not isinstance(event, ReplyDone):
                        yield event
            for call in told.calls:
                yield call
        if told.failure is not None:
            yield told.failure
        yield told.done


def _reused(key: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Idempotency-Key {key!r:.80} was used for another message: a new message needs a new key.",
        code="idempotency_key_reused",
    )


def _read_call(call: Mapping[str, object]) -> ToolCall:
    """A call of a message that is kept."""
    function = call.get("function")
    named = function if isinstance(function, dict) else {}
    return ToolCall(str(call.get("id", "")), str(named.get("name", "")), str(named.get("arguments", "")))


def _digest(said: Said, options: TurnOptions) -> str:
    """Of a request, to know it again; it blocks."""
    if not isinstance(said, SpooledFile):
        return hashlib.sha256(repr((said, options)).encode()).hexdigest()
    with said.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() + repr(options)
