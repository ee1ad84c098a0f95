"""One turn of a conversation: what was said is heard, kept, answered; interrupted, the reply ends where it was heard.

A turn is made by a task of its own, so that its end is written down whatever becomes of who listens. What it tells
waits in a short queue for one reader, and the model and the voice wait for that.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from voice_stack.chat.conversation import (
    Caller,
    Message,
    MessageStatus,
    Role,
    Session,
    SessionState,
    VoiceChoice,
)
from voice_stack.chat.events import (
    Heard,
    ReplyDone,
    ReplyEvent,
    Sentence,
    Sound,
    Stage,
    TextDelta,
)
from voice_stack.chat.history import MAX_MESSAGES, count_rounds, messages_for_model, open_calls
from voice_stack.chat.reply import ReplyRecord, heard_text
from voice_stack.chat.turn_events import (
    MessageIds,
    Said,
    ToldTurn,
    TurnDone,
    TurnError,
    TurnEvent,
    TurnOptions,
    TurnParts,
    voice_of,
)
from voice_stack.core.errors import ConflictError, InvalidRequestError, VoiceStackError
from voice_stack.core.http.spool import SpooledFile
from voice_stack.language_model.deltas import ToolCall
from voice_stack.language_model.model import ModelRequest

logger = logging.getLogger(__name__)

MAX_TOOL_ROUNDS = 8
"""A model that calls tools so often in one turn has to answer then."""
MAX_WAITING = 32
"""Events that nobody has taken: about three seconds of sound."""
WRITE_EVERY_S = 1.0
MESSAGES_READ = 2 * MAX_MESSAGES
"""Some of the last are left out, and the next join their neighbours."""
_STATES: dict[MessageStatus, SessionState] = {"completed": "idle", "interrupted": "interrupted", "failed": "error"}


class Turn:
    """One turn; it begins at once.

    Args:
        parts: What it is made with.
        session: Its conversation.
        said: What the user says; a file has to stay until `Heard` is told.
        caller: Who asks.
        options: What is asked for.
        ids: Of its messages.
        before: The same turn, tried before: what the user said then is in the conversation, and only the reply missing.

    Attributes:
        heard: What the user said, when that is known.
        calls: Of tools.
        failure: Why it failed.
        done: How it ended, when it has.
    """

    def __init__(
        self,
        parts: TurnParts,
        session: Session,
        said: Said,
        caller: Caller,
        options: TurnOptions,
        ids: MessageIds,
        before: ToldTurn | None = None,
    ) -> None:
        self.session, self.caller, self.options = session, caller, options
        self.heard: Heard | None = before.heard if before is not None else None
        self.calls = list[ToolCall]()
        self.failure: TurnError | None = None
        self.done: TurnDone | None = None
        self._parts, self._ids = parts, ids
        self._said = said if before is None or not before.done.message else None
        self._made, self._sent = ReplyRecord(), ReplyRecord()
        self._sounds_since: float | None = None
        self._user = before.done.user if before is not None else None
        self._asked = list[Message]()
        self._reply: Message | None = None
        self._stage: Stage = "stt"
        self._stt_s: float | None = None
        self._written_at = 0.0
        self._audio_end_ms: int | None = None
        self._cache: str | None = None
        self._waiting = asyncio.Queue[TurnEvent | None]()
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._has_reader = True
        self._work = asyncio.create_task(self._make())
        self._task = asyncio.create_task(self._run())

    @property
    def voice(self) -> VoiceChoice | None:
        """How the reply is spoken; None: it is not."""
        return voice_of(self.session, self.options, self._parts.settings) if self.options.is_spoken else None

    @property
    def told(self) -> ToldTurn | None:
        """What it came to; None: it is still made."""
        if self.done is None:
            return None
        return ToldTurn(self.done, self.voice, self.heard, tuple(self.calls), self.failure, self._ids.attempt)

    @property
    def sound_s(self) -> float:
        """How long its sound is, so far."""
        return self._made.sound_ms / 1000

    def at_end(self, call: Callable[[], object]) -> None:
        """Have something called when it is over."""
        self._task.add_done_callback(lambda _: call())

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """What it tells, to one reader, `TurnDone` last.

        A reader that leaves before that interrupts the reply: it is kept as far as it was sent. With a key the turn
        goes on, for whoever asks again.
        """
        try:
            while (event := await self._waiting.get()) is not None:
                self._room.release()
                if isinstance(event, Sound) and self._sounds_since is None:
                    self._sounds_since = time.monotonic()
                if not isinstance(event, Heard | TurnError | TurnDone):
                    self._sent.take(event)
                yield event
            assert self.done is not None
            yield self.done
        finally:
            self._has_reader = False
            self._drop_waiting()
            if self.options.key is None or self._stage == "stt":
                self._work.cancel()

    async def wait_told(self) -> ToldTurn:
        """What it came to, when it has."""
        await self.wait()
        assert self.told is not None
        return self.told

    async def wait(self) -> TurnDone:
        """How it ends."""
        await asyncio.wait({self._task})
        assert self.done is not None
        return self.done

    async def interrupt(self, audio_end_ms: int | None = None) -> TurnDone:
        """Stop the reply; its text ends where it was heard. The sound of one that is complete may still be playing.

        Args:
            audio_end_ms: How much of the sound was heard; None: what can have been heard by now.
        """
        if self.done is None:
            self._audio_end_ms = audio_end_ms
            self._work.cancel()
        done = await self.wait()
        if done.status == "completed" and done.message is not None and done.sentences:
            heard_ms = self._heard_ms(audio_end_ms)
            if heard_ms < done.sentences[-1].end_ms:
                self._drop_waiting()
                message = replace(done.message, status="interrupted", text=heard_text(done.sentences, heard_ms))
                self.done = done = replace(done, status="interrupted", message=message)
                await self._parts.store.save_messages(message)
                await self._set_state("interrupted")
        return done

    async def _run(self) -> None:
        await asyncio.wait({self._work})
        error = None if self._work.cancelled() else self._work.exception()
        if error is not None and not isinstance(error, VoiceStackError):
            logger.error("a turn failed", exc_info=error)
            error = VoiceStackError("The server failed on this turn; its log has the reason.")
        if self._work.cancelled():
            self.done = done = self._describe_interrupted()
        else:
            self.done = done = self._describe_failed() if error else self._describe(self._work.result())
        try:
            if done.message is not None:
                await self._parts.store.save_messages(*self._asked, done.message)
            await self._set_state(_STATES[done.status])
        except VoiceStackError as unkept:
            logger.warning("the end of a turn is not kept: %s", unkept)
            error = error or unkept
        if done.status == "interrupted":
            self._drop_waiting()
        if error is not None:
            self.failure = TurnError(error, self._stage)
            self._waiting.put_nowait(self.failure)
        self._waiting.put_nowait(None)

    def _describe(self, reply: ReplyDone | None) -> TurnDone:
        if reply is None or self._reply is None:
            return TurnDone("completed")
        message = replace(
            self._reply,
            status="completed",
            text=reply.text.strip(),
            reasoning=reply.reasoning,
            tool_calls=tuple(_call_object(call) for call in self.calls),
            usage=reply.usage,
            timings=self._timings(reply.timings),
            spoken_chars=self._spoken_chars(),
            tts_error=reply.tts_error.told if reply.tts_error else None,
            duration_seconds=self.sound_s or None,
        )
        return TurnDone(
            "completed", self._user, message, reply.finish_reason, reply.sentences, self._cache, reply.ignored
        )

    def _describe_failed(self) -> TurnDone:
        message = self._reply and self._partial("failed", self._made.text)
        return TurnDone("failed", self._user, message, sentences=self._made.sentences(is_over=False))

    def _describe_interrupted(self) -> TurnDone:
        sentences = self._sent.sentences(is_over=False)
        heard_ms = self._heard_ms(self._audio_end_ms)
        text = heard_text(sentences, heard_ms) if self.options.is_spoken else self._sent.text
        message = self._reply and self._partial("interrupted", text)
        return TurnDone("interrupted", self._user, message, sentences=sentences)

    def _heard_ms(self, told: int | None) -> int:
        """What can have been heard: as the client says, else since the first sound was sent."""
        if told is None:
            told = int(1000 * (time.monotonic() - self._sounds_since)) if self._sounds_since else 0
        return min(told, self._sent.sound_ms)

    def _partial(self, status: MessageStatus, text: str) -> Message:
        assert self._reply is not None
        return replace(
            self._reply,
            status=status,
            text=text.strip(),
            reasoning=self._made.reasoning,
            timings=self._timings({}),
            spoken_chars=self._spoken_chars(),
        )

    def _spoken_chars(self) -> int:
        return sum(len(sentence.text) for sentence in self._made.sentences(is_over=True))

    def _timings(self, reply: Mapping[str, float]) -> dict[str, float]:
        measured = ({} if self._stt_s is None else {"stt": self._stt_s}) | {**reply}
        return {stage: round(seconds, 4) for stage, seconds in measured.items()}

    async def _make(self) -> ReplyDone | None:
        """The turn up to the end of the reply; None where nobody spoke."""
        store, session_id = self._parts.store, self.session.id
        kept = await store.recent_messages(session_id, MESSAGES_READ)
        self._asked = self._read_results(kept)
        if isinstance(self._said, str | SpooledFile):
            heard = self.heard = await self._hear(self._said)
            if not heard.text.strip():
                await self._tell(heard)
                return None
            self._user = self._message(self._ids.asked(), "user", heard.text.strip())
            if isinstance(self._said, SpooledFile):
                self._user = replace(
                    self._user,
                    confidence=heard.confidence,
                    language=heard.language,
                    duration_seconds=heard.duration_s or None,
                )
            self._asked = [self._user]
        elif not self._asked and not kept:
            raise InvalidRequestError("There is nothing to answer in this conversation yet.")
        self._reply = replace(self._message(self._ids.reply(), "assistant", ""), status="in_progress")
        await store.save_messages(*self._asked, self._reply)
        if self.heard is not None:
            await self._tell(self.heard)
        self._stage = "llm"
        await self._set_state("thinking")
        return await self._answer(self._request([*kept, *self._asked]))

    def _message(self, message_id: str, role: Role, text: str) -> Message:
        return Message(message_id, self.session.id, time.time(), role, text)

    def _read_results(self, kept: Sequence[Message]) -> list[Message]:
        """The messages of the tools' results, of which none may be missing."""
        if not isinstance(self._said, tuple):
            return []
        open_names, given = open_calls(kept), {result.call_id: result.output for result in self._said}
        if given.keys() != open_names.keys():
            waiting = ", ".join(f"{call} ({name})" for call, name in open_names.items()) or "none"
            raise InvalidRequestError(
                f"tool_results={', '.join(given)!r:.200}: the calls that wait for a result are {waiting}",
                param="tool_results",
            )
        if count_rounds(kept) > MAX_TOOL_ROUNDS:
            raise ConflictError(f"The model has called tools {MAX_TOOL_ROUNDS} times and gives no answer.")
        return [
            replace(self._message(self._ids.asked(place), "tool", given[call]), tool_call_id=call)
            for place, call in enumerate(open_names)
        ]

    async def _hear(self, said: str | SpooledFile) -> Heard:
        if isinstance(said, str):
            return Heard(said)
        await self._set_state("processing")
        started = time.perf_counter()
        language = self.options.language or self.session.language
        heard = await self._parts.servers.transcribe(said.path, self.caller, language=language)
        self._stt_s = time.perf_counter() - started
        return heard

    def _request(self, messages: Sequence[Message]) -> ModelRequest:
        session, options = self.session, self.options
        fields = dict[str, object]()
        if tools := session.tools if options.tools is None else options.tools:
            fields["tools"] = [*tools]
            if count_rounds(messages) >= MAX_TOOL_ROUNDS:
                fields["tool_choice"] = "none"
        system = self._parts.settings.instructions if session.system is None else session.system
        return ModelRequest(messages_for_model(system, messages), session.model or "", fields)

    async def _answer(self, request: ModelRequest) -> ReplyDone:
        parts, session, voice = self._parts, self.session, self.voice
        key = parts.cache.key(request, conversation=session.conversation_id or "", role=session.role)
        async with parts.cache.flight(key, self.options.cache) as kept:
            self._cache = None if key is None else "miss" if kept is None else "hit"
            if kept is None:
                done = await self._follow(parts.assistant.answer(request, voice, self.caller))
                await parts.cache.put(key, done, self.options.cache)
            else:
                done = await self._follow(parts.assistant.say(kept, voice, self.caller))
        if done.tts_error is not None:
            await self._tell(TurnError(done.tts_error, "tts"))
        return done

    async def _follow(self, reply: AsyncGenerator[ReplyEvent, None]) -> ReplyDone:
        done: ReplyDone | None = None
        async with aclosing(reply):
            async for event in reply:
                if isinstance(event, ReplyDone):
                    done = event  # what the model broke off by may follow
                else:
                    await self._take(event)
        assert done is not None
        return done

    async def _take(self, event: ReplyEvent) -> None:
        assert not isinstance(event, ReplyDone)
        is_first_sound = isinstance(event, Sound) and not self._made.sound_ms
        self._made.take(event)
        await self._tell(event)
        if isinstance(event, ToolCall):
            self.calls.append(event)
        if is_first_sound:
            await self._set_state("speaking")
        is_due = time.monotonic() - self._written_at > WRITE_EVERY_S
        if isinstance(event, Sentence) or (isinstance(event, TextDelta) and is_due):
            await self._write_progress()

    async def _write_progress(self) -> None:
        assert self._reply is not None
        self._written_at = time.monotonic()
        text, chars = self._made.text.strip(), self._spoken_chars()
        await self._parts.store.save_messages(replace(self._reply, text=text, spoken_chars=chars))

    async def _set_state(self, state: SessionState) -> None:
        await self._parts.store.update_session(self.session.id, {"state": state})

    async def _tell(self, event: TurnEvent) -> None:
        if self._has_reader:
            await self._room.acquire()
            self._waiting.put_nowait(event)

    def _drop_waiting(self) -> None:
        """Leave nothing for the reader but the end."""
        is_over = False
        while not self._waiting.empty():
            is_over |= self._waiting.get_nowait() is None
            self._room.release()
        if is_over:
            self._waiting.put_nowait(None)


def _call_object(call: ToolCall) -> Mapping[str, object]:
    """A call as OpenAI's chat has it."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
