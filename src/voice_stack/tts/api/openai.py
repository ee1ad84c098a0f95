"""OpenAI's speech route, the models and the voices."""

from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.ignored_fields import ignored_fields_header
from voice_stack.core.middleware import add_log_fields
from voice_stack.core.model_routes import add_model_routes
from voice_stack.core.streaming import OwningStreamingResponse
from voice_stack.core.uploads import receive_json
from voice_stack.tts.schemas import SpeechBody, check_speech, find_ignored_fields
from voice_stack.tts.service import TtsService
from voice_stack.utils.audio.encode import AudioFormat, require_format

# A character is at most 6 bytes as a JSON escape, 12 outside the basic plane.
MAX_BYTES_PER_CHARACTER = 12


def create_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])
    max_chars = service.settings.max_input_chars
    schema = {"content": {"application/json": {"schema": SpeechBody.model_json_schema()}}, "required": True}

    @router.post("/audio/speech", openapi_extra={"requestBody": schema})
    async def speak(request: Request) -> Response:
        """Text to speech."""
        body = await receive_json(request, max_bytes=max_chars * MAX_BYTES_PER_CHARACTER + 65_536)
        answer = await _answer(service, request, check_speech(body, max_chars=max_chars))
        answer.headers.update(ignored_fields_header(find_ignored_fields(body)))
        return answer

    @router.get("/audio/voices")
    async def list_voices() -> dict[str, object]:
        """The voices that can speak here."""
        return {"voices": [voice.describe() for voice in service.voices.voices().values()]}

    add_model_routes(router, service.models)

    return router


async def _answer(service: TtsService, request: Request, body: SpeechBody) -> Response:
    async with AsyncExitStack() as owned:
        speech = await finish_unless_disconnected(request, service.begin(body))
        owned.callback(speech.turns.cancel)
        owned.callback(lambda: add_log_fields(request, model=body.model, voice=body.voice, **speech.log_fields()))
        sounds = speech.turns.sounds()
        # The first sound is awaited before the status line goes out: an engine that fails is an honest 500.
        first = await finish_unless_disconnected(request, speech.first(sounds))
        audio: AudioFormat = require_format(body.response_format)
        if body.stream_format == "sse":
            return OwningStreamingResponse(
                speech.events(first, sounds), owned.pop_all(), media_type="text/event-stream"
            )
        # One clause is all there already: then the lengths are exact at no cost.
        if first.is_last or not body.stream:
            data = await finish_unless_disconnected(request, speech.whole(first, sounds))
            return Response(data, media_type=audio.media_type)
        return OwningStreamingResponse(speech.stream(first, sounds), owned.pop_all(), media_type=audio.media_type)
