"""OpenAI's speech route and the models."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from enum import Enum

from fastapi import APIRouter, Request, Response

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.context import add_log_fields, headers_of
from voice_stack.core.http.form import ignored_fields_header
from voice_stack.core.http.models import add_model_routes
from voice_stack.core.http.streaming import OwningStreamingResponse, finish_unless_disconnected
from voice_stack.core.http.uploads import receive_json
from voice_stack.core.telemetry.registry import count_error
from voice_stack.tts.api.documents import CAPTIONS, SPEECH
from voice_stack.tts.cache.entry import Piece, SpeechFacts
from voice_stack.tts.cache.recording import Reader
from voice_stack.tts.cache.speech_cache import OpenSpeech
from voice_stack.tts.captions.formats import require_caption_format
from voice_stack.tts.captions.sentences import Granularity, find_sentence
from voice_stack.tts.captions.store import CaptionStore
from voice_stack.tts.schemas import SpeechBody, check_speech, find_ignored_fields
from voice_stack.tts.service import TtsService
from voice_stack.tts.speech import Speech
from voice_stack.tts.turns import Turn, speech_key
from voice_stack.utils.audio.encode import require_format


class CacheUse(Enum):
    """What may be done with a kept speech, and with one that is made now."""

    USUAL = "serve what is there, keep what is made"
    FRESH = "make it anew and keep that"
    NONE = "serve nothing that is there, keep nothing"


def cache_use(*, is_wanted: bool, headers: Mapping[str, str]) -> CacheUse:
    """What a request allows.

    Args:
        is_wanted: Its field `cache`.
        headers: Its headers; `no-store` and `no-cache` in `Cache-Control` count (RFC 9111, section 5.2.1).
    """
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if not is_wanted or "no-store" in directives:
        return CacheUse.NONE
    return CacheUse.FRESH if "no-cache" in directives else CacheUse.USUAL


def entity_tag(key: str, stream_format: str) -> str:
    """The ETag of an answer: weak, because a speech that is made again sounds the same and has other bytes."""
    return f'W/"{key[:32]}-{stream_format}"'


def is_known(tag: str, headers: Mapping[str, str]) -> bool:
    """Whether the client has an answer of that tag already: it stands in `If-None-Match`."""
    known = (given.strip().removeprefix("W/") for given in headers.get("if-none-match", "").split(","))
    return tag.removeprefix("W/") in known


CAPTIONS_HEADER = "x-captions"
"""Tells where the captions of the speech in the answer are."""


def add_caption_routes(router: APIRouter, store: CaptionStore) -> None:
    """Add the route to a router below the API prefix."""

    @router.get("/audio/speech/{speech_id}/captions", response_class=Response, responses=CAPTIONS)
    async def get_captions(speech_id: str, format: str = "json") -> Response:  # noqa: A002 - its name in the query
        """When each sentence and word of a speech is said; while it is still being spoken: so far."""
        caption_format = require_caption_format(format)
        body = await asyncio.to_thread(caption_format.render, store.find(speech_id))
        return Response(body, media_type=caption_format.media_type)


def captions_path(prefix: str, speech_id: str) -> str:
    """Where the captions of a speech are, below the server's address."""
    return f"{prefix}/audio/speech/{speech_id}/captions"


async def speech_events(reader: Reader, text: str, timestamps: Granularity | None = None) -> AsyncIterator[bytes]:
    """The events of a speech; a failure on the way is an event, too.

    Args:
        reader: Of the speech.
        text: What is said in it.
        timestamps: What is told the times of: each sentence before its sound, with its words or without.
    """
    try:
        async for piece in reader.pieces():
            sentence = find_sentence(piece.note)
            if piece.audio:
                yield encode_event(_delta(piece))
            if sentence and timestamps:
                times = sentence.describe(with_words=timestamps == "word")
                yield encode_event({"type": "speech.timestamps", **times})
    except VoiceStackError as error:
        count_error(error)
        yield encode_event(error.body())
        return
    assert reader.facts is not None
    yield encode_event(_done(reader.facts, text))


def encode_event(event: object) -> bytes:
    """An event as it goes over the wire."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def _delta(piece: Piece) -> dict[str, object]:
    event: dict[str, object] = {"type": "speech.audio.delta", "audio": base64.b64encode(piece.audio).decode()}
    return event | (piece.note if piece.note and find_sentence(piece.note) is None else {})


def _done(facts: SpeechFacts, text: str) -> dict[str, object]:
    """OpenAI counts tokens; here a token in is 4 characters and a token out is 50 ms."""
    tokens_in, tokens_out = -(-len(text) // 4), round(facts.audio_s * 20)
    usage = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    done: dict[str, object] = {"type": "speech.audio.done", "usage": usage, "duration": round(facts.audio_s, 3)}
    if head := facts.exact_head.data:
        done["exact_head"] = {"replaces": facts.exact_head.replaces, "data": base64.b64encode(head).decode()}
    return done


FALLBACK_HEADER = "x-fallback-model"
# A character is at most 6 bytes as a JSON escape, 12 outside the basic plane.
MAX_BYTES_PER_CHARACTER = 12


def create_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])
    max_chars = service.settings.max_input_chars
    schema = {"content": {"application/json": {"schema": SpeechBody.model_json_schema()}}, "required": True}

    @router.post("/audio/speech", openapi_extra={"requestBody": schema}, response_class=Response, responses=SPEECH)
    async def speak(request: Request) -> Response:
        """Text to speech."""
        body = await receive_json(request, max_bytes=max_chars * MAX_BYTES_PER_CHARACTER + 65_536)
        answer = await answer_speech(service, request, check_speech(body, max_chars=max_chars))
        answer.headers.update(ignored_fields_header(find_ignored_fields(body)))
        return answer

    add_model_routes(router, service.models)
    add_caption_routes(router, service.captions)

    return router


async def answer_speech(service: TtsService, request: Request, body: SpeechBody) -> Response:
    """Speak what a checked request says, from the cache if it is there.

    Raises:
        VoiceStackError: It cannot be spoken.
    """
    plan = await finish_unless_disconnected(request, service.plan(body))
    use = cache_use(is_wanted=body.cache and service.cache.is_on, headers=request.headers)
    if use is CacheUse.NONE:
        return await _speak(service, request, body, plan, None)
    key = await asyncio.to_thread(speech_key, plan, body.response_format)
    tag = entity_tag(key, f"{body.stream_format}{body.timestamps or ''}")
    # An answer without a body would tell no address of captions.
    if use is CacheUse.USUAL and not body.timestamps and is_known(tag, request.headers):
        return Response(status_code=304, headers={"etag": tag})
    response = await _speak(service, request, body, plan, key, is_fresh=use is CacheUse.FRESH)
    if FALLBACK_HEADER not in response.headers:
        response.headers["etag"] = tag
    return response


async def _speak(
    service: TtsService,
    request: Request,
    body: SpeechBody,
    plan: Sequence[Turn],
    key: str | None,
    *,
    is_fresh: bool = False,
) -> Response:
    async with AsyncExitStack() as owned:
        is_sse = body.stream_format == "sse"
        begun: list[Speech] = []

        async def begin() -> Speech:
            with service.desk.open(headers_of(request)) as ticket:
                begun.append(await service.begin(body, plan, ticket))
            return begun[0]

        opened = await service.cache.open(key, begin, is_patient=not (body.stream or is_sse), is_fresh=is_fresh)
        reader = opened.reader
        owned.callback(reader.close)
        owned.callback(lambda: add_log_fields(request, **_log_fields(body, opened, begun)))
        headers: dict[str, str] = {"x-cache": opened.outcome if key else "off"}
        if body.timestamps:
            captions = service.captions.open(reader.notes, _language_of(plan), body.timestamps)
            owned.callback(captions.end)
            headers[CAPTIONS_HEADER] = captions_path(service.settings.public_prefix, captions.id)
        add_log_fields(request, cache=headers["x-cache"])
        # The first sound is awaited before the status line goes out: an engine that fails is an honest 500.
        await finish_unless_disconnected(request, reader.start())
        if reader.substitutes:
            headers[FALLBACK_HEADER] = ", ".join(reader.substitutes)
            add_log_fields(request, fallback_model=headers[FALLBACK_HEADER])
        if is_sse:
            content, media_type = speech_events(reader, body.input, body.timestamps), "text/event-stream"
        else:
            content, media_type = reader.audio(), require_format(body.response_format).media_type
            # Where all is there already, as with a text of one clause, the lengths are exact at no cost.
            if reader.facts is not None:
                content, headers["content-length"] = reader.exact(), str(reader.exact_bytes)
        return OwningStreamingResponse(content, owned.pop_all(), media_type=media_type, headers=headers)


def _language_of(plan: Sequence[Turn]) -> str:
    """Of the beginning of a speech; empty if not known."""
    return plan[0].request.passages[0].language_code


def _log_fields(body: SpeechBody, opened: OpenSpeech, begun: Sequence[Speech]) -> dict[str, object]:
    fields: dict[str, object] = {"model": body.model, "voice": body.voice, "chars": len(body.input)}
    if opened.reader.facts is not None:
        fields["audio_s"] = round(opened.reader.facts.audio_s, 2)
    return fields | (begun[0].log_fields() if begun else {})
