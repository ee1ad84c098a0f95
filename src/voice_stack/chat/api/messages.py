"""Messages of a conversation: sent with speech or text, answered as JSON or as events; interrupted; heard again."""

import base64
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, Field, field_validator

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.api.rendering import TurnRenderer
from voice_stack.chat.api.sessions import AUDIO_PATH, JsonObject, ReplyFields
from voice_stack.chat.events import Heard, Sound
from voice_stack.chat.reply_sound import ReplyEncoder, encode_reply
from voice_stack.chat.service import Conversations
from voice_stack.chat.turn_events import Said, ToolResult, TurnDone, TurnError, TurnEvent, TurnOptions
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.context import cache_use
from voice_stack.core.http.form import check_fields, ignored_fields_header
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.http.streaming import (
    KeptAliveEvents,
    OwningStreamingResponse,
    finish_unless_disconnected,
)
from voice_stack.core.http.uploads import read_json, receive_body, receive_file, receive_form, receive_object
from voice_stack.utils.audio.encode import require_format

MAX_TEXT_CHARS = 32_000
MAX_JSON_BYTES = 1 << 20
MAX_SPEECH_BYTES = 100 << 20
"""Of what somebody says at once: an hour of WAV at 16 kHz is 115 MB."""
MAX_KEY_CHARS = 255
MAX_FIELDS = 100
_LISTS = ("tool_results", "modalities", "include", "tools")
_SOUND_TYPES = re.compile(r"(audio|video)/.+|application/(octet-stream|ogg|mp4)", re.IGNORECASE)


class ToolResultBody(BaseModel):
    """What a tool gave back; what is no text becomes JSON."""

    id: str = Field(validation_alias=AliasChoices("id", "tool_call_id", "call_id"), max_length=200)
    output: object = Field(validation_alias=AliasChoices("output", "content"))

    def read(self) -> ToolResult:
        """It, as the turn takes it."""
        text = self.output if isinstance(self.output, str) else json.dumps(self.output, ensure_ascii=False)
        return ToolResult(self.id, text)


class MessageBody(ReplyFields):
    """A message: one of `file` (in a form), `text`, `tool_results`, `continue`; all else is optional."""

    text: str | None = Field(None, max_length=MAX_TEXT_CHARS, description="What the user has typed.")
    tool_results: list[JsonObject] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="What the tools that the model has called gave back: `[{id, output}]`, all of them.",
    )
    goes_on: bool = Field(False, alias="continue", description="The model is asked again, or goes on.")
    modalities: list[Literal["text", "audio"]] = Field(
        ["text", "audio"], min_length=1, description="`text` alone: nothing is spoken."
    )
    response_format: str | None = Field(
        None, description="mp3 (of one answer), pcm (of events: 24 kHz, 16 bit, mono), wav, opus, flac or aac."
    )
    stream: bool = Field(False, description="Events, as they happen; also with `Accept: text/event-stream`.")
    include: list[Literal["reasoning"]] = Field([], description="`reasoning`: the thoughts of the model.")
    interrupt: bool = Field(False, description="End the reply that is being spoken; else that is a 409.")
    audio_end_ms: int | None = Field(None, ge=0, description="How much of its sound was heard.")

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _read_lists(cls, value: object) -> object:
        """As forms have them: repeated, as JSON, or with commas."""
        given = value if isinstance(value, list) else [value]
        texts = [text for text in given if isinstance(text, str)]
        if not texts or len(texts) < len(given):
            return value
        if texts[0].lstrip().startswith("["):
            return _read_json_list(texts[0])
        return [part.strip() for text in texts for part in text.split(",")]


def _read_json_list(text: str) -> object:
    try:
        return read_json(text.encode())
    except (ValueError, InvalidRequestError) as error:
        raise ValueError(f"broken JSON: {error}") from None


class InterruptBody(BaseModel):
    """Where the user has interrupted."""

    audio_end_ms: int | None = Field(
        None, ge=0, description="How much of the reply's sound was heard; else what can have been heard by now."
    )


_FIELDS = {field.alias or name for name, field in MessageBody.model_fields.items()}


@asynccontextmanager
async def _receive(
    request: Request, spool_dir: Path | None
) -> AsyncIterator[tuple[dict[str, object], SpooledFile | None]]:
    """The fields of a message, and its file, whichever way they come; that lies on disk until the context ends."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type.lower() == "application/json":
        yield await receive_object(request, max_bytes=MAX_JSON_BYTES), None
    elif content_type.lower() == "application/x-www-form-urlencoded":
        yield _read_short_form(await receive_body(request, max_bytes=MAX_JSON_BYTES)), None
    elif _SOUND_TYPES.fullmatch(content_type):
        async with receive_file(request, max_bytes=MAX_SPEECH_BYTES, spool_dir=spool_dir) as form:
            query = request.query_params
            yield flatten({name: query.getlist(name) for name in query}), form.file
    else:
        received = receive_form(request, file_field="file", max_bytes=MAX_SPEECH_BYTES, spool_dir=spool_dir)
        async with received as form:
            yield flatten(form.fields), form.file


def _read_short_form(body: bytes) -> dict[str, object]:
    """What `curl -d` sends: a form without a file, or JSON whose type was forgotten."""
    try:
        if body.lstrip().startswith(b"{"):
            value = read_json(body)
            assert isinstance(value, dict)
            return {name: one for name, one in value.items() if one is not None}
        return flatten(parse_qs(body.decode(), max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise InvalidRequestError(f"This is no form: {error}.") from None


def flatten(form: Mapping[str, list[str]]) -> dict[str, object]:
    """Fields as JSON would have them; an empty one counts as absent."""
    fields = dict[str, object]()
    for sent, values in form.items():
        name, filled = sent.removesuffix("[]"), [value for value in values if value != ""]
        if filled:
            fields[name] = filled if name in _LISTS else filled[-1]
    return fields


def read_said(body: MessageBody, file: SpooledFile | None) -> Said:
    """What a message says.

    Raises:
        InvalidRequestError: Nothing, or two things.
    """
    given = {
        "file": file is not None,
        "text": body.text is not None,
        "tool_results": body.tool_results is not None,
        "continue": body.goes_on,
    }
    names = [name for name, is_given in given.items() if is_given]
    if len(names) != 1:
        problem = f"not {' and '.join(names)} at once" if names else "there is none of them"
        raise InvalidRequestError(f"A message has one of {', '.join(given)}: {problem}.", param="text")
    if body.text is not None and not body.text.strip():
        raise InvalidRequestError("text: it is empty", param="text")
    if body.tool_results is not None:
        return tuple(check_fields(ToolResultBody, result).read() for result in body.tool_results)
    return file if file is not None else body.text


def read_options(body: MessageBody, headers: Mapping[str, str]) -> TurnOptions:
    """How a message wants to be answered."""
    key = headers.get("idempotency-key") or None
    if key is not None and len(key) > MAX_KEY_CHARS:
        raise InvalidRequestError(f"Idempotency-Key: at most {MAX_KEY_CHARS} characters, not {len(key)}")
    return TurnOptions(
        is_spoken="audio" in body.modalities,
        voice=body.voice,
        speed=body.speed,
        language=body.language,
        instructions=body.instructions,
        emotion=body.emotion,
        emotion_strength=body.emotion_strength,
        tools=None if body.tools is None else tuple(body.tools),
        cache=cache_use(is_wanted=True, headers=headers),
        key=key,
        interrupts=body.interrupt,
        audio_end_ms=body.audio_end_ms,
    )


class MessageRoutes:
    """What the routes of messages do.

    Args:
        conversations: All of them.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations, self._settings = conversations, conversations.parts.settings

    async def send(self, request: Request, session_id: str) -> Response:
        """Answer a message.

        Raises:
            VoiceStackError: It cannot be understood, or not be answered.
        """
        async with AsyncExitStack() as owned:
            fields, file = await owned.enter_async_context(_receive(request, self._settings.spool_dir))
            body = check_fields(MessageBody, fields)
            said, options = read_said(body, file), read_options(body, request.headers)
            is_stream = body.stream or "text/event-stream" in request.headers.get("accept", "")
            sound_format = body.response_format or ("pcm" if is_stream else "mp3")
            require_format(sound_format)
            renderer = TurnRenderer(self._settings.public_prefix, shows_reasoning=bool(body.include))
            events = self._conversations.turn(session_id, said, caller_of(request), options)
            owned.push_async_callback(events.aclose)
            ignored = [name for name in fields if name not in _FIELDS]
            if not is_stream:
                answer = answer_whole(renderer, events, sound_format, ignored)
                return await finish_unless_disconnected(request, answer)
            # What cannot be heard, or not be served at all, is an honest status.
            first = await finish_unless_disconnected(request, _first(events))
            encoder = owned.enter_context(closing(ReplyEncoder(sound_format)))
            content = KeptAliveEvents(_tell(renderer, first, events, encoder))
            owned.push_async_callback(content.aclose)
            headers = ignored_fields_header(ignored)
            return OwningStreamingResponse(content, owned.pop_all(), media_type="text/event-stream", headers=headers)

    async def interrupt(self, request: Request, session_id: str) -> dict[str, object]:
        """Stop the reply that is being spoken."""
        body = check_fields(InterruptBody, await receive_object(request, may_be_empty=True))
        done = await self._conversations.interrupt(session_id, body.audio_end_ms)
        renderer = TurnRenderer(self._settings.public_prefix, shows_reasoning=False)
        return {"session_id": session_id, **renderer.interruption(done)}

    async def speak(self, request: Request, session_id: str, message_id: str, sound_format: str) -> Response:
        """Speak a reply again."""
        media_type = require_format(sound_format).media_type
        async with AsyncExitStack() as owned:
            sound = self._conversations.read_out(session_id, message_id, caller_of(request))
            owned.push_async_callback(sound.aclose)
            encoder = owned.enter_context(closing(ReplyEncoder(sound_format)))
            first = await finish_unless_disconnected(request, _first(sound))
            content = _encode(first, sound, encoder)
            owned.push_async_callback(content.aclose)
            return OwningStreamingResponse(content, owned.pop_all(), media_type=media_type)


T = TypeVar("T")


async def _first(events: AsyncGenerator[T, None]) -> T:
    """The first event, unless that is a failure.

    Raises:
        VoiceStackError: It is.
    """
    event = await anext(events)
    if isinstance(event, TurnError):
        raise event.error
    return event


async def _encode(first: Sound, rest: AsyncIterable[Sound], encoder: ReplyEncoder) -> AsyncGenerator[bytes, None]:
    yield await encoder.push(first.samples)
    async for sound in rest:
        yield await encoder.push(sound.samples)
    yield await encoder.finish()


async def _tell(
    renderer: TurnRenderer, first: TurnEvent, rest: AsyncIterable[TurnEvent], encoder: ReplyEncoder
) -> AsyncGenerator[dict[str, object], None]:
    """The events of a turn as they are sent."""
    if (told := renderer.event(first)) is not None:
        yield told
    async for event in renderer.render(rest, encoder):
        yield event if isinstance(event, dict) else event.describe()


async def answer_whole(
    renderer: TurnRenderer, events: AsyncIterable[TurnEvent], sound_format: str, ignored: Sequence[str]
) -> Response:
    """A turn in one piece.

    Raises:
        VoiceStackError: There is no reply.
    """
    sound, heard, failure, done = bytearray(), None, None, None
    async for event in events:
        match event:
            case Sound():
                sound += event.samples
            case Heard():
                heard = event
            case TurnError() if event.stage != "tts":
                failure = event.error
            case TurnDone():
                done = event
    if failure is not None:
        raise failure
    assert done is not None
    told = renderer.done(done) | {"transcript": renderer.transcript(heard) if heard else None, "audio": None}
    if sound:
        data = await encode_reply(bytes(sound), sound_format)
        told["audio"] = {"format": sound_format, "data": base64.b64encode(data).decode()}
    return JSONResponse({"object": "voice.turn", **told}, headers=describe_in_headers(done, ignored))


def describe_in_headers(done: TurnDone, ignored: Sequence[str]) -> dict[str, str]:
    """What a client may want to know of a turn without reading its body."""
    headers = ignored_fields_header([*ignored, *done.ignored]) | ({"x-cache": done.cache} if done.cache else {})
    if done.message is not None:
        headers |= {f"x-{stage.replace('_', '-')}-s": f"{value:.3f}" for stage, value in done.message.timings.items()}
        if done.message.tts_error:
            headers["x-warnings"] = "not all of the reply is spoken"
    return headers


def create_messages_router(conversations: Conversations) -> APIRouter:
    """The routes, below the API prefix."""
    router, routes = APIRouter(tags=["conversations"]), MessageRoutes(conversations)

    @router.post(
        "/voice/sessions/{session_id}/messages", openapi_extra=json_docs(MessageBody), response_class=JSONResponse
    )
    async def send_message(request: Request, session_id: str) -> Response:
        """Say something, as text or as speech, and get the reply: whole, or as events."""
        return await routes.send(request, session_id)

    @router.post("/voice/sessions/{session_id}/interrupt", openapi_extra=json_docs(InterruptBody, required=False))
    async def interrupt(request: Request, session_id: str) -> dict[str, object]:
        """Stop the reply that is being spoken; what was heard of it stays."""
        return await routes.interrupt(request, session_id)

    @router.get(AUDIO_PATH, response_class=Response)
    async def speak_again(request: Request, session_id: str, message_id: str, response_format: str = "mp3") -> Response:
        """A reply, spoken again: no sound of conversations is kept."""
        return await routes.speak(request, session_id, message_id, response_format)

    return router
