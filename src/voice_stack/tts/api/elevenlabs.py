"""ElevenLabs' API: their clients speak with our voices by another base URL."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.form import check_fields, ignored_fields_header
from voice_stack.core.http.uploads import receive_object
from voice_stack.core.http.wires import XI_API_KEY, second_version
from voice_stack.tts.api.documents import ALIGNED_SPEECH, SOUND
from voice_stack.tts.api.openai import MAX_BYTES_PER_CHARACTER, Show, answer_speech
from voice_stack.tts.api.voices import VoiceView
from voice_stack.tts.cache.recording import SpeechReader
from voice_stack.tts.captions.sentences import TimedSentence, find_sentence
from voice_stack.tts.schemas import MAX_INPUT_CHARS, SpeechBody, check_speech
from voice_stack.tts.service import TtsService
from voice_stack.utils.language import find_language

MODEL_FAMILY = "eleven_"
"""How the names of ElevenLabs' own models begin: here they stand for the default model."""
DEFAULT_FORMAT = "mp3_44100_128"
MAX_PAGE = 100


class ElevenLabsBody(BaseModel):
    """What is heeded of a body of ElevenLabs; the answer names what else was sent."""

    text: str = Field(description="The text to speak.")
    model_id: str = Field("", max_length=200, description="ElevenLabs' names stand for the default model.")
    language_code: str | None = Field(None, description="Language of the text, as `en`; found if absent.")
    voice_settings: dict[str, object] = Field({}, description="`speed`, 1 is the voice's own; the rest is ignored.")


def _read(service: TtsService, voice_id: str, sent: Mapping[str, object], query: "SpeechQuery") -> SpeechBody:
    """The same as a request of ours.

    Raises:
        InvalidRequestError: A field is missing or does not fit.
    """
    body = check_fields(ElevenLabsBody, sent)
    fields: dict[str, object] = {
        "model": _choose_model(service, body.model_id),
        "input": body.text,
        "voice": voice_id,
        "response_format": query.output_format,
        "cache": query.enable_logging,
        "stream": query.is_streamed,
        "timestamps": "word" if query.is_timed else None,
        "language": body.language_code,
        "speed": body.voice_settings.get("speed"),
    }
    return check_speech({name: value for name, value in fields.items() if value is not None})


@dataclass(frozen=True, slots=True)
class SpeechQuery:
    """What the URL says; `enable_logging=false` asks that nothing is kept."""

    output_format: str
    enable_logging: bool
    is_streamed: bool
    is_timed: bool


def _choose_model(service: TtsService, name: str) -> str:
    if not name or name.startswith(MODEL_FAMILY):
        return service.models.default
    try:
        service.models.resolve(name)
    except ModelNotFoundError as error:
        raise InvalidRequestError(error.message, param="model", code=error.code) from None
    return name


def _find_ignored(sent: Mapping[str, object], query: Mapping[str, str]) -> list[str]:
    """What was sent and changes nothing; a normalisation that is on is what happens anyway."""
    settings = sent.get("voice_settings")
    inner = [f"voice_settings[{name}]" for name in settings if name != "speed"] if isinstance(settings, dict) else []
    usual = {"apply_text_normalization": ("auto", "on")}
    others = {name: value for name, value in sent.items() if name not in ElevenLabsBody.model_fields}
    outer = [name for name, value in others.items() if value not in usual.get(name, ())]
    asked = [name for name in query if name not in {"output_format", "enable_logging"}]
    return [*outer, *inner, *asked]


@dataclass(slots=True)
class CharacterTimes:
    """When characters are said, in seconds from the beginning of the speech: three lists of one length."""

    characters: list[str] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)

    def add(self, text: str, start_s: float, end_s: float) -> None:
        """Share a time among the characters of a text, to each as much."""
        step_s = (max(end_s, start_s) - start_s) / max(len(text), 1)
        edges_s = [round(start_s + step_s * number, 3) for number in range(len(text) + 1)]
        self.characters += text
        for character_start_s, character_end_s in pairwise(edges_s):
            self.starts_s.append(character_start_s)
            self.ends_s.append(character_end_s)

    def show(self) -> dict[str, object] | None:
        """As ElevenLabs has it; None: there are none."""
        if not self.characters:
            return None
        return {
            "characters": self.characters,
            "character_start_times_seconds": self.starts_s,
            "character_end_times_seconds": self.ends_s,
        }


class CharacterAligner:
    """Sentences with the times of their words -> times of the characters that were sent.

    Joined, the characters are the text as it was sent; where markup or a script makes that impossible, the sentences
    that are spoken, with a space between two.

    Args:
        text: As it was sent.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at, self._clock_s, self._is_lost = text, 0, 0.0, False

    def take(self, sentence: TimedSentence, times: CharacterTimes) -> None:
        """Add what was written up to the end of a sentence."""
        start = -1 if self._is_lost else self._text.find(sentence.text, self._at)
        if start >= 0:
            times.add(self._text[self._at : start], self._clock_s, sentence.start_s)
            self._at = start + len(sentence.text)
        else:
            times.add(" " * (self._clock_s > 0), self._clock_s, sentence.start_s)
            self._is_lost = True
        self._clock_s, place = max(self._clock_s, sentence.start_s), 0
        for word in sentence.words:
            found = sentence.text.find(word.text, place)
            if found < 0:
                continue
            start_s = max(self._clock_s, word.start_s)
            times.add(sentence.text[place:found], self._clock_s, start_s)
            times.add(word.text, start_s, word.end_s)
            self._clock_s, place = max(start_s, word.end_s), found + len(word.text)
        times.add(sentence.text[place:], self._clock_s, sentence.end_s)
        self._clock_s = max(self._clock_s, sentence.end_s)

    def finish(self, times: CharacterTimes) -> None:
        """Add what was written behind the last sentence; there is no more."""
        times.add("" if self._is_lost else self._text[self._at :], self._clock_s, self._clock_s)


def _chunk(audio: bytes, times: CharacterTimes) -> bytes:
    shown = times.show()
    told = {"audio_base64": base64.b64encode(audio).decode(), "alignment": shown, "normalized_alignment": shown}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _show_whole(text: str) -> Show:
    async def show(reader: SpeechReader) -> AsyncIterator[bytes]:
        audio = b"".join([piece async for piece in reader.exact()])
        times, aligner = CharacterTimes(), CharacterAligner(text)
        for note in reader.recording.notes:
            if sentence := find_sentence(note.content):
                aligner.take(sentence, times)
        aligner.finish(times)
        yield await asyncio.to_thread(_chunk, audio, times)

    return show


def _show_lines(text: str) -> Show:
    async def show(reader: SpeechReader) -> AsyncIterator[bytes]:
        times, aligner = CharacterTimes(), CharacterAligner(text)
        async for piece in reader.pieces():
            if piece.audio:
                yield _chunk(piece.audio, times) + b"\n"
                times = CharacterTimes()
            if sentence := find_sentence(piece.note):
                aligner.take(sentence, times)
            if piece.note and piece.note.get("is_last"):
                aligner.finish(times)
        if times.characters:
            yield _chunk(b"", times) + b"\n"

    return show


class _KeyedRoute(APIRoute):
    """A route for who brings ElevenLabs' key; for others the path is OpenAI's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if XI_API_KEY in Headers(scope=scope) else (Match.NONE, {})


def create_elevenlabs_router(service: TtsService) -> APIRouter:
    """The routes below the API prefix; to be added before OpenAI's: both have `/models`."""
    router, view = APIRouter(tags=["elevenlabs"]), VoiceView(service)

    async def answer(request: Request, voice_id: str, query: SpeechQuery) -> Response:
        sent = await receive_object(request, max_bytes=MAX_INPUT_CHARS * MAX_BYTES_PER_CHARACTER + 65_536)
        body = _read(service, voice_id, sent, query)
        show = (_show_lines if query.is_streamed else _show_whole)(body.input) if query.is_timed else None
        response = await answer_speech(service, request, body, show=show)
        response.headers.update(ignored_fields_header(_find_ignored(sent, request.query_params)))
        return response

    def add(path: str, *, is_streamed: bool, is_timed: bool) -> None:
        async def speak(
            request: Request, voice_id: str, output_format: str = DEFAULT_FORMAT, enable_logging: bool = True
        ) -> Response:
            """Text to speech, as ElevenLabs has it."""
            return await answer(request, voice_id, SpeechQuery(output_format, enable_logging, is_streamed, is_timed))

        router.add_api_route(
            f"/text-to-speech/{{voice_id}}{path}",
            speak,
            methods=["POST"],
            name="speak_elevenlabs" + "_streamed" * is_streamed + "_timed" * is_timed,
            responses=ALIGNED_SPEECH if is_timed else SOUND,
            response_class=Response,
            openapi_extra=json_docs(ElevenLabsBody),
        )

    add("", is_streamed=False, is_timed=False)
    add("/stream", is_streamed=True, is_timed=False)
    add("/with-timestamps", is_streamed=False, is_timed=True)
    add("/stream/with-timestamps", is_streamed=True, is_timed=True)

    @router.get("/voices")
    async def list_voices() -> dict[str, object]:
        """The voices that can speak now, as ElevenLabs lists them."""
        await service.mirror.refresh()
        return {"voices": await asyncio.to_thread(_list_voices, view)}

    @router.get("/voices/{voice_id}")
    async def show_voice(voice_id: str) -> dict[str, object]:
        """One voice."""
        return _show_voice(await asyncio.to_thread(view.show, voice_id))

    async def list_models() -> list[dict[str, object]]:
        return await asyncio.to_thread(_list_models, service)

    router.routes.append(_KeyedRoute("/models", list_models, methods=["GET"], include_in_schema=False))
    return router


def create_elevenlabs_root_router(service: TtsService) -> APIRouter:
    """Their second version of the list of voices, which is beside the API prefix."""
    router, view = APIRouter(tags=["elevenlabs"]), VoiceView(service)

    @router.get(second_version(service.settings.api_v1_str))
    async def list_voices(search: str = "", page_size: int = 10, next_page_token: str = "") -> dict[str, object]:
        """The voices that can speak now, by pages; `search` looks at names, labels and descriptions."""
        voices = await asyncio.to_thread(_list_voices, view)
        found = [voice for voice in voices if search.lower() in json.dumps(voice, ensure_ascii=False).lower()]
        start = int(next_page_token) if next_page_token.isdecimal() and len(next_page_token) < 10 else 0
        end = start + min(max(page_size, 1), MAX_PAGE)
        has_more = end < len(found)
        token = str(end) if has_more else None
        return {
            "voices": found[start:end],
            "has_more": has_more,
            "total_count": len(found),
            "next_page_token": token,
        }

    return router


def _list_voices(view: VoiceView) -> list[dict[str, object]]:
    return [_show_voice(voice) for voice in view.list() if voice["available"]]


def _show_voice(voice: Mapping[str, object]) -> dict[str, object]:
    """A voice of `GET /audio/voices` as ElevenLabs shows one."""
    languages = voice["languages"] if isinstance(voice["languages"], list) else []
    return {
        "voice_id": voice["id"],
        "name": voice["name"],
        "category": "cloned" if voice["kind"] == "cloned" else "premade",
        "labels": {"language": str(voice["language"])} if voice["language"] else {},
        "description": voice["description"] or None,
        "preview_url": None,
        "samples": None,
        "settings": None,
        "available_for_tiers": [],
        "high_quality_base_model_ids": [],
        "verified_languages": [{"language": code, "model_id": str(voice["model"])} for code in languages],
    }


def _list_models(service: TtsService) -> list[dict[str, object]]:
    by_model: dict[str, dict[str, None]] = {}
    for voice in service.voices.own_voices().values():
        by_model.setdefault(voice.model, {}).update(dict.fromkeys(voice.languages))
    return [
        {
            "model_id": name,
            "name": name,
            "can_do_text_to_speech": True,
            "can_do_voice_conversion": False,
            "maximum_text_length_per_request": MAX_INPUT_CHARS,
            "languages": _name_languages(list(by_model.get(service.models.resolve(name), ()))),
        }
        for name in service.models.names()
    ]


def _name_languages(codes: Sequence[str]) -> list[dict[str, str]]:
    return [{"language_id": code, "name": known.name if (known := find_language(code)) else code} for code in codes]
