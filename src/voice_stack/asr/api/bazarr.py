"""The routes Bazarr's Whisper provider calls, as whisper-asr-webservice and Subgen have them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from voice_stack.asr.api.documents import BAZARR_TRANSCRIPT, DETECTED_LANGUAGE
from voice_stack.asr.bazarr.films import MAX_SHOWN, BazarrJobs
from voice_stack.asr.bazarr.query import OUTPUTS, AsrQuery, DetectQuery, parse_query, query_parameters
from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.jobs.record import OpenRequest
from voice_stack.asr.listening.language_spread import DetectedLanguage
from voice_stack.asr.rendering import TRANSCRIPT_FORMATS, RenderOptions, render, tsv_header, warnings_header
from voice_stack.asr.service import AsrService
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import InvalidRequestError, ShuttingDownError, VoiceStackError
from voice_stack.core.http.api_docs import ERROR_RESPONSES
from voice_stack.core.http.context import add_log_fields, note_answer_headers
from voice_stack.core.http.form import Form, ignored_fields_header
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.http.streaming import OwningStreamingResponse, finish_unless_disconnected
from voice_stack.core.http.uploads import receive_form
from voice_stack.core.system.files import digest_file
from voice_stack.utils.language import LANGUAGES

T = TypeVar("T")


def _first_line(query: AsrQuery) -> bytes:
    """What of a body must stay its beginning: it is sent ahead of the empty lines."""
    header = tsv_header(has_speakers=query.asks_for_speakers, has_original=query.original)
    return {"vtt": b"WEBVTT\n\n", "tsv": header}.get(query.output, b"")


async def beat_until_done(
    task: asyncio.Task[T], interval_s: float, render: Callable[[T], Awaitable[bytes]], first_line: bytes = b""
) -> AsyncIterator[bytes]:
    """The pieces of a body: one at once, an empty line whenever the interval has passed, at the end what was made.

    Args:
        task: Makes the result; it goes on when nobody reads any more.
        interval_s: Seconds between empty lines.
        render: Turns the result into the body.
        first_line: How every body in this format begins; sent once.

    Raises:
        VoiceStackError: The task failed, or the server is stopping; the body must then be broken off, not ended.
    """
    yield first_line or b"\n"
    while not (await asyncio.wait({task}, timeout=interval_s))[0]:
        yield b"\n"
    if task.cancelled():
        raise ShuttingDownError("the server is stopping")
    body = await render(task.result())
    yield body.removeprefix(first_line)


logger = logging.getLogger(__name__)


PART = "audio_file"
EARLY_S = 5.0
"""Seconds in which a failure is still told by the status; then the first bytes go out."""
BAZARR_CODES = {"yue": "zh"}
"""Codes that Bazarr does not know -> the nearest that it does."""
BLANK = b"\n"
"""Subtitles of a film in which nobody speaks. Bazarr keeps them; an empty body it would ask for again and again."""
GREETING = """This is the speech recognition that Bazarr's Whisper provider talks to, and it works.
Enter this server's address, http://HOST:PORT, in Bazarr under Settings > Providers > Whisper.
Films arrive here by POST; the routes are described at /docs.
"""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What an answer consists of besides its body."""

    media_type: str
    headers: dict[str, str]
    first_line: bytes = b""


def bazarr_paths(api_prefix: str) -> tuple[str, ...]:
    """Every path Bazarr may ask for, with and without our prefix and a slash at the end; `/status` too."""
    names = ("/asr", "/detect-language", "/status")
    return tuple(
        f"{prefix}{name}{end}" for prefix in ("", f"{api_prefix}/bazarr") for name in names for end in ("", "/")
    )


@dataclass(frozen=True, slots=True)
class _BazarrRoutes:
    """The handlers; one per application."""

    service: AsrService
    jobs: BazarrJobs
    status: Callable[[], dict[str, object]]

    async def transcribe(self, request: Request) -> Response:
        """Subtitles, or a text, for a film."""
        async with AsyncExitStack() as owned:
            async with self._receive(request) as form:
                query = parse_query(AsrQuery, request.query_params)
                _tell_ignored(request, AsrQuery, form)
                task = await _join_film(self.jobs, owned, request, _require_file(form), query)
            # The upload is the job's by now, or nobody's.
            reply = _Reply(
                TRANSCRIPT_FORMATS[OUTPUTS[query.output]].media_type,
                {
                    "Asr-Engine": engine_specs(self.service.settings, self.service.models.default)[0].name,
                    "Content-Disposition": f'attachment; filename="{PART}.{query.output}"',
                },
                _first_line(query),
            )
            return await self._answer(request, owned, task, lambda transcript: _render(transcript, query), reply)

    async def detect_language(self, request: Request) -> Response:
        """The language of a film, heard in several places."""
        try:
            async with AsyncExitStack() as owned:
                async with self._receive(request) as form:
                    query = parse_query(DetectQuery, request.query_params)
                    _tell_ignored(request, DetectQuery, form)
                    task = await _join_sample(self.jobs, owned, request, _require_file(form), query)
                return await self._answer(request, owned, task, _describe, _Reply("application/json", {}))
        except VoiceStackError as error:
            if error.status < 500:
                raise
            # Bazarr would take any body as "no language" and not ask again; a broken answer it forgets.
            return StreamingResponse(_break_off(error), media_type="application/json")

    async def greet(self) -> PlainTextResponse:
        """For people who open the address in a browser."""
        return PlainTextResponse(GREETING)

    async def show_status(self) -> dict[str, object]:
        """The version, for Bazarr's test button, and what the server is doing."""
        return self.status()

    def _receive(self, request: Request) -> AbstractAsyncContextManager[Form]:
        settings = self.service.settings
        max_bytes = settings.max_upload_mb << 20
        return receive_form(request, file_field=PART, max_bytes=max_bytes, spool_dir=settings.spool_dir)

    async def _answer(
        self,
        request: Request,
        owned: AsyncExitStack,
        task: asyncio.Task[T],
        make_body: Callable[[T], Awaitable[bytes]],
        reply: _Reply,
    ) -> Response:
        """A plain answer if the result is there soon; else one that begins now and ends when it is."""
        interval_s = self.service.settings.bazarr_heartbeat_s
        soon = asyncio.wait({task}, timeout=min(EARLY_S, interval_s))
        done, _ = await finish_unless_disconnected(request, soon)
        if task.cancelled():
            raise ShuttingDownError("the server is stopping")
        if done:
            result = task.result()
            headers = reply.headers | (warnings_header(result.warnings) if isinstance(result, Transcript) else {})
            return Response(await make_body(result), media_type=reply.media_type, headers=headers)
        body = beat_until_done(task, interval_s, make_body, reply.first_line)
        return OwningStreamingResponse(body, owned.pop_all(), media_type=reply.media_type, headers=reply.headers)


def create_bazarr_router(service: AsrService, jobs: BazarrJobs, status: Callable[[], dict[str, object]]) -> APIRouter:
    """The routes, to be mounted at the root and below `/v1/bazarr`; with a slash at the end they are not documented."""
    routes = _BazarrRoutes(service, jobs, status)
    router = APIRouter(tags=["bazarr"], responses=ERROR_RESPONSES)
    for end in ("", "/"):
        for path, handler, schema, answers in (
            ("/asr", routes.transcribe, AsrQuery, BAZARR_TRANSCRIPT),
            ("/detect-language", routes.detect_language, DetectQuery, DETECTED_LANGUAGE),
        ):
            extra = query_parameters(schema)
            router.add_api_route(
                path + end,
                handler,
                methods=["POST"],
                openapi_extra=extra,
                response_class=Response,
                responses=answers,
                include_in_schema=not end,
            )
            router.add_api_route(path + end, routes.greet, methods=["GET"], include_in_schema=False)
        router.add_api_route(f"/status{end}", routes.show_status, methods=["GET"], include_in_schema=not end)
    return router


def _tell_ignored(request: Request, schema: type[BaseModel], form: Form) -> None:
    """Name what was sent, in the query or beside the file, and means nothing here."""
    unknown = [name for name in (*request.query_params, *form.fields) if name not in schema.model_fields]
    note_answer_headers(request.scope, ignored_fields_header(unknown))


def _require_file(form: Form) -> SpooledFile:
    if form.file is None:
        sent = ", ".join(repr(name[:40]) for name in form.fields) or "nothing"
        raise InvalidRequestError(
            f"No film was sent: it goes in part {PART!r}, with a filename; sent: {sent}", param=PART
        )
    return form.file


async def _join_film(
    jobs: BazarrJobs, owned: AsyncExitStack, request: Request, file: SpooledFile, query: AsrQuery
) -> asyncio.Task[Transcript]:
    # In a thread, and not while it still arrives: film and upload share the cores.
    film = jobs.plan_film(await asyncio.to_thread(digest_file, file.path), query)
    add_log_fields(request, job=jobs.films.describe(film))
    log = jobs.accept(film, file, query)
    show = partial(OpenRequest, film.request.task, film.model, query.output, query.video_file or None, file.size)
    work = jobs.films.join(film, file, lambda path: jobs.transcribe(film, path, log, show))
    return await owned.enter_async_context(work)


async def _join_sample(
    jobs: BazarrJobs, owned: AsyncExitStack, request: Request, file: SpooledFile, query: DetectQuery
) -> asyncio.Task[DetectedLanguage]:
    sample = jobs.plan_sample(await asyncio.to_thread(digest_file, file.path), query)
    told = {"video_file": query.video_file[:MAX_SHOWN]} if query.video_file else {}
    add_log_fields(request, job=jobs.languages.describe(sample), **told)
    return await owned.enter_async_context(jobs.languages.join(sample, file, lambda path: jobs.detect(sample, path)))


async def _render(transcript: Transcript, query: AsrQuery) -> bytes:
    if query.output == "srt" and not transcript.text:
        return BLANK
    shows_words = query.word_timestamps or transcript.has_speakers
    granularities = frozenset({"segment", "word"} if shows_words else {"segment"})
    shown = RenderOptions(granularities=granularities, language_code=True, original=query.original)
    return await asyncio.to_thread(render, transcript, OUTPUTS[query.output], shown)


async def _describe(found: DetectedLanguage) -> bytes:
    code = BAZARR_CODES.get(found.code, found.code)
    name = LANGUAGES[code].name if code in LANGUAGES else code
    body = {"detected_language": name, "language_code": code, "confidence": round(found.confidence, 2)}
    return json.dumps(body).encode()


async def _break_off(error: VoiceStackError) -> AsyncIterator[bytes]:
    yield b"\n"
    raise error
