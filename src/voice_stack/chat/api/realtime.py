"""OpenAI's Realtime: a conversation by voice over a WebSocket, and short-lived keys for browsers."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response, WebSocket

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.conversation import Caller
from voice_stack.chat.passing import Passing
from voice_stack.chat.realtime.listening import Listening, find_sound, sound_ms
from voice_stack.chat.realtime.replies import Action, Answer, Ask, Stop, Transcribe
from voice_stack.chat.realtime.session import CLIENT_EVENTS, ConversationSession
from voice_stack.chat.realtime.settings import ConversationDefaults, ConversationSettings
from voice_stack.chat.reply import Assistant
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.errors import EngineError, UnsupportedValueError, VoiceStackError
from voice_stack.core.http.access import require_scope
from voice_stack.core.http.context import add_log_fields
from voice_stack.core.http.event_socket import GOING_AWAY, LARGE_CHARS, EventSocket, SocketOverError
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.realtime import (
    ClientSecretBody,
    ClientSecretObject,
    ClientSecrets,
    Event,
    SecretLife,
    make_client_secret,
    make_id,
    read_frame,
)
from voice_stack.core.http.uploads import receive_object
from voice_stack.language_model.model import LanguageModel

SCOPE = "chat"
FINISH_S = 20.0
"""For the reply that is being said when the server stops."""
RETRY_S = 5.0
"""So long sound is not heard after the ASR server could not be reached."""
TRANSCRIBERS = re.compile(r"whisper|transcribe|parakeet|^(?:tiny|base|small|medium|large|turbo|distil)\b")
"""Names of models that do nothing but hear."""
OPENAI_MODELS = re.compile(r"gpt-(?:realtime|audio|4o)\b")
"""Here they are the model of the settings."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conversing:
    """What conversations are made with."""

    settings: ChatSettings
    assistant: Assistant
    servers: SpeechServers
    passing: Passing
    model: LanguageModel
    secrets: ClientSecrets

    def defaults(self, language_model: str = "") -> ConversationDefaults:
        """What counts where a session says nothing."""
        given = {"voice": self.settings.voice, "instructions": self.settings.instructions}
        return ConversationDefaults(**given, language_model=language_model)

    async def find_model(self, name: str) -> str:
        """The language model of that name; empty, for that of the settings, where there is none."""
        if not name or OPENAI_MODELS.match(name):
            return ""
        try:
            return name if name in {model.get("id") for model in await self.model.list_models()} else ""
        except VoiceStackError:
            return ""


def create_realtime_router(made_with: Conversing) -> APIRouter:
    """The routes, below the API prefix; before those that pass on what is below the same paths."""
    router, reading, passing = APIRouter(tags=["realtime"]), asyncio.Semaphore(), made_with.passing

    @router.websocket("/realtime")
    async def realtime(websocket: WebSocket) -> None:
        if passing.takes(websocket) or TRANSCRIBERS.search(websocket.query_params.get("model", "")):
            await passing.pass_socket(websocket)
            return
        require_scope(websocket, SCOPE)
        model = await made_with.find_model(websocket.query_params.get("model", ""))
        session = _open_session(websocket, made_with.defaults(model))
        socket = EventSocket(websocket)
        await socket.accept()
        await _Exchange(socket, session, made_with, caller_of(websocket), reading).run()

    body = {"requestBody": {"content": {"application/json": {"schema": ClientSecretBody.model_json_schema()}}}}

    @router.post("/realtime/client_secrets", openapi_extra=body, responses={200: {"model": ClientSecretObject}})
    async def create_client_secret(request: Request) -> object:
        """A short-lived key for a browser, and the session that begins with it."""
        sent = await receive_object(request)
        asked = check_fields(ClientSecretBody, sent)
        if asked.session.get("type") == "transcription":
            passed: Response = (
                await passing.make_secret(request.scope, "/realtime/client_secrets", json.dumps(sent).encode())
            ).show()
            return passed
        require_scope(request, SCOPE)
        expires_at = int(time.time()) + check_fields(SecretLife, asked.expires_after).seconds
        settings = ConversationSettings().changed(asked.session)
        key_id = str(getattr(getattr(request.state, "api_key", None), "id", ""))
        session = {"id": make_id("sess"), "object": "realtime.session", **settings.show(made_with.defaults())}
        value = make_client_secret(asked.session, expires_at, key_id)
        granted = {"value": value, "expires_at": expires_at, "session": session}
        await made_with.secrets.share(granted)
        return granted

    return router


def _open_session(websocket: WebSocket, defaults: ConversationDefaults) -> ConversationSession:
    """The session that a URL and a key ask for.

    Raises:
        UnsupportedValueError: They ask for another kind of session.
    """
    query = websocket.query_params
    if "call_id" in query or query.get("intent"):
        param = "call_id" if "call_id" in query else "intent"
        message = "Connect with model=NAME for a conversation, or with intent=transcription for words alone."
        raise UnsupportedValueError(message, param=param)
    secret = websocket.scope["state"].get("client_secret") or {}
    named = {"model": query["model"]} if query.get("model") else {}
    settings = ConversationSettings().changed(secret).changed(named)
    return ConversationSession(defaults, settings, time.time())


@dataclass(slots=True)
class _Exchange:
    """One open socket: what the client sends, what is heard of it and what is replied meet in the session."""

    socket: EventSocket
    session: ConversationSession
    made_with: Conversing
    caller: Caller
    reading: asyncio.Semaphore
    listening: Listening | None = None
    deaf_until_s: float = 0.0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    replies: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Serve the socket to its end."""
        try:
            over = await self.socket.serve(self.session.expires_at, self._receive)
            if over.code == GOING_AWAY and self.replies:
                await asyncio.wait(self.replies.values(), timeout=FINISH_S)
            await self.socket.close(over.code, [self.session.error(over.error)] if over.error else ())
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            add_log_fields(self.socket.websocket, audio_s=round(self.session.audio_ms / 1000, 2))

    async def _receive(self, _tasks: asyncio.TaskGroup) -> None:
        await self.socket.send(self.session.open())
        async for text in self.socket.texts():
            if (sound := find_sound(text)) is not None:
                await self._append(text, sound)
                continue
            if len(text) > LARGE_CHARS:
                async with self.reading:
                    event = await asyncio.to_thread(read_frame, text, CLIENT_EVENTS)
            else:
                event = read_frame(text, CLIENT_EVENTS)
            if event.kind == "input_audio_buffer.append" and event.fault is None:
                await self._append(text, len(event.sound) * 4 // 3)
            else:
                await self._do(self.session.receive(event))
        raise SocketOverError

    async def _append(self, text: str, base64_chars: int) -> None:
        if self.listening is None:
            if time.monotonic() < self.deaf_until_s:
                return
            self._begin_listening()
        self.session.audio_ms += sound_ms(base64_chars, self.session.settings.format)
        if self.listening is not None:
            await self.listening.feed(text)

    def _begin_listening(self) -> None:
        settings, key = self.made_with.settings, self.made_with.settings.asr_key.get_secret_value()
        authorization = f"Bearer {key}" if key else self.caller.authorization
        url = "".join(settings.split_address(settings.asr_url))
        listening = Listening(url, authorization, self.session.begin_hearing(), self._hear)
        self.listening = listening
        self._start(self._listen(listening))

    async def _listen(self, listening: Listening) -> None:
        error = await listening.run()
        self.listening = None
        if listening.is_new:
            self.deaf_until_s = time.monotonic() + RETRY_S
        await self._do(self.session.lose_hearing(error, is_new=listening.is_new))

    async def _hear(self, event: Event) -> None:
        await self._do(self.session.hear(event))

    async def _do(self, answer: Answer) -> None:
        """Send what there is to tell; what is to be done begins before, so that nothing comes between."""
        for action in answer.actions:
            self._begin(action)
        await self.socket.send(answer.events)
        if answer.forward is not None and self.listening is not None:
            await self.listening.feed(json.dumps(answer.forward))

    def _begin(self, action: Action) -> None:
        match action:
            case Stop():
                if (task := self.replies.pop(action.response_id, None)) is not None:
                    task.cancel()
            case Ask():
                self.replies[action.response_id] = self._start(self._reply(action))
            case Transcribe():
                self._start(self._transcribe(action))

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _reply(self, asked: Ask) -> None:
        try:
            async with aclosing(self.made_with.assistant.answer(asked.request, asked.voice, self.caller)) as replies:
                async for told in replies:
                    await self._do(self.session.reply(asked.response_id, told))
        except VoiceStackError as error:
            await self._do(self.session.reply(asked.response_id, error))
        except Exception:
            _logger.exception("a reply failed")
            await self._do(self.session.reply(asked.response_id, EngineError("the reply failed")))
        self.replies.pop(asked.response_id, None)

    async def _transcribe(self, asked: Transcribe) -> None:
        try:
            heard = await self.made_with.servers.transcribe(asked.file, self.caller, language=asked.language)
        except VoiceStackError as error:
            await self._do(self.session.transcribed(asked.item_id, error))
        else:
            await self._do(self.session.transcribed(asked.item_id, heard))
