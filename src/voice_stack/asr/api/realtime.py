"""OpenAI's Realtime: words while they are spoken, over a WebSocket; and short-lived keys for browsers."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response, WebSocket

from voice_stack.asr.api.documents import TRANSCRIPT
from voice_stack.asr.jobs.sessions import SessionRecorder, SessionTranscripts
from voice_stack.asr.live.listener import LiveTranscription
from voice_stack.asr.live.session import HeardTurn, Piece, RealtimeSession
from voice_stack.asr.live.turns import Commit, LiveRequest
from voice_stack.asr.live.wire import CLIENT_EVENTS, ModelChoice, SessionSettings, grant, grant_flat
from voice_stack.asr.rendering import RenderOptions, render, require_transcript_format, warnings_header
from voice_stack.asr.request import DecodeOptions, parse_steps
from voice_stack.asr.service import AsrService
from voice_stack.asr.speakers.follower import SpeakerFollower, segment_events
from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError, VoiceStackError
from voice_stack.core.http.event_socket import FAILED, LARGE_CHARS, OVERLOADED, REFUSED, EventSocket, SocketOverError
from voice_stack.core.http.limits import name_caller
from voice_stack.core.http.realtime import ClientSecretBody, ClientSecretObject, Event, read_frame
from voice_stack.core.http.sockets import OUTLIVES
from voice_stack.core.http.uploads import receive_object
from voice_stack.core.jobs import options_from

LIVE_MODELS = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
"""OpenAI's models that do nothing but transcribe live: here the default model."""
FINISH_S = 60.0
"""For what was heard, when the session is over: several times what an engine may have before it."""
UNAVAILABLE = 503


def create_realtime_router(service: AsrService, sessions: SessionTranscripts) -> APIRouter:
    """The routes, below the API prefix."""
    router, reading = APIRouter(tags=["realtime"]), asyncio.Semaphore()
    names, settings = service.models, service.settings
    choice = ModelChoice(names.default, names.resolve, service.capabilities, service.can_follow_speakers)
    # The times of words, for cues, take a twelfth of the work of a turn.
    decode = options_from(DecodeOptions, settings, language=None, word_timestamps=sessions.is_on)
    base = LiveRequest(decode, suppress=parse_steps(settings.suppress))

    @router.websocket("/realtime")
    async def realtime(websocket: WebSocket) -> None:
        session = _open_session(websocket, choice, base)
        promise = await service.admit_live(session.model)
        websocket.scope["state"][OUTLIVES] = True
        socket = EventSocket(websocket)
        await socket.accept()
        recorder = sessions.begin(session.id, name_caller(websocket.scope))
        try:
            await _Exchange(socket, session, service, recorder, reading, promise).run()
        finally:
            service.desk.end_promise(promise)  # it may have left without a word
            session.fail(InvalidRequestError("The client has left."))
            turns, failed = session.take_heard()
            segments = [segment for turn in turns for segment in turn.segments]
            await sessions.end(recorder, segments, audio_s=session.audio_s, lost_turns=failed)

    body = {"requestBody": {"content": {"application/json": {"schema": ClientSecretBody.model_json_schema()}}}}

    @router.post("/realtime/client_secrets", openapi_extra=body, responses={200: {"model": ClientSecretObject}})
    async def create_client_secret(request: Request) -> dict[str, object]:
        """A short-lived key for a browser, and the session that begins with it."""
        return grant(choice, await receive_object(request), time.time(), _key_id(request))

    @router.post("/realtime/transcription_sessions", include_in_schema=False)
    @router.post("/realtime/sessions", include_in_schema=False)
    async def create_session(request: Request) -> dict[str, object]:
        body = await receive_object(request)
        _require_transcription(choice, body.get("model"))
        return grant_flat(choice, body, time.time(), _key_id(request))

    @router.get("/realtime/sessions/{session_id}/transcript", response_class=Response, responses=TRANSCRIPT)
    async def show_transcript(session_id: str, response_format: str = "json") -> Response:
        """What a session has heard, or what of it is final so far."""
        media_type = require_transcript_format(response_format).media_type
        transcript = await sessions.transcript(session_id)
        options = RenderOptions(granularities=frozenset({"segment", "word"} if transcript.words else ()))
        body = await asyncio.to_thread(render, transcript, response_format, options)
        return Response(body, media_type=media_type, headers=warnings_header(transcript.warnings))

    @router.delete("/realtime/sessions/{session_id}/transcript")
    async def forget_transcript(session_id: str) -> dict[str, object]:
        """Forget what a session heard; of one that goes on nothing more is kept."""
        await sessions.remove(session_id)
        return {"id": session_id, "object": "realtime.session.transcript", "deleted": True}

    return router


def _key_id(request: Request) -> str:
    return str(getattr(getattr(request.state, "api_key", None), "id", ""))


def _open_session(websocket: WebSocket, choice: ModelChoice, base: LiveRequest) -> RealtimeSession:
    """The session that a URL and a key ask for.

    Raises:
        UnsupportedValueError: They ask for another kind of session.
        ModelNotFoundError: The model is none that transcribes here.
    """
    query, headers, now_s = websocket.query_params, websocket.headers, time.time()
    if "call_id" in query or query.get("intent") not in {None, "", "transcription"}:
        message = "Only transcription sessions are held here: connect with intent=transcription."
        raise UnsupportedValueError(message, param="call_id" if "call_id" in query else "intent")
    secret = websocket.scope["state"].get("client_secret")
    if not query.get("intent") and not secret:
        _require_transcription(choice, query.get("model"))
    named = {"input_audio_transcription": {"model": query["model"]}} if query.get("model") else {}
    settings = SessionSettings().changed(secret or {}).changed(named)
    return RealtimeSession(choice, base, settings, now_s, is_beta="realtime=v1" in headers.get("openai-beta", ""))


def _require_transcription(choice: ModelChoice, model: object) -> None:
    """Raise `ModelNotFoundError` for the name of a model that holds conversations, or of none."""
    if isinstance(model, str) and model and model not in LIVE_MODELS:
        choice.resolve(model)


@dataclass(slots=True)
class _Exchange:
    """One open socket: what comes goes to the session, what the transcription tells goes through it to the client."""

    socket: EventSocket
    session: RealtimeSession
    service: AsrService
    recorder: SessionRecorder
    reading: asyncio.Semaphore
    promise: asyncio.Future[None]
    transcription: LiveTranscription | None = None
    telling: asyncio.Task[None] | None = None
    speakers: SpeakerFollower | None = None
    labelling: asyncio.Task[None] | None = None
    is_ending: bool = False

    async def run(self) -> None:
        """Serve the socket to its end."""
        try:
            over = await self.socket.serve(self.session.expires_at, self._receive)
            if not self.socket.is_gone:
                await self._finish()
            await self.socket.close(over.code, self.session.fail(over.error) if over.error else ())
            await self._finish()
        finally:
            for task in filter(None, (self.telling, self.labelling)):
                task.cancel()
            for turn in self.speakers.take_waiting() if self.speakers else ():
                await self.recorder.keep(turn.segments, audio_s=self.session.audio_s, lost_turns=0)
            fields: dict[str, object] = {"model": self.session.model, "audio_s": round(self.session.audio_s, 2)}
            fields |= {"fallback": ", ".join(self.session.fallbacks)} if self.session.fallbacks else {}
            self.socket.websocket.scope["state"].setdefault("log_fields", {}).update(fields)

    async def _finish(self) -> None:
        """No more sound is taken; what was heard is brought to its end, for the transcript if nobody listens."""
        self.is_ending = True
        if self.transcription is None or self.telling is None or self.telling.done():
            return
        if self.socket.is_gone and not self.recorder.is_keeping:
            self.telling.cancel()
            return
        with suppress(TimeoutError, SocketOverError):
            async with asyncio.timeout(FINISH_S):
                if self.transcription.request.rules.kind == "none":
                    await self.transcription.feed(Commit())
                self.transcription.close()
                await self.telling
                if self.speakers is not None and self.labelling is not None:
                    self.speakers.close()
                    await self.labelling

    async def _receive(self, tasks: asyncio.TaskGroup) -> None:
        await self.socket.send(self.session.open())
        async for text in self.socket.texts():
            if len(text) > LARGE_CHARS:
                async with self.reading:
                    event = await asyncio.to_thread(read_frame, text, CLIENT_EVENTS)
            else:
                event = read_frame(text, CLIENT_EVENTS)
            heard_s = self.session.audio_s
            answer = self.session.receive(event)
            await self.socket.send(answer.events)
            for piece in answer.pieces:
                await self._feed(piece, heard_s, tasks)
        raise SocketOverError

    async def _feed(self, piece: Piece, heard_s: float, tasks: asyncio.TaskGroup) -> None:
        try:
            if self.speakers is None and self.session.asks_speakers:
                self.speakers = await self.service.follow_speakers(self.session.request.sound, heard_s)
                self.labelling = asyncio.create_task(self._label(self.speakers))
            if self.transcription is None:
                asked = self.session.model, self.session.request
                self.transcription = await self.service.listen(*asked, self.promise)
                # What it tells is kept also when the socket is gone.
                self.telling = asyncio.create_task(self._tell(self.transcription))
                tasks.create_task(_follow(self.telling))
        except VoiceStackError as error:
            code = OVERLOADED if error.status in {429, 503} else FAILED if error.status >= 500 else REFUSED
            raise SocketOverError(code, error) from error
        await self.transcription.feed(piece)
        if self.speakers is not None:
            await self.speakers.feed(piece)

    async def _tell(self, transcription: LiveTranscription) -> None:
        try:
            async with aclosing(transcription.outputs()) as outputs:
                async for told in outputs:
                    await self._show(self.session.tell(told))
        except VoiceStackError as error:
            self.transcription = None
            if error.status == UNAVAILABLE and not self.is_ending:  # the next sound would fare no better
                raise SocketOverError(OVERLOADED, error) from error
            await self._show(self.session.fail(error))

    async def _label(self, speakers: SpeakerFollower) -> None:
        async with aclosing(speakers.labelled()) as turns:
            async for turn in turns:
                await self._show_speakers(turn)

    async def _show_speakers(self, turn: HeardTurn) -> None:
        await self.recorder.keep(turn.segments, audio_s=self.session.audio_s, lost_turns=0)
        await self.socket.send(segment_events(turn))

    async def _show(self, events: Sequence[Event]) -> None:
        """Keep what turns said, and send what is to be told: who then asks for the transcript has all of it.

        Where who speaks is asked, turns are kept when that is known; their text does not wait.
        """
        turns, failed = self.session.take_heard()
        speakers = self.speakers if self.session.asks_speakers else None
        segments = [segment for turn in turns for segment in turn.segments] if speakers is None else []
        if turns or failed:
            await self.recorder.keep(segments, audio_s=self.session.audio_s, lost_turns=failed)
        await self.socket.send(events)
        for turn in turns:
            if speakers is not None and not await speakers.ask(turn):
                await self._show_speakers(turn)


async def _follow(task: asyncio.Task[None]) -> None:
    """Fail with a task that goes on when nobody follows it any more."""
    await asyncio.shield(task)
