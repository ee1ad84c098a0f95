"""Deepgram's `/v1/listen`: a file in the body, or sound over a WebSocket."""

import asyncio
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket

from voice_stack.asr.api.documents import DeepgramObject
from voice_stack.asr.api.intake import show_upload
from voice_stack.asr.api.live import LiveSockets
from voice_stack.asr.api.openai import Exchange
from voice_stack.asr.live.deepgram import DeepgramSession
from voice_stack.asr.live.deepgram_answer import (
    describe_model,
    join_words,
    show_alternative,
    show_confidence,
    show_metadata,
    show_text,
    show_word,
)
from voice_stack.asr.live.listen_query import (
    ASKED_LIVE,
    ASKED_OF_FILES,
    LEAST_ENDPOINTING_MS,
    MAX_SHOWN,
    ListenQuery,
    read_query,
)
from voice_stack.asr.rendering import JSON_TYPE, encode_json
from voice_stack.asr.schemas import VERBOSE_FORMAT, check_form
from voice_stack.asr.service import AsrService
from voice_stack.asr.transcript import Segment, Transcript, Word
from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError, UnsupportedValueError
from voice_stack.core.http.context import headers_of, note_answer_headers
from voice_stack.core.http.form import Form, ignored_fields_header
from voice_stack.core.http.uploads import receive_file, receive_object
from voice_stack.core.models.store import ModelNames
from voice_stack.core.system.files import digest_file

MODEL_FAMILIES = ("nova", "enhanced", "base", "whisper", "flux", "general", "phonecall", "meeting", "video")
"""How the names of Deepgram's models begin: here they stand for the default model."""
_ENDS = (".", "?", "!", "…", "。", "？", "！", "।")
PARAGRAPH_SENTENCES, PARAGRAPH_PAUSE_S = 5, 1.5


def create_deepgram_router(service: AsrService, sockets: LiveSockets) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["deepgram"])
    query_docs = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in ListenQuery.model_json_schema()["properties"].items()
    ]
    file = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    docs: dict[str, Any] = {"parameters": query_docs, "requestBody": {"required": True, **file}}

    @router.post("/listen", response_class=Response, responses={200: {"model": DeepgramObject}}, openapi_extra=docs)
    async def listen(request: Request) -> Response:
        """Speech to text, as Deepgram has it; the body is the file."""
        query, ignored = read_query(request.query_params.multi_items(), ASKED_OF_FILES)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
            raise _refuse_json(await receive_object(request))
        model = _choose_model(service.models, query.model)
        can = service.capabilities(service.models.resolve(model))
        begun_s, settings = time.time(), service.settings
        async with AsyncExitStack() as owned:
            ticket = owned.enter_context(service.desk.open(headers_of(request)))
            announced = request.headers.get("content-length", "")
            show_upload(ticket, int(announced) if announced.isdecimal() else None)
            max_bytes = settings.max_upload_mb * 1024 * 1024
            receiving = receive_file(request, max_bytes=max_bytes, spool_dir=settings.spool_dir)
            form = _as_form(await owned.enter_async_context(receiving), query, model, has_words=can.words)
            checked = check_form(form, "transcribe", settings)
            exchange = Exchange(service, request, form, replace(checked, ignored=tuple(ignored)), owned, ticket)
            transcript = await exchange.hear()
            digest = await asyncio.to_thread(digest_file, checked.file.path)
            told = exchange.headers()
            described = describe_model(told.get("x-fallback-model", service.models.resolve(model)), settings.engine)
            metadata = show_metadata(
                request.scope["state"]["request_id"], digest, begun_s, transcript.duration_s, described
            )
            if query.tag:
                metadata["tags"] = list(query.tag)
            body = {"metadata": metadata, "results": await asyncio.to_thread(show_results, transcript, query)}
            return Response(encode_json(body), media_type=JSON_TYPE, headers=told)

    @router.websocket("/listen")
    async def listen_live(websocket: WebSocket) -> None:
        query, ignored = read_query(websocket.query_params.multi_items(), ASKED_LIVE)
        model = service.models.resolve(_choose_model(service.models, query.model))
        can = service.capabilities(model)
        request = query.ask(sockets.base, can)
        service.fit(model, request)  # what cannot be done is refused before the socket is open
        if query.terms and not can.prompt:
            ignored.append("keyterm" if query.keyterm else "keywords")
        headers = ignored_fields_header(ignored)
        if query.endpointing not in (True, False) and query.endpointing < LEAST_ENDPOINTING_MS:
            taken = f"{query.silence_s * 1000:.0f} ms are taken, {LEAST_ENDPOINTING_MS} are the least"
            headers["x-warnings"] = f"endpointing={query.endpointing}: {taken}"
        note_answer_headers(websocket.scope, headers)
        request_id = websocket.scope["state"]["request_id"]
        described = describe_model(model, service.settings.engine)
        session = DeepgramSession(query, model, request, described, request_id, time.time(), time.monotonic)
        await sockets.serve(websocket, session, is_kept=False)

    return router


def _refuse_json(body: Mapping[str, object]) -> InvalidRequestError:
    if "url" in body:
        message = (
            f"url={str(body['url'])[:MAX_SHOWN]!r}: nothing is fetched from here; send the file itself as the body"
        )
        return UnsupportedValueError(message, param="url")
    return InvalidRequestError("The body must be the file itself, with its own Content-Type, as audio/wav.")


def _choose_model(names: ModelNames, name: str) -> str:
    """The name, or the default model where it is one of Deepgram's that nothing has here.

    Raises:
        ModelNotFoundError: Nothing has that name.
    """
    if not name:
        return names.default
    try:
        names.resolve(name)
    except ModelNotFoundError:
        if name.lower().startswith(MODEL_FAMILIES):
            return names.default
        raise
    return name


def _as_form(form: Form, query: ListenQuery, model: str, *, has_words: bool) -> Form:
    """The same as a form of ours.

    Raises:
        UnsupportedValueError: Bare samples of that kind cannot be read.
    """
    assert form.file is not None
    codes = [code for code in query.detect_language if code.lower() != "true"]
    fields = {
        "model": [model],
        "response_format": [VERBOSE_FORMAT],
        "timestamp_granularities": ["word"] * has_words,
        "language": [query.language_name] if query.language_name and not query.detect_language else [],
        "languages": codes,
        "multilingual": ["true"] * query.is_multilingual,
        "keywords": query.terms,
        "diarize": ["true"] * (query.diarize or query.diarize_model is not None),
    }
    file = form.file
    if query.encoding == "linear16":
        rate = "" if query.sample_rate is None else f";rate={query.sample_rate}"
        file = replace(file, content_type=f"audio/pcm{rate};channels={query.channels}")
    elif query.encoding in {"mulaw", "alaw"}:
        message = f"encoding={query.encoding!r}: of bare samples in a file linear16 is read here; or send a WAV file"
        raise UnsupportedValueError(message, param="encoding")
    return Form({name: values for name, values in fields.items() if values}, file)


def show_results(transcript: Transcript, query: ListenQuery) -> dict[str, object]:
    """What was said, as Deepgram's `results`."""
    segments = transcript.segments
    alternative = show_alternative(segments, query)
    if (query.paragraphs or query.smart_format) and transcript.words:
        alternative["paragraphs"] = _show_paragraphs(transcript.words, query)
    channel: dict[str, object] = {"alternatives": [alternative]}
    if query.detect_language:
        probability = round(transcript.language_probability, 4)
        channel = {"detected_language": transcript.language, "language_confidence": probability, **channel}
    results: dict[str, object] = {"channels": [channel]}
    if query.utterances:
        results["utterances"] = [_show_utterance(said, query) for said in _cut_utterances(segments, query.utt_split)]
    return results


def _cut_utterances(segments: Sequence[Segment], split_s: float) -> Iterator[list[Segment]]:
    """Stretches of speech between pauses, in which one speaks; each segment in them has one stretch of words."""
    said = [part for segment in segments for part in _cut_segment(segment, split_s)]
    stretch: list[Segment] = []
    for part in said:
        if stretch and (part.start_s - stretch[-1].end_s >= split_s or _speaker(part) != _speaker(stretch[-1])):
            yield stretch
            stretch = []
        stretch.append(part)
    if stretch:
        yield stretch


def _cut_segment(segment: Segment, split_s: float) -> Iterator[Segment]:
    words = segment.words
    ends = [n for n, (one, next_one) in enumerate(pairwise(words), 1) if _is_apart(one, next_one, split_s)]
    if not words or not ends:
        yield segment if not words else replace(segment, start_s=words[0].start_s, end_s=words[-1].end_s)
        return
    for start, end in pairwise([0, *ends, len(words)]):
        own = words[start:end]
        text = join_words(word.text for word in own)
        yield replace(segment, text=f" {text}", words=own, start_s=own[0].start_s, end_s=own[-1].end_s)


def _is_apart(word: Word, next_word: Word, split_s: float) -> bool:
    return next_word.start_s - word.end_s >= split_s or word.speaker != next_word.speaker


def _speaker(segment: Segment) -> int | None:
    speaker = segment.words[0].speaker if segment.words else segment.speaker
    return speaker.number if speaker else None


def _show_utterance(said: Sequence[Segment], query: ListenQuery) -> dict[str, object]:
    speaker = _speaker(said[0])
    words = [word for segment in said for word in segment.words]
    return {
        "start": round(said[0].start_s, 3),
        "end": round(said[-1].end_s, 3),
        "confidence": show_confidence(said),
        "channel": 0,
        "transcript": show_text("".join(segment.text for segment in said), query),
        "words": [show_word(word, is_bare=query.is_bare) for word in words],
        **({} if speaker is None else {"speaker": speaker}),
        "id": str(uuid.uuid4()),
    }


def _show_paragraphs(words: Sequence[Word], query: ListenQuery) -> dict[str, object]:
    """Sentences, five to a paragraph at most; another speaker or a pause begins the next."""
    paragraphs: list[list[list[Word]]] = []
    for sentence in _cut_sentences(words):
        last = paragraphs[-1][-1][-1] if paragraphs else None
        is_next = last is None or len(paragraphs[-1]) >= PARAGRAPH_SENTENCES
        if last is None or is_next or _is_apart(last, sentence[0], PARAGRAPH_PAUSE_S):
            paragraphs.append([])
        paragraphs[-1].append(sentence)
    shown = [_show_paragraph(sentences, query) for sentences in paragraphs]
    texts = [
        (f"Speaker {paragraph['speaker']}: " if "speaker" in paragraph else "")
        + join_words(word.text for sentence in sentences for word in sentence)
        for paragraph, sentences in zip(shown, paragraphs, strict=True)
    ]
    return {"transcript": "\n" + "\n\n".join(texts), "paragraphs": shown}


def _cut_sentences(words: Sequence[Word]) -> Iterator[list[Word]]:
    sentence: list[Word] = []
    for word in words:
        if sentence and (sentence[-1].text.rstrip("\"'”’)»").endswith(_ENDS) or sentence[-1].speaker != word.speaker):
            yield sentence
            sentence = []
        sentence.append(word)
    if sentence:
        yield sentence


def _show_paragraph(sentences: Sequence[Sequence[Word]], query: ListenQuery) -> dict[str, object]:
    speaker = sentences[0][0].speaker
    return {
        "sentences": [
            {
                "text": show_text(join_words(word.text for word in sentence), query),
                "start": round(sentence[0].start_s, 3),
                "end": round(sentence[-1].end_s, 3),
            }
            for sentence in sentences
        ],
        "num_words": sum(map(len, sentences)),
        "start": round(sentences[0][0].start_s, 3),
        "end": round(sentences[-1][-1].end_s, 3),
        **({"speaker": speaker.number} if speaker else {}),
    }
