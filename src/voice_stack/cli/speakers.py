"""The two ways to a speech: a running server, or an engine of our own."""

from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from voice_stack.client import AsyncVoiceStackClient, AudioFormat, FileHead, SpeechChunk

if TYPE_CHECKING:
    from voice_stack.tts.settings import TtsSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is said and how; no language: that of the text."""

    text: str
    voice: str
    model: str
    format: AudioFormat
    speed: float
    language: str | None


async def speak_on_server(client: AsyncVoiceStackClient, wanted: Wanted) -> AsyncGenerator[SpeechChunk, None]:
    """Speak on a running server.

    Raises:
        VoiceStackClientError: It does not answer, or refuses.
    """
    options = asdict(wanted)
    async with client:
        async for chunk in client.synthesize_chunks(options.pop("text"), **options):
            yield chunk


async def speak_by_itself(settings: "TtsSettings", wanted: Wanted) -> AsyncGenerator[SpeechChunk, None]:
    """Speak in engine processes of our own, which end with the iterator; what the cache has needs none.

    Raises:
        ConfigurationError: The engine is not there.
        VoiceStackError: The request does not fit, or the engine fails.
    """
    from voice_stack.tts.cache.key import speech_key
    from voice_stack.tts.schemas import check_speech
    from voice_stack.tts.service import create_service

    service = create_service(settings)
    try:
        body = check_speech(_json_body(wanted), max_chars=settings.max_input_chars)
        plan = await service.plan(body)
        key = speech_key(plan, body.response_format) if service.cache.is_on else None
        opened = await service.cache.open(key, lambda: service.begin(body, plan), is_patient=False)
        try:
            async for piece in opened.reader.pieces():
                characters = (piece.note or {}).get("characters")
                yield SpeechChunk(piece.audio, characters if isinstance(characters, int) else None)
            facts = opened.reader.facts
            assert facts is not None
            head = FileHead(facts.exact_head.replaces, facts.exact_head.data)
            yield SpeechChunk(b"", head=head, duration_s=facts.audio_s)
        finally:
            opened.reader.close()
    finally:
        await service.cache.close()
        await service.pool.close()
        await service.language_process.close()


def _json_body(wanted: Wanted) -> dict[str, object]:
    """The body a client would send: read by the same checks."""
    body: dict[str, object] = asdict(wanted)
    return {**body, "input": wanted.text, "response_format": wanted.format}
