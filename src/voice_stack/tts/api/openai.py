"""OpenAI's speech route, the models and the voices."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.engine_pool import EnginePool
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.logging import request_id_var
from voice_stack.core.middleware import add_log_fields
from voice_stack.core.model_names import ModelNames
from voice_stack.core.model_routes import add_model_routes
from voice_stack.core.streaming import OwningStreamingResponse
from voice_stack.core.uploads import receive_json
from voice_stack.tts.engine_factory import engine_spec
from voice_stack.tts.request import SpeechRequest
from voice_stack.tts.schemas import SpeechBody, check_speech
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.speaker import Speech
from voice_stack.tts.voices import Voice, VoiceLibrary
from voice_stack.utils.audio.encode import AudioFormat, require_format
from voice_stack.utils.language import detect_text_language, require_language
from voice_stack.utils.text import is_speakable, normalise

# A character is at most 6 bytes as a JSON escape, 12 outside the basic plane.
MAX_BYTES_PER_CHARACTER = 12


@dataclass(frozen=True, slots=True)
class TtsService:
    """What the routes work with; one per application."""

    settings: TtsSettings
    models: ModelNames
    voices: VoiceLibrary
    pool: EnginePool

    async def begin(self, body: SpeechBody) -> Speech:
        """Submit a checked request.

        Raises:
            InvalidRequestError: Nothing in the text can be spoken, or a name is not known.
            ModelNotFoundError: No such model here.
        """
        require_format(body.response_format)
        model = self.models.resolve(body.model)
        if not is_speakable(normalise(body.input)):
            raise InvalidRequestError(f"input={body.input[:80]!r}: there is nothing to speak in it", param="input")
        voice = await self._choose_voice(body)
        # A model of its own in the request is a voice for Piper: it speaks unless a voice was chosen by name.
        spec = engine_spec(self.settings, model if model != self.models.default and voice.alias_of else voice.model)
        request = SpeechRequest(body.input, speed=body.speed)
        handle = await self.pool.submit([spec], request, request_id_var.get() or "")
        return Speech(body.input, body.response_format, handle)

    async def _choose_voice(self, body: SpeechBody) -> Voice:
        language = require_language(body.language).code if body.language else None
        languages = self.voices.languages()
        if language is None and self.settings.auto_lang and len(languages) > 1:
            # The first call loads the language model: a second, so not on the event loop.
            language = await asyncio.to_thread(detect_text_language, body.input, languages)
        return self.voices.find(body.voice, language)


def create_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["audio"])
    max_chars = service.settings.max_input_chars
    schema = {"content": {"application/json": {"schema": SpeechBody.model_json_schema()}}, "required": True}

    @router.post("/audio/speech", openapi_extra={"requestBody": schema})
    async def speak(request: Request) -> Response:
        """Text to speech."""
        body = await receive_json(request, max_bytes=max_chars * MAX_BYTES_PER_CHARACTER + 65_536)
        return await _answer(service, request, check_speech(body, max_chars=max_chars))

    @router.get("/audio/voices")
    async def list_voices() -> dict[str, object]:
        """The voices that can speak here."""
        return {"voices": [voice.describe() for voice in service.voices.voices().values()]}

    add_model_routes(router, service.models)

    return router


async def _answer(service: TtsService, request: Request, body: SpeechBody) -> Response:
    async with AsyncExitStack() as owned:
        speech = await finish_unless_disconnected(request, service.begin(body))
        owned.callback(speech.handle.cancel)
        owned.callback(lambda: add_log_fields(request, model=body.model, voice=body.voice, **speech.log_fields()))
        sounds = speech.sounds()
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
