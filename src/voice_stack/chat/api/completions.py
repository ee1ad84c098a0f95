"""OpenAI's chat with sound in it; a chat of text alone goes to the language model, and comes back, as it is."""

import base64
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Literal

import httpx2
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.api.completion_messages import MessageReader, has_sound
from voice_stack.chat.conversation import VoiceChoice
from voice_stack.chat.events import ReasoningDelta, ReplyDone, ReplyEvent, Sound, TextDelta
from voice_stack.chat.reply import Assistant
from voice_stack.chat.reply_sound import encode_reply
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.upstream import end_to_end
from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError, UpstreamError
from voice_stack.core.http.form import check_fields, ignored_fields_header
from voice_stack.core.http.streaming import (
    KeptAliveEvents,
    OwningStreamingResponse,
    encode_sse,
    finish_unless_disconnected,
)
from voice_stack.core.http.uploads import parse_json, receive_body
from voice_stack.core.shared.state import SharedState
from voice_stack.language_model.deltas import ToolCall
from voice_stack.language_model.model import ChatMessage, LanguageModel, ModelRequest

MAX_BODY_BYTES = 64 << 20
PATIENCE_S = 10.0
"""So long the first sound is awaited before the status goes out: what fails before it has a status of its own."""
PIECE_BYTES = 4800
"""A tenth of a second."""
_WHOLE_BYTES = 6
"""Samples of two bytes, and base64 that can be joined, as OpenAI's client does: it takes three bytes at a time."""
EVENT_STREAM = "text/event-stream"
_DONE = b"data: [DONE]\n\n"
_ALIAS = re.compile(r"gpt-(?:4o(?:-mini)?-audio|audio)\b.*")
"""OpenAI's models that hear and speak: here any model does."""
_KEPT_FROM_MODEL = re.compile(
    "host|content-length|content-type|authorization|(?:x-)?api-key|cookie|origin|referer|sec-.*|expect|via|forwarded|"
    "x-forwarded-.*|x-real-ip|x-request-id|x-stainless-.*"
)
"""What is between the client and this server, keys first; Ollama refuses pages of origins that it does not know."""
_KEPT_FROM_CLIENT = re.compile(
    rb"date|server|set-cookie|access-control-.*|strict-transport-security|alt-svc|x-accel-buffering"
)


class _VoiceId(BaseModel):
    id: str


class _AudioChoice(BaseModel):
    voice: str | _VoiceId | None = None
    format: Literal["wav", "mp3", "flac", "opus", "aac", "pcm16"] | None = None


class _StreamOptions(BaseModel):
    include_usage: bool | None = None


class CompletionBody(BaseModel):
    """What is read of a request that is answered in sound; each other field goes to the language model."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, object]] = Field(
        min_length=1, description="As OpenAI's; parts of the type `input_audio` are heard."
    )
    model: str | None = Field(None, description="Of the language model; none or `gpt-audio`: that of the settings.")
    modalities: list[Literal["text", "audio"]] | None = None
    audio: _AudioChoice | None = None
    n: int | None = Field(None, ge=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    transcription_model: str | None = Field(None, description="Of the ASR server.")
    speech_model: str | None = Field(None, description="Of the TTS server.")


def create_completions_router(
    model: LanguageModel, servers: SpeechServers, assistant: Assistant, settings: ChatSettings, shared: SharedState
) -> APIRouter:
    """The route, below the API prefix."""
    router, chat = APIRouter(tags=["chat"]), _Chat(model, MessageReader(servers, shared), assistant, settings)
    content = {"application/json": {"schema": CompletionBody.model_json_schema()}}
    docs = {"requestBody": {"required": True, "content": content}}

    @router.post("/chat/completions", openapi_extra=docs, response_class=Response)
    async def complete(request: Request) -> Response:
        """A reply of the language model, to text or speech, in text or speech."""
        body = await receive_body(request, max_bytes=MAX_BODY_BYTES)
        asked = await parse_json(body)
        if not isinstance(asked, dict):
            raise InvalidRequestError(f"the body must be a JSON object, not {type(asked).__name__}")
        model.require()
        return await chat.answer(request, body, asked)

    return router


class _Chat:
    """Answers requests, in sound or by passing them on."""

    def __init__(
        self, model: LanguageModel, messages: MessageReader, assistant: Assistant, settings: ChatSettings
    ) -> None:
        self._model, self._messages, self._assistant, self._settings = model, messages, assistant, settings

    async def answer(self, request: Request, body: bytes, asked: Mapping[str, object]) -> Response:
        given = asked.get("model")
        is_open = not given or (isinstance(given, str) and _ALIAS.fullmatch(given) is not None)
        modalities = asked.get("modalities")
        if isinstance(modalities, list) and "audio" in modalities:
            return await self._answer_in_sound(request, asked, "" if is_open else str(given))
        heard = has_sound(asked.get("messages"))
        added = {name: value for name, value in self._settings.llm_options.items() if name not in asked}
        if not (heard or is_open or added):
            return await self._pass_on(request, body)
        passed: dict[str, object] = {**added, **asked}
        if is_open:
            passed["model"] = await self._model.choose("")
        if heard:
            fields = check_fields(CompletionBody, {name: value for name, value in asked.items() if value is not None})
            passed["messages"] = await self._read(request, fields)
            for name in ("transcription_model", "speech_model"):
                passed.pop(name, None)
        return await self._pass_on(request, json.dumps(passed, ensure_ascii=False).encode())

    async def _read(self, request: Request, fields: CompletionBody) -> list[ChatMessage]:
        reading = self._messages.read(fields.messages, caller_of(request), fields.transcription_model or "whisper-1")
        return await finish_unless_disconnected(request, reading)

    async def _pass_on(self, request: Request, body: bytes) -> Response:
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in end_to_end(request.headers.raw)}
        headers = {name: value for name, value in given.items() if not _KEPT_FROM_MODEL.fullmatch(name)}
        own = {"content-type": "application/json", "x-request-id": request.state.request_id}
        headers = {"accept-encoding": "identity", **headers, **own}
        answer = await finish_unless_disconnected(request, self._model.post(body, headers))
        async with AsyncExitStack() as owned:
            owned.push_async_callback(answer.aclose)
            response = OwningStreamingResponse(self._pieces(answer), owned.pop_all(), media_type=EVENT_STREAM)
            told = [header for header in end_to_end(answer.headers.raw) if not _KEPT_FROM_CLIENT.fullmatch(header[0])]
            response.raw_headers = [*told, (b"x-accel-buffering", b"no")]
            response.status_code = answer.status_code
            return response

    async def _pieces(self, answer: httpx2.Response) -> AsyncIterator[bytes]:
        is_stream = answer.headers.get("content-type", "").startswith(EVENT_STREAM)
        try:
            async for piece in self._model.pieces(answer):
                yield piece
        except UpstreamError as error:
            if not is_stream or "content-encoding" in answer.headers:
                raise
            yield b"\n\n" + encode_sse(error.body())  # the last line may be a part of one

    async def _answer_in_sound(self, request: Request, asked: Mapping[str, object], model: str) -> Response:
        fields = check_fields(CompletionBody, {name: value for name, value in asked.items() if value is not None})
        if (fields.n or 1) > 1:
            raise UnsupportedValueError(f"n={fields.n}: there is one reply in sound, n=1.", param="n")
        choice = fields.audio or _AudioChoice()
        format_name = choice.format or ("pcm16" if fields.stream else "wav")
        if fields.stream and format_name != "pcm16":
            message = f"audio.format={format_name!r} cannot be streamed. Supported with stream=true: pcm16."
            raise UnsupportedValueError(message, param="audio.format")
        messages = self._with_instructions(await self._read(request, fields))
        name = await self._model.choose(model)
        voice_id = choice.voice.id if isinstance(choice.voice, _VoiceId) else choice.voice
        voice = VoiceChoice(voice_id or self._settings.voice, fields.speech_model or "tts-1")
        asked_for = ModelRequest(messages, name, fields.model_extra or {})
        reply = _Reply(self._assistant.answer(asked_for, voice, caller_of(request)), name, self._messages)
        if not fields.stream:
            whole, ignored = await finish_unless_disconnected(request, reply.collect(format_name))
            return JSONResponse(whole, headers=ignored)
        with_usage = fields.stream_options is not None and bool(fields.stream_options.include_usage)
        events = KeptAliveEvents(reply.chunks(with_usage=with_usage))
        async with AsyncExitStack() as owned:
            owned.push_async_callback(events.aclose)
            await events.wait_for_first(request, PATIENCE_S)
            return OwningStreamingResponse(reply.end_with_mark(events), owned.pop_all(), media_type=EVENT_STREAM)

    def _with_instructions(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        """A model of text has to be told that it is heard; whoever gives instructions tells it what they want."""
        if any(message.get("role") in ("system", "developer") for message in messages):
            return messages
        return [{"role": "system", "content": self._settings.instructions}, *messages]


class _Reply:
    """A reply in sound, as OpenAI's client gets it.

    Args:
        events: Of the reply.
        model: Who answers.
        messages: Keep what was said, for later turns.
    """

    def __init__(self, events: AsyncGenerator[ReplyEvent, None], model: str, messages: MessageReader) -> None:
        self._events, self._messages = events, messages
        self._head: dict[str, object] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion"}
        self._head |= {"created": int(time.time()), "model": model}
        self._audio_id = f"audio_{uuid.uuid4().hex}"
        self._is_begun = self._is_named = self._is_whole = False
        self._calls: list[ToolCall] = []
        self._rest = b""

    async def collect(self, format_name: str) -> tuple[dict[str, object], dict[str, str]]:
        """The answer in one piece, and headers.

        Raises:
            VoiceStackError: The model or the voice failed.
        """
        sound, done = bytearray(), ReplyDone("")
        async with aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, Sound):
                    sound += event.samples
                elif isinstance(event, ToolCall):
                    self._calls.append(event)
                elif isinstance(event, ReplyDone):
                    done = event
        if done.tts_error is not None:
            raise done.tts_error
        message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        if done.reasoning:
            message["reasoning_content"] = done.reasoning
        if self._calls:
            message["tool_calls"] = [_tell_call(call) for call in self._calls]
        if done.text or not self._calls:
            file = await encode_reply(bytes(sound), "pcm" if format_name == "pcm16" else format_name)
            data = base64.b64encode(file).decode()
            message["audio"] = {"id": self._audio_id, "data": data, "transcript": done.text} | await self._keep(done)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
        usage = {"usage": done.usage} if done.usage else {}
        return {**self._head, "choices": [choice], **usage}, ignored_fields_header(done.ignored)

    async def chunks(self, *, with_usage: bool) -> AsyncGenerator[dict[str, object], None]:
        """The answer in chunks; none comes before the first sound, where there is to be some.

        Raises:
            VoiceStackError: The model or the voice failed.
        """
        held, done, is_heard = list[dict[str, object]](), ReplyDone(""), False
        async with aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, ReplyDone):
                    done = event
                    continue
                held += self._deltas(event)
                is_heard |= isinstance(event, Sound | ToolCall)
                while held and is_heard:
                    yield self._chunk(held.pop(0))
        if done.tts_error is not None:
            raise done.tts_error
        kept = await self._keep(done) if done.text or not self._calls else {}
        for delta in [*held, *self._last_deltas(kept)]:
            yield self._chunk(delta)
        yield self._chunk({}, done.finish_reason)
        if with_usage and done.usage:
            yield {**self._chunk({}), "choices": [], "usage": done.usage}
        self._is_whole = True

    async def end_with_mark(self, events: KeptAliveEvents) -> AsyncIterator[bytes]:
        """The events of `chunks`, and the mark of their end where it came to that."""
        async for event in events:
            yield event
        if self._is_whole:
            yield _DONE

    def _chunk(self, delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
        role = {} if self._is_begun else {"role": "assistant", "content": None}
        self._is_begun = True
        choices = [{"index": 0, "delta": {**role, **delta}, "logprobs": None, "finish_reason": finish_reason}]
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}

    def _deltas(self, event: ReplyEvent) -> Iterator[dict[str, object]]:
        if isinstance(event, TextDelta):
            yield self._audio({"transcript": event.delta})
        elif isinstance(event, ReasoningDelta):
            yield {"reasoning_content": event.delta}
        elif isinstance(event, ToolCall):
            yield {"tool_calls": [{"index": len(self._calls), **_tell_call(event)}]}
            self._calls.append(event)
        elif isinstance(event, Sound):
            yield from self._sound(event.samples)

    def _last_deltas(self, kept: dict[str, object]) -> Iterator[dict[str, object]]:
        if self._rest:
            yield from self._sound(bytes(-len(self._rest) % _WHOLE_BYTES))
        if kept:
            yield self._audio(kept)

    def _sound(self, samples: bytes) -> Iterator[dict[str, object]]:
        sound = self._rest + samples
        end = len(sound) // _WHOLE_BYTES * _WHOLE_BYTES
        self._rest = sound[end:]
        for start in range(0, end, PIECE_BYTES):
            data = base64.b64encode(sound[start : min(start + PIECE_BYTES, end)]).decode()
            yield self._audio({"data": data})

    def _audio(self, fields: dict[str, object]) -> dict[str, object]:
        """A delta of the sound. Its id comes once: OpenAI's client joins what comes again."""
        named = {} if self._is_named else {"id": self._audio_id}
        self._is_named = True
        return {"audio": {**named, **fields}}

    async def _keep(self, done: ReplyDone) -> dict[str, object]:
        return {"expires_at": int(await self._messages.replies.keep(self._audio_id, done.text))}


def _tell_call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
