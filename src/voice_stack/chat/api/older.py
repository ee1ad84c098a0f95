"""The routes of older voice services, in their shapes: their clients need another address at most."""

import asyncio
import base64
import io
import json
import platform
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AliasChoices, BaseModel, Field, JsonValue

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.api.messages import flatten
from voice_stack.chat.conversation import Caller
from voice_stack.chat.events import SAMPLE_RATE, Heard
from voice_stack.chat.older import KeptSpeech, KeptSpeeches
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, OverloadedError, VoiceStackError
from voice_stack.core.http.api_docs import Responses, binaries, json_docs
from voice_stack.core.http.app import VERSION
from voice_stack.core.http.context import PAGE_PATH, note_answer_headers, note_error
from voice_stack.core.http.form import check_fields, ignored_fields_header
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.http.streaming import OwningStreamingResponse, finish_unless_disconnected
from voice_stack.core.http.uploads import receive_file, receive_form, receive_object
from voice_stack.core.shared.state import SharedState
from voice_stack.utils.audio.encode import AUDIO_FORMATS, require_format

MAX_CHARS = 5_000
MAX_BODY_BYTES = 1 << 20
MAX_UPLOAD_BYTES = 1 << 30
FILE_NAMES = ("audio_file", "file", "audio")
DEFAULT_VOICE = "default"
PROBE_AGE_S = 1.0
"""However often `/health` is asked, the other servers are asked once in so long."""
_PASSED_ON = ("x-cache", "x-duration-seconds", "x-fallback-model", "x-left-out", "x-warnings", "content-length")
_KEEPS = frozenset({"hit", "joined", "miss"})


class OlderRoute(APIRoute):
    """A route whose errors have FastAPI's `detail`, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """What answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except VoiceStackError as error:
                note_error(request.scope, error.type, error.code)
                return JSONResponse({"detail": error.told, **error.body()}, error.status, error.headers())

        return answer


class HearingFields(BaseModel):
    """Fields of `/voice/stt` and `/transcribe`."""

    language: str | None = Field(None, description="Spoken, as `en`; found if absent.")
    verbose: bool = Field(False, description="`/voice/stt` tells the segments, too, as `/transcribe` does anyway.")


class SpeechWish(BaseModel):
    """Fields of `/voice/tts` and `/synthesize`."""

    text: str = Field(description=f"What to say, {MAX_CHARS} characters at most.")
    voice_id: str = Field(
        DEFAULT_VOICE,
        max_length=200,
        validation_alias=AliasChoices("voice_id", "voice"),
        description="`default`, or a voice of `/voices`; `voice` is the same.",
    )
    language: str | None = Field(None, description="Of the text, as `en`; found from the text if absent.")
    speed: float = Field(1.0, description="0.25 to 4; 1 is the voice's own pace.")
    format: str = Field("wav", description=f"One of {', '.join(AUDIO_FORMATS)}.")


_NAMES = SpeechWish.model_fields.keys() | {"voice"}


@dataclass(slots=True)
class OlderServices:
    """The handlers; one per application."""

    settings: ChatSettings
    servers: SpeechServers
    kept: KeptSpeeches
    look: asyncio.Future[tuple[tuple[str | None, bool], tuple[str | None, bool]]] | None = None
    looked_at_s: float = 0.0

    async def hear(self, request: Request) -> dict[str, object]:
        """Speech to text."""
        heard, told, fields = await self._hear(request)
        known = {"text": heard.text, **told, "language": heard.language, "duration_seconds": heard.duration_s}
        return known | ({"segments": _list_segments(heard)} if fields.verbose else {})

    async def transcribe(self, request: Request) -> dict[str, object]:
        """Speech to text, with the times of its parts."""
        heard, told, _ = await self._hear(request)
        segments = _list_segments(heard)
        known = {"text": heard.text, "language": heard.language, "duration": heard.duration_s, "segments": segments}
        return {**known, **told}

    async def _hear(self, request: Request) -> tuple[Heard, dict[str, object], HearingFields]:
        started_s = time.perf_counter()
        async with receive_recording(request, self.settings.spool_dir, MAX_UPLOAD_BYTES) as (sent, file):
            fields = check_fields(HearingFields, sent)
            tell_ignored(request, sent, HearingFields.model_fields)
            work = self.servers.transcribe(file.path, caller_of(request), language=fields.language)
            heard = await finish_unless_disconnected(request, work)
        took_s = time.perf_counter() - started_s
        confidence = None if heard.confidence is None else round(heard.confidence, 4)
        return heard, {"confidence": confidence, "processing_time_seconds": round(took_s, 3)}, fields

    async def make_file(self, request: Request) -> JSONResponse:
        """Text to a file that is fetched by its id."""
        wish = await _read_wish(request)
        made = await finish_unless_disconnected(request, self._make(wish, caller_of(request)))
        return JSONResponse(made.answer, headers=made.headers)

    async def fetch_file(self, request: Request, audio_file_id: str) -> Response:
        """The file of an id."""
        kept = await self.kept.find(audio_file_id)
        async with AsyncExitStack() as owned:
            content, headers = await self._open(owned, kept, caller_of(request))
            headers["content-disposition"] = f'attachment; filename="{audio_file_id}.{kept.format}"'
            return _stream(content, owned.pop_all(), kept.format, headers)

    async def synthesize(self, request: Request) -> Response:
        """Text to speech: the sound itself as it is spoken, or all of it in JSON if that is what `Accept` names."""
        wish = await _read_wish(request)
        caller = caller_of(request)
        async with AsyncExitStack() as owned:
            if not _wants_json(request.headers.get("accept", "")):
                speech = KeptSpeech(self._ask(wish), wish.format)
                content, headers = await finish_unless_disconnected(request, self._open(owned, speech, caller))
                headers["x-voice-used"] = self._voice(wish)
                return _stream(content, owned.pop_all(), wish.format, headers)
            made = await finish_unless_disconnected(request, self._make(wish, caller))
            content, _ = await self._open(owned, made.speech, caller)
            whole = _in_json(made.answer, content)
            return OwningStreamingResponse(whole, owned.pop_all(), media_type="application/json", headers=made.headers)

    def _voice(self, wish: SpeechWish) -> str:
        return self.settings.voice if wish.voice_id.lower() == DEFAULT_VOICE else wish.voice_id

    def _ask(self, wish: SpeechWish) -> dict[str, JsonValue]:
        """What the TTS server is asked."""
        optional: dict[str, JsonValue] = {} if wish.language is None else {"language": wish.language}
        voice: dict[str, JsonValue] = {
            "voice": self._voice(wish),
            "speed": wish.speed,
            "response_format": wish.format,
        }
        return {"model": "tts-1", "input": wish.text, **voice, **optional}

    async def _make(self, wish: SpeechWish, caller: Caller) -> "_MadeSpeech":
        """Have a text spoken to its end, and keep how it is had again."""
        asked = {**self._ask(wish), "stream": False}
        copy = bytearray()
        async with self.servers.open_speech(asked, caller) as spoken:
            headers = _pass_on(spoken.headers)
            keeps = headers.get("x-cache") in _KEEPS and "x-duration-seconds" in headers
            async for piece in spoken.aiter_bytes():
                copy += b"" if keeps else piece
        speech = KeptSpeech(asked, wish.format, None if keeps else bytes(copy))
        duration = headers.get("x-duration-seconds")
        duration_s = float(duration) if duration else await asyncio.to_thread(_measure, bytes(copy), wish.format)
        answer = {
            "audio_file_id": await self.kept.keep(speech),
            "duration_seconds": round(duration_s, 3),
            "voice_used": self._voice(wish),
        }
        headers.pop("content-length", None)
        return _MadeSpeech(speech, answer, headers)

    async def _open(
        self, owned: AsyncExitStack, speech: KeptSpeech, caller: Caller
    ) -> tuple[AsyncIterable[bytes], dict[str, str]]:
        """A speech as it comes, and what the TTS server tells of it."""
        if speech.copy is not None:
            return _once(speech.copy), {"content-length": str(len(speech.copy))}
        spoken = await owned.enter_async_context(self.servers.open_speech(speech.request, caller))
        return spoken.aiter_bytes(), _pass_on(spoken.headers)

    async def list_voices(self, request: Request) -> dict[str, object]:
        """The voices that can speak."""
        voices = await self.servers.list_voices(caller_of(request))
        shown = {
            voice.id: {"name": voice.name, **{name: voice.details.get(name) for name in ("language", "engine")}}
            for voice in voices
            if voice.details.get("available", True)
        }
        return {"voices": shown, "default": self.settings.voice}

    async def show_health(self) -> JSONResponse:
        """Whether all of it works: 200, or 503 while one of the two other servers does not answer."""
        services = await self._look()
        body: dict[str, object] = {"services": services, "version": VERSION, "server": "chat"}
        away = [name for name, service in services.items() if not service["initialized"]]
        if not away:
            return JSONResponse({"status": "healthy", **body})
        told = f"These do not work: {', '.join(away)}. This server itself does: /healthz says so."
        error = OverloadedError(told, code="upstream_unavailable")
        body |= {"detail": error.told, **error.body()}
        return JSONResponse({"status": "unhealthy", **body}, error.status, error.headers())

    async def show_root(self) -> dict[str, object]:
        """What this server is."""
        root_path, services = self.settings.root_path, await self._look()
        return {
            "name": self.settings.project_name,
            "server": "chat",
            "version": VERSION,
            "docs": f"{root_path}/docs",
            "openapi": f"{root_path}/openapi.json",
            "page": f"{root_path}{PAGE_PATH}",
            "service": f"{self.settings.project_name}: conversations",
            "python_version": platform.python_version(),
            "engines": {name: service["engine"] for name, service in services.items()},
            "endpoints": {name: f"{root_path}{path}" for name, path in _ENDPOINTS.items()},
        }

    async def _look(self) -> dict[str, dict[str, object]]:
        """The two other servers as they were a second ago, at most."""
        if self.look is None or (self.look.done() and time.monotonic() - self.looked_at_s > PROBE_AGE_S):
            self.looked_at_s = time.monotonic()
            self.look = asyncio.gather(self.servers.look("ASR"), self.servers.look("TTS"))
        # Others may wait for the same.
        seen = zip(("stt", "tts"), await asyncio.shield(self.look), strict=True)
        return {name: {"engine": engine, "initialized": is_ready} for name, (engine, is_ready) in seen}


@dataclass(frozen=True, slots=True)
class _MadeSpeech:
    """A speech that is kept, what its client is told, and headers."""

    speech: KeptSpeech
    answer: dict[str, object]
    headers: dict[str, str]


def create_older_router(settings: ChatSettings, servers: SpeechServers, shared: SharedState) -> APIRouter:
    """The routes, to be mounted at the root."""
    routes = OlderServices(settings, servers, KeptSpeeches(shared=shared))
    router = APIRouter(tags=["older clients"], route_class=OlderRoute)
    media_types = binaries(item.media_type for item in AUDIO_FORMATS.values())
    sound: Responses = {200: {"description": "The speech.", "content": media_types}}
    for path, handler in (("/voice/stt", routes.hear), ("/transcribe", routes.transcribe)):
        router.add_api_route(path, handler, methods=["POST"], openapi_extra=form_docs(HearingFields))
    router.add_api_route("/voice/tts", routes.make_file, methods=["POST"], openapi_extra=json_docs(SpeechWish))
    router.add_api_route("/voice/audio/{audio_file_id}", routes.fetch_file, response_class=Response, responses=sound)
    router.add_api_route(
        "/synthesize", routes.synthesize, methods=["POST"], response_class=Response, responses=sound,
        openapi_extra=json_docs(SpeechWish),
    )  # fmt: skip
    router.add_api_route("/voices", routes.list_voices)
    router.add_api_route("/health", routes.show_health, methods=["GET"])
    router.add_api_route("/health", routes.show_health, methods=["HEAD"], include_in_schema=False)
    router.add_api_route("/", routes.show_root, include_in_schema=False)
    return router


_ENDPOINTS = {
    "health": "/health",
    "stt": "/voice/stt",
    "tts": "/voice/tts",
    "audio": "/voice/audio/{audio_file_id}",
    "voices": "/voices",
    "transcribe": "/transcribe",
    "synthesize": "/synthesize",
}


def form_docs(schema: type[BaseModel]) -> dict[str, object]:
    """A form with a recording, or the recording as the body, for the API docs."""
    name, *others = FILE_NAMES
    fields = schema.model_json_schema()
    told = f"The recording; {' and '.join(others)} are the same."
    fields["properties"][name] = {"type": "string", "format": "binary", "description": told}
    fields["required"] = [name]
    whole = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": fields}, "audio/*": whole}}}


@asynccontextmanager
async def receive_recording(
    request: Request, spool_dir: Path | None, max_bytes: int
) -> AsyncIterator[tuple[dict[str, object], SpooledFile]]:
    """The fields of a form or of the query, and the recording: a part of the form by any of its names, or the body.

    Raises:
        InvalidAudioError: There is none, or it is empty.
    """
    name, *others = FILE_NAMES
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        received = receive_form(request, file_field=name, max_bytes=max_bytes, spool_dir=spool_dir, other_names=others)
    else:
        received = receive_file(request, max_bytes=max_bytes, spool_dir=spool_dir)
    async with received as form:
        if form.file is None or not form.file.size:
            told = f"there is no sound in the request: send a recording as part {name!r} of a form, or as the body"
            raise InvalidAudioError(told, param=name)
        yield flatten({**_query_of(request), **form.fields}), form.file


def _query_of(request: Request) -> dict[str, list[str]]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


async def _read_wish(request: Request) -> SpeechWish:
    body = await receive_object(request, max_bytes=MAX_BODY_BYTES)
    wish = check_fields(SpeechWish, body)
    tell_ignored(request, body, _NAMES)
    require_format(wish.format)
    if not wish.text.strip():
        raise InvalidRequestError("the text is empty: there is nothing to speak", param="text")
    if len(wish.text) > MAX_CHARS:
        told = f"the text has {len(wish.text)} characters; {MAX_CHARS} are taken here, 200,000 by /v1/audio/speech"
        raise InvalidRequestError(told, param="text", code="string_above_max_length")
    return wish


def tell_ignored(request: Request, sent: Iterable[str], known: Collection[str]) -> None:
    """Name, in a header of the answer, what was sent and means nothing."""
    note_answer_headers(request.scope, ignored_fields_header([name for name in sent if name not in known]))


def _list_segments(heard: Heard) -> list[dict[str, object]]:
    return [{"start": one.start_s, "end": one.end_s, "text": one.text} for one in heard.segments]


def _wants_json(accept: str) -> bool:
    """Whether a client takes JSON alone: many name it beside `*/*` and mean nothing by that."""
    types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "application/json" in types and not any(one == "*/*" or one.startswith("audio/") for one in types)


def _pass_on(headers: Mapping[str, str]) -> dict[str, str]:
    told = {name: headers[name] for name in _PASSED_ON if name in headers}
    if "content-encoding" in headers:  # that length is another one
        told.pop("content-length", None)
    return told


def _stream(content: AsyncIterable[bytes], owned: AsyncExitStack, name: str, headers: Mapping[str, str]) -> Response:
    return OwningStreamingResponse(content, owned, media_type=require_format(name).media_type, headers=headers)


async def _once(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


async def _in_json(answer: Mapping[str, object], content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """An object with the sound in base64 at its end, as it comes."""
    yield json.dumps(answer)[:-1].encode() + b', "audio_base64": "'
    rest = b""
    async for piece in content:
        rest += piece
        whole = len(rest) - len(rest) % 3
        yield base64.b64encode(rest[:whole])
        rest = rest[whole:]
    yield base64.b64encode(rest) + b'"}'


def _measure(file: bytes, name: str) -> float:
    """The length of a file in seconds; decodes it."""
    if name == "pcm":
        return len(file) / 2 / SAMPLE_RATE
    import av

    with av.open(io.BytesIO(file), mode="r") as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
