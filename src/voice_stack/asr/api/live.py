"""An open socket of a live session: what comes goes to the session, what the transcription tells to the client."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from fastapi import WebSocket

from voice_stack.asr.jobs.sessions import SessionRecorder, SessionTranscripts
from voice_stack.asr.live.dialogue import HeardTurn, LiveSession, Piece
from voice_stack.asr.live.listener import LiveTranscription
from voice_stack.asr.live.turns import Commit, LiveRequest
from voice_stack.asr.live.wire import ModelChoice
from voice_stack.asr.request import DecodeOptions, parse_steps
from voice_stack.asr.service import AsrService
from voice_stack.asr.speakers.follower import SpeakerFollower, segment_events
from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.core.http.event_socket import FAILED, LARGE_CHARS, OVERLOADED, REFUSED, EventSocket, SocketOverError
from voice_stack.core.http.limits import name_caller
from voice_stack.core.http.realtime import Event
from voice_stack.core.http.sockets import OUTLIVES
from voice_stack.core.jobs import options_from

FINISH_S = 60.0
"""For what was heard, when the session is over: several times what an engine may have before it."""
NORMAL, UNAVAILABLE = 1000, 503


class LiveSockets:
    """What the sockets of all live sessions have in common.

    Attributes:
        choice: Which model a session may have.
        base: What the server's settings ask for.
    """

    def __init__(self, service: AsrService, sessions: SessionTranscripts) -> None:
        self._service, self._sessions, self._reading = service, sessions, asyncio.Semaphore()
        names, settings = service.models, service.settings
        self.choice = ModelChoice(names.default, names.resolve, service.capabilities, service.can_follow_speakers)
        # The times of words, for cues, take a twelfth of the work of a turn.
        decode = options_from(DecodeOptions, settings, language=None, word_timestamps=sessions.is_on)
        self.base = LiveRequest(decode, suppress=parse_steps(settings.suppress))

    async def serve(self, websocket: WebSocket, session: LiveSession, *, is_kept: bool) -> None:
        """Open a socket and hold a session on it, to its end.

        Args:
            websocket: Not open yet.
            session: That of who asks.
            is_kept: Whether what is heard is kept, as far as the settings allow that.

        Raises:
            VoiceStackError: There is no place for one more; the socket was not opened.
        """
        promise = await self._service.admit_live(session.model)
        websocket.scope["state"][OUTLIVES] = True
        socket = EventSocket(websocket)
        await socket.accept()
        recorder = self._sessions.begin(session.id, name_caller(websocket.scope), is_kept=is_kept)
        try:
            await _Exchange(socket, session, self._service, recorder, self._reading, promise).run()
        finally:
            self._service.desk.end_promise(promise)  # it may have left without a word
            session.fail(InvalidRequestError("The client has left."))
            turns, failed = session.take_heard()
            segments = [segment for turn in turns for segment in turn.segments]
            await self._sessions.end(recorder, segments, audio_s=session.audio_s, lost_turns=failed)


@dataclass(slots=True)
class _Exchange:
    """One open socket: what comes goes to the session, what the transcription tells goes through it to the client."""

    socket: EventSocket
    session: LiveSession
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
            await self.socket.close(over.code, self.session.fail(over.error) if over.error else self.session.close())
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
        async for message in self.socket.messages():
            if isinstance(message, str) and len(message) > LARGE_CHARS:
                async with self.reading:
                    event = await asyncio.to_thread(self.session.read, message)
            else:
                event = self.session.read(message)
            heard_s = self.session.audio_s
            answer = self.session.receive(event)
            await self.socket.send(answer.events)
            for piece in answer.pieces:
                await self._feed(piece, heard_s, tasks)
            if self.session.is_over:
                raise SocketOverError(NORMAL)
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
