"""OpenAI's transcription routes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from voice_stack.asr.api.documents import ALIGNMENT, BACKGROUND, TRANSCRIPT_OR_EVENTS, TranscriptionObject
from voice_stack.asr.api.intake import receive_audio
from voice_stack.asr.form import AlignmentForm, TranscriptionForm, TranslationForm, form_body
from voice_stack.asr.jobs.background import BackgroundJobs
from voice_stack.asr.jobs.record import OpenRequest
from voice_stack.asr.rendering import (
    DIARIZED_JSON,
    JSON_TYPE,
    TRANSCRIPT_FORMATS,
    RenderOptions,
    delta_event,
    done_event,
    render,
    render_verbose,
    segment_event,
    warnings_header,
)
from voice_stack.asr.schemas import Checked, check_form
from voice_stack.asr.service import AsrService
from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Segment, TextDeltas, TokenLogprob, Transcript
from voice_stack.core.engine.admission import Ticket
from voice_stack.core.http.api_docs import Responses
from voice_stack.core.http.context import add_log_fields, headers_of
from voice_stack.core.http.form import Form, ignored_fields_header
from voice_stack.core.http.limits import name_caller
from voice_stack.core.http.streaming import KeptAliveEvents, OwningStreamingResponse, finish_unless_disconnected

Route = Callable[[Request], Awaitable[Response]]

STATUS_WAIT_S = 5.0
"""How long a stream waits for its first text, so that a failure has a status of its own."""


async def transcript_events(
    begin: Callable[[], Awaitable[Transcription]], *, shown: RenderOptions, uses_letters: bool
) -> AsyncGenerator[dict[str, object], None]:
    """A delta for each segment that adds text, at the end one done event with the whole text.

    Who speaks is known when all is heard: the segments of a transcription with speakers come then, before the last
    event; `uses_letters`: with their letters for labels.

    Raises:
        VoiceStackError: The job failed.
    """
    transcription = await begin()
    heard: list[Segment] = []
    deltas, tokens = TextDeltas(), tuple[TokenLogprob, ...]()
    async for segment in transcription.segments():
        heard.append(segment)
        tokens += segment.logprobs
        if text := deltas.push(segment):
            yield delta_event(text, tokens)
            tokens = ()
    transcript = await transcription.complete(tuple(heard))
    for index, segment in enumerate(transcript.segments if transcript.has_speakers else ()):
        yield segment_event(index, segment, uses_letters=uses_letters)
    yield done_event(
        transcript,
        shows_languages=shown.shows_languages,
        shows_original=shown.original and bool(transcript.target_language),
    )


def create_router(service: AsrService, jobs: BackgroundJobs) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])

    def post(path: str, form: type[BaseModel], responses: Responses) -> Callable[[Route], Route]:
        return router.post(path, openapi_extra=form_body(form), response_class=Response, responses=responses)

    @post("/audio/transcriptions", TranscriptionForm, TRANSCRIPT_OR_EVENTS)
    async def transcribe(request: Request) -> Response:
        """Speech to text, in the language that is spoken."""
        async with _receive(service, request, "transcribe") as exchange:
            return await exchange.answer(jobs)

    @post("/audio/transcriptions/verbose", TranscriptionForm, {200: {"model": TranscriptionObject}})
    async def transcribe_verbosely(request: Request) -> Response:
        """Speech to text with everything that is known of it, whatever `response_format` says."""
        async with _receive(service, request, "transcribe", is_verbose=True) as exchange:
            return await exchange.answer_verbosely()

    @post("/audio/translations", TranslationForm, TRANSCRIPT_OR_EVENTS)
    async def translate(request: Request) -> Response:
        """Speech in any language to English text, or to that of a `target_language`."""
        async with _receive(service, request, "translate") as exchange:
            return await exchange.answer(jobs)

    @post("/audio/alignments", AlignmentForm, ALIGNMENT | BACKGROUND)
    async def align(request: Request) -> Response:
        """When each word and sentence of a given text is said: forced alignment."""
        async with _receive(service, request, "align") as exchange:
            return await exchange.answer(jobs)

    return router


@asynccontextmanager
async def _receive(
    service: AsrService, request: Request, task: str, *, is_verbose: bool = False
) -> AsyncIterator["Exchange"]:
    async with AsyncExitStack() as owned:
        ticket = owned.enter_context(service.desk.open(headers_of(request)))
        form = await owned.enter_async_context(receive_audio(request, service.settings, ticket))
        checked = check_form(form, task, service.settings, is_verbose=is_verbose)
        yield Exchange(service, request, form, checked, owned, ticket)


@dataclass(slots=True)
class Exchange:
    """A checked request on its way to its answer; `owned` is closed when that is over."""

    service: AsrService
    request: Request
    form: Form
    checked: Checked
    owned: AsyncExitStack
    ticket: Ticket
    transcription: Transcription | None = None

    def __post_init__(self) -> None:
        self.owned.callback(self._end)

    async def answer(self, jobs: BackgroundJobs) -> Response:
        if self.checked.background:
            return await self._put_in_line(jobs)
        return await (self._stream() if self.checked.stream else self._answer_at_once())

    async def _answer_at_once(self) -> Response:
        checked = self.checked
        transcript = await self.hear()
        body = await asyncio.to_thread(render, transcript, checked.response_format, checked.render)
        return Response(body, media_type=TRANSCRIPT_FORMATS[checked.response_format].media_type, headers=self.headers())

    async def hear(self) -> Transcript:
        """Wait for the whole transcript."""
        return await finish_unless_disconnected(self.request, (await self._begin_now()).gather())

    async def _put_in_line(self, jobs: BackgroundJobs) -> Response:
        self.service.fit(self._model, self.checked.request)
        job = await jobs.submit(self.checked, self.form, owner=name_caller(self.request.scope))
        location = f"{self.service.settings.public_prefix}/jobs/{job['id']}"
        return JSONResponse(job, 202, {"location": location, **self.headers()})

    async def answer_verbosely(self) -> Response:
        transcription = await self._begin_now()
        transcript = await finish_unless_disconnected(self.request, transcription.gather())
        handle, speech_s = transcription.handle, transcription.summary.speech_s
        body = render_verbose(
            transcript, model=self._model, speech_s=speech_s, queue_s=handle.queue_wait_s, run_s=handle.run_s
        )
        return Response(body, media_type=JSON_TYPE, headers=self.headers())

    async def _stream(self) -> Response:
        """Errors until the status goes out are an honest one; later ones can only be an event."""
        ping_interval_s = self.service.settings.ping_interval_s
        told = transcript_events(
            self._begin,
            shown=self.checked.render,
            uses_letters=self.checked.response_format == DIARIZED_JSON,
        )
        events = KeptAliveEvents(told, ping_interval_s=ping_interval_s)
        self.owned.push_async_callback(events.aclose)
        await events.wait_for_first(self.request, min(STATUS_WAIT_S, ping_interval_s / 2))
        return OwningStreamingResponse(
            events, self.owned.pop_all(), media_type="text/event-stream", headers=self.headers()
        )

    async def _begin_now(self) -> Transcription:
        return await finish_unless_disconnected(self.request, self._begin())

    async def _begin(self) -> Transcription:
        checked, file = self.checked, self.checked.file
        self.transcription = await self.service.begin(self._model, checked.request, self.ticket)
        task, shown = checked.request.task, checked.response_format
        sent, job_id = (file.filename, file.size), self.service.new_job_id()
        self.service.activity.add(OpenRequest(task, checked.model, shown, *sent, self.transcription, job_id))
        return self.transcription

    @property
    def _model(self) -> str:
        return self.service.models.resolve(self.checked.model)

    def _end(self) -> None:
        if self.transcription is not None:
            add_log_fields(self.request, model=self.checked.model, **self.transcription.log_fields())
            self.transcription.stop()

    def headers(self) -> dict[str, str]:
        """What is told beside the answer."""
        second_best = self.transcription.second_best() if self.transcription else {}
        headers = {f"x-{name.replace('_', '-')}": told for name, told in second_best.items()}
        headers |= {"x-provider": provider} if self.transcription and (provider := self.transcription.provider) else {}
        warnings = self.transcription.warnings if self.transcription else ()
        unheeded = self.service.unheeded(self._model, self.checked.request)
        ignored = (*self.checked.ignored, *(name for name in self.checked.sent if name in unheeded))
        return ignored_fields_header(ignored) | headers | warnings_header(warnings)
