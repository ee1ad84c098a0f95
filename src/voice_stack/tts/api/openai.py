"""OpenAI's speech route and the models."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from voice_stack.core.http.api_docs import JSON, json_docs
from voice_stack.core.http.context import add_log_fields, cache_use, headers_of
from voice_stack.core.http.form import ignored_fields_header
from voice_stack.core.http.models import add_model_routes
from voice_stack.core.http.streaming import (
    KeptAliveEvents,
    OwningStreamingResponse,
    answer_range,
    finish_unless_disconnected,
)
from voice_stack.core.http.uploads import receive_object
from voice_stack.tts.api.documents import CAPTIONS, SPEECH
from voice_stack.tts.cache.entry import SpeechFacts, SpeechPiece
from voice_stack.tts.cache.recording import SpeechReader
from voice_stack.tts.captions.kept import Captions, CaptionStore, require_caption_format
from voice_stack.tts.captions.sentences import Granularity, find_sentence
from voice_stack.tts.schemas import MAX_INPUT_CHARS, SpeechBody, check_speech, find_ignored_fields
from voice_stack.tts.service import BegunSpeech, TtsService
from voice_stack.tts.speech import Turn, find_providers
from voice_stack.utils.audio.encode import require_format


def entity_tag(key: str, stream_format: str) -> str:
    """The ETag of an answer: weak, because a speech that is made again sounds the same and has other bytes."""
    return f'W/"{key[:32]}-{stream_format}"'


def is_known(tag: str, headers: Mapping[str, str]) -> bool:
    """Whether the client has an answer of that tag already: it stands in `If-None-Match`."""
    known = (given.strip().removeprefix("W/") for given in headers.get("if-none-match", "").split(","))
    return tag.removeprefix("W/") in known


CAPTIONS_HEADER = "x-captions"
"""Tells where the captions of the speech in the answer are."""


async def speech_events(
    reader: SpeechReader, text: str, timestamps: Granularity | None = None
) -> AsyncGenerator[dict[str, object], None]:
    """The events of a speech.

    Args:
        reader: Of the speech.
        text: What is said in it.
        timestamps: What is told the times of: each sentence before its sound, with its words or without.

    Raises:
        VoiceStackError: It failed on the way.
    """
    async for piece in reader.pieces():
        sentence = find_sentence(piece.note)
        if piece.audio:
            yield _delta(piece)
        if sentence and timestamps:
            yield {"type": "speech.timestamps", **sentence.describe(with_words=timestamps == "word")}
    assert reader.recording.facts is not None
    yield _done(reader.recording.facts, text)


def _delta(piece: SpeechPiece) -> dict[str, object]:
    event: dict[str, object] = {"type": "speech.audio.delta", "audio": base64.b64encode(piece.audio).decode()}
    return event | (piece.note if piece.note and find_sentence(piece.note) is None else {})


def usage_of(characters: int, audio_s: float) -> dict[str, int]:
    """OpenAI counts tokens; here a token in is 4 characters and a token out is 50 ms."""
    tokens_in, tokens_out = -(-characters // 4), round(audio_s * 20)
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _done(facts: SpeechFacts, text: str) -> dict[str, object]:
    usage = usage_of(len(text), facts.audio_s)
    done: dict[str, object] = {"type": "speech.audio.done", "usage": usage, "duration": round(facts.audio_s, 3)}
    if head := facts.exact_head.data:
        done["exact_head"] = {"replaces": facts.exact_head.replaces, "data": base64.b64encode(head).decode()}
    return done


FALLBACK_HEADER = "x-fallback-model"
PROVIDER_HEADER = "x-provider"
# A character is at most 6 bytes as a JSON escape, 12 outside the basic plane.
MAX_BYTES_PER_CHARACTER = 12


def create_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])

    @router.post("/audio/speech", openapi_extra=json_docs(SpeechBody), response_class=Response, responses=SPEECH)
    async def speak(request: Request) -> Response:
        """Text to speech."""
        body = await receive_object(request, max_bytes=MAX_INPUT_CHARS * MAX_BYTES_PER_CHARACTER + 65_536)
        return await answer_speech(service, request, check_speech(body), sent=body)

    add_model_routes(router, service.models)

    @router.get("/audio/speech/{speech_id}/captions", response_class=Response, responses=CAPTIONS)
    async def get_captions(request: Request, speech_id: str, format: str = "json") -> Response:  # noqa: A002 - its name in the query
        """When each sentence and word of a speech is said; while it is still being spoken: so far."""
        caption_format = require_caption_format(format)
        body = await asyncio.to_thread(caption_format.render, await service.captions.find(speech_id))
        return answer_range(request, body.encode(), caption_format.media_type)

    captions = "/audio/speech/{speech_id}/captions"
    router.add_api_route(captions, get_captions, methods=["HEAD"], include_in_schema=False)
    return router


Show = Callable[[SpeechReader], AsyncIterable[bytes]]
"""Makes a JSON body, or several in lines, of a speech."""


async def answer_speech(
    service: TtsService,
    request: Request,
    body: SpeechBody,
    *,
    sent: Mapping[str, object] | None = None,
    show: Show | None = None,
) -> Response:
    """Speak what a checked request says, from the cache if it is there.

    Args:
        service: What speaks.
        request: The request.
        body: It, checked.
        sent: It as it came; the answer names what of it means nothing.
        show: What the answer is made by; None: it is the sound, or events.

    Raises:
        VoiceStackError: It cannot be spoken.
    """
    plan = await finish_unless_disconnected(request, service.plan(body, tell=headers_of(request)))
    answer = await _answer_plan(service, request, body, plan, show)
    unheeded = frozenset[str]().union(*(turn.unheeded for turn in plan))
    if providers := find_providers(plan, answer.headers.get(FALLBACK_HEADER, "").split(", ")):
        answer.headers[PROVIDER_HEADER] = ", ".join(providers)
        add_log_fields(request, provider=", ".join(providers))
    answer.headers.update(ignored_fields_header(find_ignored_fields(sent or {}, unheeded)))
    return answer


async def _answer_plan(
    service: TtsService, request: Request, body: SpeechBody, plan: Sequence[Turn], show: Show | None
) -> Response:
    use = cache_use(is_wanted=body.cache, headers=request.headers)
    key = None if use == "none" else await service.key(body, plan)
    if key is None:
        return await _answer(service, request, await service.begin(body, plan, tell=headers_of(request)), show)
    tag = entity_tag(key, f"{body.stream_format}{body.timestamps or ''}")
    # An answer without a body would tell no address of captions.
    if use == "usual" and not body.timestamps and is_known(tag, request.headers):
        return Response(status_code=304, headers={"etag": tag})
    speech = await service.begin(body, plan, key, is_fresh=use == "fresh", tell=headers_of(request))
    response = await _answer(service, request, speech, show)
    if FALLBACK_HEADER not in response.headers:
        response.headers["etag"] = tag
    return response


async def _with_captions(
    content: AsyncIterable[bytes], store: CaptionStore, captions: Captions
) -> AsyncIterator[bytes]:
    """The content; before its end replicas know all captions: its client may ask any of them then."""
    async for piece in content:
        yield piece
    await store.share(captions)


async def _answer(service: TtsService, request: Request, speech: BegunSpeech, show: Show | None) -> Response:
    body, reader, headers = speech.body, speech.reader, {"x-cache": str(speech.outcome)}
    async with AsyncExitStack() as owned:
        owned.callback(speech.close)
        owned.callback(lambda: add_log_fields(request, **speech.log_fields()))
        if speech.captions is not None:
            headers[CAPTIONS_HEADER] = f"{service.settings.public_prefix}/audio/speech/{speech.captions.id}/captions"
        # The first sound is awaited before the status line goes out: an engine that fails is an honest 500.
        await finish_unless_disconnected(request, reader.start())
        if reader.recording.substitutes:
            headers[FALLBACK_HEADER] = ", ".join(reader.recording.substitutes)
        content: AsyncIterable[bytes]
        if show is not None:
            content, media_type = show(reader), JSON
        elif body.stream_format == "sse":
            content = KeptAliveEvents(speech_events(reader, body.input, body.timestamps))
            owned.push_async_callback(content.aclose)
            media_type = "text/event-stream"
        else:
            content, media_type = reader.audio(), require_format(body.response_format).media_type
            # Where all is there already, as with a text of one clause, the lengths are exact at no cost.
            if reader.recording.facts is not None:
                content, headers["content-length"] = reader.exact(), str(reader.exact_bytes)
                headers["x-duration-seconds"] = f"{reader.recording.facts.audio_s:.3f}"
        if speech.captions is not None:
            content = _with_captions(content, service.captions, speech.captions)
            if reader.recording.facts is not None:  # its client sees the end by the length
                await service.captions.share(speech.captions)
        return OwningStreamingResponse(content, owned.pop_all(), media_type=media_type, headers=headers)
