"""OpenAI's speech route and the models."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.ignored_fields import ignored_fields_header
from voice_stack.core.middleware import add_log_fields
from voice_stack.core.model_routes import add_model_routes
from voice_stack.core.streaming import OwningStreamingResponse
from voice_stack.core.uploads import receive_json
from voice_stack.tts.api.captions import CAPTIONS_HEADER, add_caption_routes, captions_path
from voice_stack.tts.api.documents import SPEECH
from voice_stack.tts.cache.conditions import CacheUse, cache_use, entity_tag, is_known
from voice_stack.tts.cache.key import speech_key
from voice_stack.tts.cache.speech_cache import OpenSpeech
from voice_stack.tts.schemas import SpeechBody, check_speech, find_ignored_fields
from voice_stack.tts.service import TtsService
from voice_stack.tts.speaker import Speech
from voice_stack.tts.speech_events import speech_events
from voice_stack.tts.turns import Turn
from voice_stack.utils.audio.encode import require_format

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
            with service.desk.open(request) as ticket:
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
