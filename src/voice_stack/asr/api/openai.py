"""OpenAI's transcription routes."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.formats import (
    TRANSCRIPT_FORMATS,
    delta_event,
    done_event,
    encode_sse,
    render,
    require_transcript_format,
)
from voice_stack.asr.models import WhisperModelSpec
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.asr.schemas import (
    Checked,
    TranscriptionForm,
    TranslationForm,
    check_transcription,
    check_translation,
    form_body,
)
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.suppression_steps import parse_steps
from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Segment, TextDeltas
from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.engine_pool import EnginePool
from voice_stack.core.errors import UnsupportedValueError, VoiceStackError
from voice_stack.core.logging import request_id_var
from voice_stack.core.middleware import add_log_fields
from voice_stack.core.model_names import ModelNames
from voice_stack.core.model_store import ModelStore
from voice_stack.core.streaming import OwningStreamingResponse
from voice_stack.core.uploads import receive_form

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AsrService:
    """What the routes work with; one per application."""

    settings: AsrSettings
    store: ModelStore
    models: ModelNames
    pool: EnginePool

    async def begin(self, checked: Checked) -> Transcription:
        """Submit a checked request.

        Raises:
            ModelNotFoundError: No such model here.
            UnsupportedValueError: The model cannot do what is asked.
        """
        require_transcript_format(checked.response_format)
        model = self.models.resolve(checked.model)
        request = TranscriptionRequest(
            path=checked.file.path,
            task=checked.task,
            language=self._choose_language(model, checked),
            prompt=checked.prompt,
            temperature=checked.temperature,
            word_timestamps="word" in checked.granularities,
            beam_size=checked.beam_size,
            suppress=parse_steps(self.settings.suppress),
        )
        replicas = engine_specs(self.settings, model)
        return Transcription(request, await self.pool.submit(replicas, request, request_id_var.get() or ""))

    def _choose_language(self, model: str, checked: Checked) -> str | None:
        """The spoken language as far as it is known before listening."""
        default = self.settings.language if checked.task == "transcribe" else None
        spec = self.store.find(model)
        if not isinstance(spec, WhisperModelSpec):
            return checked.language or default or None
        if checked.task == "translate" and not spec.can_translate:
            raise UnsupportedValueError(
                f"model {model!r} cannot translate; a multilingual Whisper model such as 'base' can", param="model"
            )
        if spec.english_only and checked.language not in {None, "en"}:
            raise UnsupportedValueError(
                f"model {model!r} understands English only, not {checked.language!r}; a multilingual Whisper model "
                "such as 'base' does",
                param="language",
            )
        # The weights of some English-only models have all the language tokens, which then mislead.
        return "en" if spec.english_only else checked.language or default or None


def create_router(service: AsrService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])
    max_bytes = service.settings.max_upload_mb * 1024 * 1024

    @router.post("/audio/transcriptions", openapi_extra=form_body(TranscriptionForm))
    async def transcribe(request: Request) -> Response:
        """Speech to text, in the language that is spoken."""
        return await _answer(service, request, max_bytes, translate=False)

    @router.post("/audio/translations", openapi_extra=form_body(TranslationForm))
    async def translate(request: Request) -> Response:
        """Speech in any language to English text."""
        return await _answer(service, request, max_bytes, translate=True)

    @router.get("/models")
    async def list_models() -> dict[str, object]:
        """The models that work here."""
        return service.models.list()

    @router.get("/models/{name:path}")
    async def show_model(name: str) -> dict[str, object]:
        """One model."""
        return service.models.describe(name)

    return router


async def _answer(service: AsrService, request: Request, max_bytes: int, *, translate: bool) -> Response:
    async with AsyncExitStack() as owned:
        form = await owned.enter_async_context(
            receive_form(request, file_field="file", max_bytes=max_bytes, spool_dir=service.settings.spool_dir)
        )
        checked = check_translation(form) if translate else check_transcription(form)
        transcription = await finish_unless_disconnected(request, service.begin(checked))
        owned.callback(transcription.handle.cancel)
        owned.callback(lambda: add_log_fields(request, model=checked.model, **transcription.log_fields()))
        if not checked.stream:
            transcript = await finish_unless_disconnected(request, transcription.gather())
            body = render(transcript, checked.response_format, granularities=checked.granularities)
            return Response(body, media_type=TRANSCRIPT_FORMATS[checked.response_format].media_type)
        # Errors up to the first segment are an honest status; after it they can only be an event.
        segments = transcription.segments()
        first = await finish_unless_disconnected(request, _first(segments))
        events = _events(transcription, first, segments)
        return OwningStreamingResponse(events, owned.pop_all(), media_type="text/event-stream")


async def _first(segments: AsyncIterator[Segment]) -> Segment | None:
    return await anext(segments, None)


async def _events(
    transcription: Transcription, first: Segment | None, rest: AsyncIterator[Segment]
) -> AsyncIterator[bytes]:
    heard = [first] if first else []
    deltas = TextDeltas()
    try:
        if first and (text := deltas.push(first)):
            yield encode_sse(delta_event(text))
        async for segment in rest:
            heard.append(segment)
            if text := deltas.push(segment):
                yield encode_sse(delta_event(text))
    except VoiceStackError as error:
        logger.warning("stream ends with an error: %s", error)
        yield encode_sse(error.body())
        return
    yield encode_sse(done_event(transcription.transcript(tuple(heard))))
