"""A conversation over a WebSocket: push to talk, and an answer that can be interrupted.

Messages are JSON; the sound of both sides comes in binary ones. What a reply's sound belongs to is the last `sentence`
before it; after a `done` nothing of that reply comes any more.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack, aclosing, closing, suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field
from starlette.websockets import WebSocketState

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.api.messages import (
    MAX_JSON_BYTES,
    MAX_SPEECH_BYTES,
    MessageBody,
    ToolResultBody,
    flatten,
    read_options,
    read_said,
)
from voice_stack.chat.api.rendering import EncodedSound, TurnRenderer
from voice_stack.chat.history import open_calls
from voice_stack.chat.reply_sound import ReplyEncoder
from voice_stack.chat.service import IN_PROGRESS, Conversations
from voice_stack.chat.turn import MESSAGES_READ
from voice_stack.chat.turn_events import Said
from voice_stack.core.errors import (
    ConflictError,
    InvalidRequestError,
    PayloadTooLargeError,
    ShuttingDownError,
    VoiceStackError,
)
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.serving import REASON
from voice_stack.core.http.spool import Spool
from voice_stack.core.http.uploads import read_json
from voice_stack.utils.audio.pcm import wav_header

logger = logging.getLogger(__name__)

GOING_AWAY = 1001
KINDS = ("input.text", "input.audio.start", "input.audio.end", "interrupt", "tool_result", "ping")


class SpeechStart(BaseModel):
    """Speech that comes in binary messages."""

    format: str = Field("pcm16", max_length=40, description="pcm16 (mono), or any kind of file: webm, ogg, wav, mp3.")
    rate: int = Field(16_000, ge=8_000, le=192_000, description="Of pcm16, in Hz.")


class InterruptMessage(BaseModel):
    """The user has interrupted."""

    audio_end_ms: int | None = Field(None, ge=0)


class ConversationSocket:
    """One connection: what its client says is obeyed while a reply is sent."""

    def __init__(self, conversations: Conversations, socket: WebSocket, session_id: str) -> None:
        self._conversations, self._socket, self._session_id = conversations, socket, session_id
        self._settings = conversations.parts.settings
        self._caller = caller_of(socket)
        query = socket.query_params
        self._defaults = flatten({name: query.getlist(name) for name in query})
        self._spool: Spool | None = None
        self._speech_fields: Mapping[str, object] = {}
        self._telling: asyncio.Task[None] | None = None
        self._is_open = False
        """A turn has begun, and its `done` is still to be told."""
        self._results = dict[str, str]()

    async def serve(self) -> None:
        """Until the client leaves, or the server stops."""
        await self._socket.accept()
        stop = asyncio.create_task(self._await_stop())
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                try:
                    await self._take(message.get("text"), message.get("bytes"))
                except VoiceStackError as error:
                    await self._send({"type": "error", **error.body()})
        except WebSocketDisconnect:
            pass
        finally:
            stop.cancel()
            if self._telling is not None:
                self._telling.cancel()
                await asyncio.gather(self._telling, return_exceptions=True)
            if self._spool is not None:
                self._drop_speech()
                with suppress(VoiceStackError):  # the conversation may be gone, too
                    await self._conversations.parts.store.update_session(self._session_id, {"state": "idle"})

    async def _await_stop(self) -> None:
        """End with the server: a reply on its way is brought to its end."""
        await self._socket.app.state.stopping.wait_to_finish(self._socket.scope)
        if self._telling is not None:
            await asyncio.wait([self._telling])
        with suppress(WebSocketDisconnect):
            await self._socket.close(GOING_AWAY, REASON)

    async def _take(self, text: str | None, data: bytes | None) -> None:
        if data is not None:
            await self._add_speech(data)
            return
        fields = _read(text or "")
        kind = fields.pop("type", None)
        match kind:
            case "input.text":
                self._begin({"text": "", **fields})
            case "input.audio.start":
                await self._start_speech(fields)
            case "input.audio.end":
                await self._end_speech()
            case "interrupt":
                await self._interrupt(check_fields(InterruptMessage, fields).audio_end_ms)
            case "tool_result":
                result = check_fields(ToolResultBody, fields).read()
                self._results[result.call_id] = result.output
                if not self._is_open:
                    await self._answer_tools()
            case "ping":
                await self._send({"type": "pong"})
            case _:
                raise InvalidRequestError(f"type={kind!r:.80}: one of {', '.join(KINDS)} is expected", param="type")

    async def _start_speech(self, fields: Mapping[str, object]) -> None:
        start = check_fields(SpeechStart, fields)
        body = check_fields(MessageBody, self._defaults | dict(fields))  # what is wrong is said before anybody speaks
        if body.interrupt:
            await self._conversations.interrupt(self._session_id, body.audio_end_ms)
        self._drop_speech()
        self._speech_fields = fields
        self._spool = Spool(self._settings.spool_dir)
        self._spool.begin()
        if start.format.lower() in {"pcm16", "pcm"}:
            self._spool.add(wav_header(None, start.rate))
        if not self._is_open:
            await self._conversations.parts.store.update_session(self._session_id, {"state": "listening"})

    async def _add_speech(self, data: bytes) -> None:
        if self._spool is None:
            raise InvalidRequestError("Sound comes between input.audio.start and input.audio.end.")
        self._spool.add(data)
        if self._spool.size > MAX_SPEECH_BYTES:
            self._drop_speech()
            raise PayloadTooLargeError(f"The speech has more than {MAX_SPEECH_BYTES} bytes.")
        if self._spool.is_write_due:
            await asyncio.to_thread(self._spool.write)

    async def _end_speech(self) -> None:
        if self._spool is None:
            raise InvalidRequestError("input.audio.end: input.audio.start comes first", param="type")
        await asyncio.to_thread(self._spool.finish)
        spool, self._spool = self._spool, None
        self._begin(self._speech_fields, spool)

    def _drop_speech(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    async def _interrupt(self, audio_end_ms: int | None) -> None:
        """A reply on its way says itself that it was interrupted; of one that only plays on this does."""
        is_open = self._is_open
        done = await self._conversations.interrupt(self._session_id, audio_end_ms)
        if not is_open:
            renderer = TurnRenderer(self._settings.public_prefix, shows_reasoning=False)
            await self._send({"type": "interrupted", **renderer.interruption(done)})

    async def _answer_tools(self) -> None:
        """Go on as soon as all results are there that the model waits for, and its own turn is told."""
        kept = await self._conversations.parts.store.recent_messages(self._session_id, MESSAGES_READ)
        if self._results and self._results.keys() >= open_calls(kept).keys():
            self._begin({"tool_results": [{"id": call, "output": output} for call, output in self._results.items()]})

    def _end_turn(self) -> None:
        if self._telling is asyncio.current_task():
            self._is_open = False

    def _begin(self, fields: Mapping[str, object], spool: Spool | None = None) -> None:
        with ExitStack() as owned:
            file = None
            if spool is not None:
                owned.enter_context(closing(spool))
                file = spool.file("speech", "")
            if self._socket.app.state.stopping.refuses_work:  # it would cut off the reply that is still to be told
                raise ShuttingDownError(REASON)
            body = check_fields(MessageBody, self._defaults | dict(fields))
            said = read_said(body, file)
            if self._is_open and not body.interrupt:
                raise ConflictError(IN_PROGRESS, code="turn_in_progress")
            encoder = owned.enter_context(closing(ReplyEncoder(body.response_format or "pcm")))
            self._results = {}
            before = self._telling if self._is_open else None
            self._telling = asyncio.create_task(self._tell(before, said, body, encoder, owned.pop_all()))
            self._is_open = True

    async def _tell(
        self,
        before: "asyncio.Task[None] | None",
        said: Said,
        body: MessageBody,
        encoder: ReplyEncoder,
        owned: ExitStack,
    ) -> None:
        """Send a turn as it is made, when the one before is told."""
        try:
            with owned:
                if before is not None:
                    await self._conversations.interrupt(self._session_id, body.audio_end_ms)
                    await asyncio.wait({before})
                renderer = TurnRenderer(self._settings.public_prefix, shows_reasoning=bool(body.include))
                turn = self._conversations.turn(self._session_id, said, self._caller, read_options(body, {}))
                async with aclosing(turn), aclosing(renderer.render(turn, encoder)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, EncodedSound):
                            await self._socket.send_bytes(piece.data)
                            continue
                        if piece["type"] == "done":
                            self._end_turn()
                        await self._send(piece)
            await self._answer_tools()
        except WebSocketDisconnect:
            pass
        except Exception as error:
            if not isinstance(error, VoiceStackError):
                logger.exception("a turn failed")
                error = VoiceStackError("The server failed on this turn; its log has the reason.")
            self._end_turn()
            await self._send({"type": "error", **error.body()})

    async def _send(self, message: Mapping[str, object]) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnect
        await self._socket.send_text(json.dumps(message, ensure_ascii=False))


def _read(text: str) -> dict[str, object]:
    """The fields of a message.

    Raises:
        InvalidRequestError: It is no JSON object, or too long.
    """
    if len(text) > MAX_JSON_BYTES:
        raise InvalidRequestError(f"The message has more than {MAX_JSON_BYTES} characters.")
    try:
        fields = read_json(text.encode())
    except ValueError as error:
        raise InvalidRequestError(f"The message is no JSON object: {error}.") from None
    if not isinstance(fields, dict):
        raise InvalidRequestError("The message is no JSON object.")
    return {name: value for name, value in fields.items() if value is not None}


def create_socket_router(conversations: Conversations) -> APIRouter:
    """The route, below the API prefix."""
    router = APIRouter()

    @router.websocket("/voice/sessions/{session_id}/ws")
    async def converse(socket: WebSocket, session_id: str) -> None:
        await conversations.parts.store.require_session(session_id)
        await ConversationSocket(conversations, socket, session_id).serve()

    return router
