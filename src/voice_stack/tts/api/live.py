"""Speech of a text that is still being written, over a WebSocket.

Messages are JSON, but for the sound, which comes in binary ones: base64 is a third more to send, and to decode before
it can be played. Every `start` is answered by `started` and one `done`, or by an `error`.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping
from contextlib import aclosing, suppress
from enum import Enum
from typing import Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from voice_stack.core.errors import EngineError, InvalidRequestError, ShuttingDownError, VoiceStackError
from voice_stack.core.http.context import add_log_fields
from voice_stack.core.http.serving import REASON
from voice_stack.core.http.uploads import read_json
from voice_stack.tts.api.openai import MAX_BYTES_PER_CHARACTER, usage_of
from voice_stack.tts.captions.sentences import Granularity, find_sentence
from voice_stack.tts.request import Flush
from voice_stack.tts.schemas import MAX_INPUT_CHARS, SpeechBody, check_speech, find_ignored_fields
from voice_stack.tts.service import TtsService
from voice_stack.tts.speech import FedSpeech
from voice_stack.utils.audio.encode import require_format

logger = logging.getLogger(__name__)

GOING_AWAY = 1001
MAX_MESSAGE_CHARS = MAX_INPUT_CHARS * MAX_BYTES_PER_CHARACTER + 65_536
STATES = {"start": "new over", "text": "open", "flush": "open", "end": "open closed", "cancel": "open closed"}
"""When each message may come."""
_MEANS_NOTHING = frozenset({"stream", "stream_format", "cache"})


class Control(Enum):
    """Messages that hold nothing."""

    END = "end"
    CANCEL = "cancel"


Asked = SpeechBody | str | Flush | Control | None
"""What a message asks for: a speech, more of its text, ...; None: nothing."""


class Dialogue:
    """What a client may say when: pure, one for each socket.

    Attributes:
        state: Text may come while a speech is `open`; it is spoken while it is `closed`, and then `over`.
        sent: The fields of the last start.
    """

    def __init__(self) -> None:
        self.state: Literal["new", "open", "closed", "over"] = "new"
        self.sent: dict[str, object] = {}

    def take(self, message: str | None) -> Asked:
        """What a message asks for: nothing if it was on its way when the speech was over.

        Args:
            message: As it came; None for a binary one.

        Raises:
            InvalidRequestError: It cannot be understood, or not now. The speech that is under way goes on.
        """
        fields = _parse(message)
        kind = fields.pop("type", None)
        if not isinstance(kind, str) or kind not in STATES:
            raise InvalidRequestError(f"type={kind!r:.80}: one of {', '.join(STATES)} is expected", param="type")
        if self.state == "over" and kind != "start":
            return None
        if self.state not in STATES[kind].split():
            advice = "the first message is start" if self.state == "new" else "wait for done, or send cancel, first"
            raise InvalidRequestError(f"type={kind!r}: {advice}", param="type")
        match kind:
            case "start":
                return self._start(fields)
            case "text":
                return _read_delta(fields)
            case "flush":
                return Flush()
            case "end":
                self.state = "closed"
                return Control.END
        return Control.CANCEL

    def find_ignored(self, unheeded: Collection[str]) -> list[str]:
        """Names of the fields of the last start that change nothing, those included that not all of it heeds."""
        ignored = find_ignored_fields(self.sent, unheeded)
        return [*ignored, *sorted(_MEANS_NOTHING & self.sent.keys())]

    def _start(self, fields: Mapping[str, object]) -> SpeechBody:
        if fields.get("input") is not None:
            raise InvalidRequestError("input: the text comes in messages of type text", param="input")
        given = {name: value for name, value in fields.items() if value is not None}
        body = check_speech({**given, "input": ""})
        self.sent = given
        self.state = "open"
        return body


def _parse(message: str | None) -> dict[str, object]:
    if message is None or len(message) > MAX_MESSAGE_CHARS:
        raise InvalidRequestError(f"The message is no text of at most {MAX_MESSAGE_CHARS} characters.")
    try:
        value = read_json(message.encode())
    except UnicodeEncodeError:  # half a character: the other half may come with the next piece
        value = json.loads(message)
    except ValueError as error:
        raise InvalidRequestError(f"The message is no JSON object: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("The message is no JSON object.")
    return value


def _read_delta(fields: Mapping[str, object]) -> str:
    delta = fields.get("delta")
    if not isinstance(delta, str):
        raise InvalidRequestError(f"delta={delta!r:.80}: a text is expected", param="delta")
    return delta


class SpeechSocket:
    """One connection: its client's messages are obeyed while the speech is sent."""

    def __init__(self, service: TtsService, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._dialogue = Dialogue()
        self._speech: FedSpeech | None = None
        self._telling: asyncio.Task[None] | None = None
        self._is_broken_off = False

    async def serve(self) -> None:
        """Until the client leaves, or the server stops."""
        await self._socket.accept()
        stop = asyncio.create_task(self._await_stop())
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                try:
                    asked = self._dialogue.take(message.get("text"))
                except InvalidRequestError as error:
                    await self._send("error", **error.body())
                    continue
                try:
                    await self._obey(asked)
                except VoiceStackError as error:
                    await self._stop()
                    await self._send("error", **error.body())
        except WebSocketDisconnect:
            pass
        finally:
            stop.cancel()
            await self._stop()

    async def _await_stop(self) -> None:
        """End with the server: what was written is spoken, and who was still writing is told that it is not all."""
        await self._socket.app.state.stopping.wait_to_finish(self._socket.scope)
        if self._speech is not None and self._telling is not None:
            self._is_broken_off, self._dialogue.state = self._dialogue.state == "open", "closed"
            self._speech.close()
            await asyncio.wait([self._telling])
        with suppress(WebSocketDisconnect):
            await self._socket.close(GOING_AWAY, REASON)

    async def _obey(self, asked: Asked) -> None:
        if isinstance(asked, SpeechBody):
            await self._begin(asked)
        if (speech := self._speech) is None:
            return
        match asked:
            case str():
                await speech.feed(asked)
            case Flush():
                await speech.flush()
            case Control.END:
                speech.close()
            case Control.CANCEL:
                await self._stop()
                await self._send("done", reason="cancelled", **_describe(speech))

    async def _begin(self, body: SpeechBody) -> None:
        self._speech = await self._service.begin_fed(body)
        ignored = self._dialogue.find_ignored(self._speech.unheeded)
        sound = {"format": body.response_format, "sample_rate": require_format(body.response_format).sample_rate}
        await self._send("started", voice=body.voice, **sound, **({"ignored_fields": ignored} if ignored else {}))
        self._telling = asyncio.create_task(self._tell(self._speech, body.timestamps))

    async def _tell(self, speech: FedSpeech, timestamps: Granularity | None) -> None:
        """Send the speech as it is spoken, and how it ended."""
        try:
            async with aclosing(speech.pieces()) as pieces:
                async for piece in pieces:
                    sentence = find_sentence(piece.heading)
                    if sentence is not None and timestamps:
                        await self._send("words", **sentence.describe(with_words=timestamps == "word"))
                    if piece.audio:
                        await self._socket.send_bytes(piece.audio)
                    if piece.note and "flushed" in piece.note:
                        await self._send("flushed")
            self._end()
            if self._is_broken_off:
                await self._send("error", **ShuttingDownError(REASON).body())
            else:
                await self._send("done", reason="complete", **_describe(speech))
        except WebSocketDisconnect:
            pass
        except Exception as error:
            if not isinstance(error, VoiceStackError):
                logger.exception("a speech failed")
                error = EngineError("the speech failed")
            self._end()
            await self._send("error", **error.body())

    async def _send(self, kind: str, **fields: object) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnect
        await self._socket.send_text(json.dumps({"type": kind, **fields}))

    def _end(self) -> None:
        if self._speech is not None:
            add_log_fields(self._socket, **self._speech.log_fields())
        self._dialogue.state, self._speech = "over", None

    async def _stop(self) -> None:
        """End the speech, whatever is still to be said."""
        if self._speech is not None:
            self._speech.cancel()
        self._end()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)


def _describe(speech: FedSpeech) -> dict[str, object]:
    audio_s = speech.facts().audio_s
    told: dict[str, object] = {"duration": round(audio_s, 3), "usage": usage_of(speech.written, audio_s)}
    told |= {"left_out": list(speech.left_out)} if speech.left_out else {}
    told |= {"provider": ", ".join(speech.providers)} if speech.providers else {}
    return told | ({"fallback_model": ", ".join(speech.substitutes)} if speech.substitutes else {})


def create_live_router(service: TtsService) -> APIRouter:
    """The route, below the API prefix."""
    router = APIRouter()

    @router.websocket("/audio/speech/stream")
    async def speak_live(socket: WebSocket) -> None:
        await SpeechSocket(service, socket).serve()

    return router
