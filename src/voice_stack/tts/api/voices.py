"""The voices: OpenAI's routes to make and delete them, and what OpenAI has no route for: list, show, hear, change."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from voice_stack.core.errors import InvalidRequestError, NotFoundError, UnsupportedValueError
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.streaming import OwningStreamingResponse, answer_range, finish_unless_disconnected
from voice_stack.core.http.uploads import receive_object
from voice_stack.tts.api.documents import PREVIEW, Deleted, VoiceCheck, VoiceFinding, VoiceList, VoiceObject
from voice_stack.tts.api.openai import answer_speech
from voice_stack.tts.api.recordings import (
    ReceivedRecording,
    form_docs,
    listen,
    receive_recording,
)
from voice_stack.tts.schemas import SpeechBody
from voice_stack.tts.service import TtsService
from voice_stack.tts.voices.recordings import RecordedVoice, VoiceChanges, VoiceForm
from voice_stack.tts.voices.voice import Voice
from voice_stack.utils.audio.encode import AUDIO_FORMATS

SAMPLES = {
    "ar": "مرحبا، هكذا يبدو صوتي عندما أقرأ لك.",
    "cs": "Dobrý den, takhle zní můj hlas, když vám předčítám.",
    "de": "Guten Tag, so klingt meine Stimme, wenn ich Ihnen vorlese.",
    "en": "Hello, this is how my voice sounds when I read to you.",
    "es": "Hola, así suena mi voz cuando te leo en voz alta.",
    "fr": "Bonjour, voici comment sonne ma voix quand je vous fais la lecture.",
    "hi": "नमस्ते, जब मैं आपके लिए पढ़ता हूँ तो मेरी आवाज़ ऐसी लगती है।",
    "hu": "Jó napot, így szól a hangom, amikor felolvasok.",
    "it": "Buongiorno, così suona la mia voce quando leggo per voi.",
    "ja": "こんにちは。私の声はこのように聞こえます。",
    "ko": "안녕하세요, 제 목소리는 이렇게 들립니다.",
    "nl": "Goedendag, zo klinkt mijn stem als ik u voorlees.",
    "pl": "Dzień dobry, tak brzmi mój głos, kiedy czytam na głos.",
    "pt": "Olá, é assim que soa a minha voz quando leio para si.",
    "ru": "Здравствуйте, так звучит мой голос, когда я читаю вслух.",
    "tr": "Merhaba, size okurken sesim böyle çıkıyor.",
    "zh": "你好，这就是我朗读时的声音。",
}
"""A sentence in each language that many voices speak."""


def sample_text(languages: Sequence[str]) -> str:
    """A sentence in the first of a voice's languages that there is one for, else in English."""
    return next((SAMPLES[language] for language in languages if language in SAMPLES), SAMPLES["en"])


FILE_FIELD = "audio_sample"
_OF_A_STREAM = frozenset({"content-length", "content-type", "x-accel-buffering"})


def create_voices_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["voices"], dependencies=[Depends(service.mirror.refresh)])
    shown = VoiceView(service)
    _add_all_voices(router, service, shown)
    _add_uploads(router, service, shown)
    return router


def _add_all_voices(router: APIRouter, service: TtsService, shown: "VoiceView") -> None:
    """Routes for every voice."""

    @router.get("/audio/voices", responses={200: {"model": VoiceList}})
    async def list_voices() -> dict[str, object]:
        """The voices there are, those that cannot speak now with the reason."""
        await service.provided.refresh()
        voices = await asyncio.to_thread(shown.list)
        return {"voices": voices, "cloning": await asyncio.to_thread(shown.describe_cloning)}

    preview = "/audio/voices/{voice_id:path}/preview"

    @router.get(preview, response_class=Response, responses=PREVIEW)
    async def preview_voice(request: Request, voice_id: str, format: str = "mp3") -> Response:  # noqa: A002
        """How a voice sounds: the recording of a cloned one, a sentence spoken by any other."""
        if format not in AUDIO_FORMATS:
            raise UnsupportedValueError(f"format={format!r}: use one of {', '.join(AUDIO_FORMATS)}", param="format")
        await service.provided.refresh()
        voice = await asyncio.to_thread(shown.require, voice_id)
        if voice.engine_voice.recordings:
            encoding = asyncio.to_thread(service.preview_recording, voice, format)
            try:
                audio = await finish_unless_disconnected(request, encoding)
            except OSError:  # gone since we looked
                raise NotFoundError(f"No voice with id {voice_id!r} any more.", param="voice_id") from None
            return answer_range(request, audio, AUDIO_FORMATS[format].media_type)
        text = sample_text(voice.languages)
        body = SpeechBody(model="tts-1", input=text, voice=voice_id, response_format=format, stream=False)
        answer = await answer_speech(service, request, body)
        if not isinstance(answer, OwningStreamingResponse):
            return answer
        own = {name: value for name, value in answer.headers.items() if name not in _OF_A_STREAM}
        return answer_range(request, await answer.collect(), AUDIO_FORMATS[format].media_type, own)

    router.add_api_route(preview, preview_voice, methods=["HEAD"], include_in_schema=False)

    # The id of a provider's voice has a slash in it, so this route comes behind the one that goes on after it.
    @router.get("/audio/voices/{voice_id:path}", responses={200: {"model": VoiceObject}})
    async def show_voice(voice_id: str) -> dict[str, object]:
        """One voice."""
        await service.provided.refresh()
        return await asyncio.to_thread(shown.show, voice_id)


def _add_uploads(router: APIRouter, service: TtsService, shown: "VoiceView") -> None:
    """Routes for uploaded voices."""

    @router.post(
        "/audio/voices", openapi_extra=form_docs(VoiceForm, FILE_FIELD), responses={200: {"model": VoiceObject}}
    )
    async def create_voice(request: Request) -> dict[str, object]:
        """Make a voice of a recording."""
        if request.headers.get("content-type", "").lower().startswith("application/json"):
            raise _refuse_json(await receive_object(request))
        async with receive_recording(request, service.settings, FILE_FIELD) as received:
            fields = (await _check_voice(service, received)).model_dump(exclude={"type"})
            voice_id, warnings = await listen(service.uploads.add_voice, received.require_file(FILE_FIELD), fields)
        return {**await asyncio.to_thread(shown.show, voice_id), "warnings": list(warnings)}

    @router.post("/audio/voices/check", openapi_extra=form_docs(_NoFields, FILE_FIELD))
    async def check_recording(request: Request) -> VoiceCheck:
        """How good a recording is for a voice; nothing is kept."""
        async with receive_recording(request, service.settings, FILE_FIELD) as received:
            found = await listen(service.uploads.check_voice, received.require_file(FILE_FIELD))
        return VoiceCheck(
            usable=not found.refusal,
            findings=[VoiceFinding.model_validate(asdict(finding)) for finding in found.findings],
            duration=round(found.figures.duration_s, 2),
            speech=round(found.figures.speech_s, 2),
        )

    @router.post(
        "/audio/voices/{voice_id}", openapi_extra=json_docs(VoiceChanges), responses={200: {"model": VoiceObject}}
    )
    async def change_voice(request: Request, voice_id: str) -> dict[str, object]:
        """Change name, language, description or licence of an uploaded voice."""
        changes = check_fields(VoiceChanges, await receive_object(request)).model_dump(exclude_none=True)
        recorded = await asyncio.to_thread(shown.require_upload, voice_id)
        await asyncio.to_thread(service.uploads.change_voice, recorded, changes)
        return await asyncio.to_thread(shown.show, voice_id)

    @router.delete("/audio/voices/{voice_id}", responses={200: {"model": Deleted}})
    async def delete_voice(voice_id: str) -> dict[str, object]:
        """Delete an uploaded voice."""
        await asyncio.to_thread(shown.require_upload, voice_id)
        await asyncio.to_thread(service.uploads.remove_voice, voice_id)
        return {"id": voice_id, "object": "audio.voice.deleted", "deleted": True}


class _NoFields(BaseModel):
    """A form that is nothing but a file."""


class VoiceView:
    """Voices as they are shown, recordings measured; all methods block."""

    def __init__(self, service: TtsService) -> None:
        self._service = service
        self._cloned = service.cloned

    def list(self) -> list[dict[str, object]]:
        """Those that can speak first: some clients offer the beginning of the list only."""
        recorded = self._cloned.shelf.voices()
        shown = [self._describe(voice, recorded) for voice in self._voices().values()]
        return sorted(shown, key=lambda voice: not voice["available"])

    def describe_cloning(self) -> dict[str, object]:
        reason = self._cloned.explain()
        consent = self._service.settings.require_consent
        return {"available": reason is None, "unavailable_reason": reason, "requires_consent": consent}

    def _voices(self) -> dict[str, Voice]:
        """All by id, those of providers last."""
        return {**self._service.voices.voices(), **{voice.id: voice for voice in self._service.provided.list()}}

    def show(self, voice_id: str) -> dict[str, object]:
        return self._describe(self.require(voice_id), self._cloned.shelf.voices())

    def require(self, voice_id: str) -> Voice:
        """The voice of an id.

        Raises:
            NotFoundError: There is none.
        """
        voice = self._voices().get(voice_id)
        if voice is None:
            raise NotFoundError(f"No voice with id {voice_id[:100]!r}.", param="voice_id")
        return voice

    def require_upload(self, voice_id: str) -> RecordedVoice:
        """The recordings of an uploaded voice.

        Raises:
            NotFoundError: There is no such voice.
            InvalidRequestError: It was not uploaded.
        """
        self.require(voice_id)
        recorded = self._cloned.shelf.voices().get(voice_id)
        if recorded is None or not recorded.is_uploaded:
            kind = "is a file of this server's operator" if recorded else "comes with its engine"
            raise InvalidRequestError(
                f"voice {voice_id!r} {kind}; only uploaded voices can be changed or deleted", param="voice_id"
            )
        return recorded

    def _describe(self, voice: Voice, shelf: Mapping[str, RecordedVoice]) -> dict[str, object]:
        """As `Voice.describe`, and for recorded voices with OpenAI's fields and what was measured."""
        recorded = shelf.get(voice.alias_of or voice.id) if voice.engine_voice.recordings else None
        if recorded is None:
            return voice.describe()
        verdict = self._cloned.shelf.examine(recorded)
        # What is wrong with a recording is said before what is wrong with this server.
        shown = replace(voice, unavailable=verdict.refusal or voice.unavailable).describe()
        if voice.kind != "cloned":
            return shown
        return {
            **shown,
            "object": "audio.voice",
            "created_at": recorded.created_at,
            "type": FILE_FIELD,
            "consent": recorded.sidecar.consent,
            "source": recorded.sidecar.source,
            "warnings": list(verdict.warnings),
        }


async def _check_voice(service: TtsService, received: ReceivedRecording) -> VoiceForm:
    if received.fields.get("type") == "prompt":
        raise _refuse_prompt()
    form = check_fields(VoiceForm, received.fields)
    received.require_file(FILE_FIELD)
    if not form.consent:
        if service.settings.require_consent:
            raise InvalidRequestError(
                "you must provide 'consent', the id of a recorded consent: POST it to /audio/voice_consents first",
                param="consent",
            )
        return form
    try:
        consent = await asyncio.to_thread(service.uploads.consent, form.consent)
    except NotFoundError as error:
        raise InvalidRequestError(f"consent={form.consent!r}: {error.message}", param="consent") from None
    return form.model_copy(update={"language": form.language or consent.language})


def _refuse_json(body: Mapping[str, object]) -> InvalidRequestError:
    if body.get("type") == "prompt":
        return _refuse_prompt()
    return InvalidRequestError(
        f"send the recording as multipart/form-data, the file in part {FILE_FIELD!r}", param=FILE_FIELD
    )


def _refuse_prompt() -> UnsupportedValueError:
    return UnsupportedValueError(
        "type='prompt': no engine here makes a voice of a description; send a recording as multipart/form-data, "
        f"type=audio_sample with the file in part {FILE_FIELD!r}",
        param="type",
    )
