"""OpenAI's wire of speech, as OpenAI has it and many other services."""

from collections.abc import Mapping
from dataclasses import replace

import httpx2

from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError, ProviderError
from voice_stack.core.provider import Provider
from voice_stack.core.provider_client import Question, json_body
from voice_stack.tts.engine.base import Spoken
from voice_stack.tts.models import TtsCapabilities
from voice_stack.tts.providers.wire import Ask, OfferedVoice, SpeechWire, Utterance, hear_samples

VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
_OWN_HOST = "api.openai.com"
_CUSTOM = "voice_"
"""Voices that an organisation has made begin so; they are not listed."""
_STRETCHING = ("tts-1", "tts-1-hd")
"""Models that keep to the speed that is asked; others may take it for a hint, or for nothing."""


class OpenAiWire(SpeechWire):
    """See `SpeechWire`."""

    name = "openai"
    models = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")

    def __init__(self, provider: Provider) -> None:
        self._is_own = httpx2.URL(provider.url).host == _OWN_HOST
        self._format = "pcm"

    def can(self, model: str) -> TtsCapabilities:
        """See `SpeechWire`."""
        can = super().can(model)
        return can if model in _STRETCHING else replace(can, speed_range=(1.0, 1.0))

    def heeds_instructions(self, model: str) -> bool:
        """See `SpeechWire`."""
        return model not in _STRETCHING

    def question(self, model: str, utterance: Utterance) -> Question:
        """See `SpeechWire`."""
        voice: object = utterance.voice or VOICES[0]
        body: dict[str, object] = {"model": model, "input": utterance.text, "response_format": self._format}
        body |= {"voice": {"id": voice} if self._is_own and str(voice).startswith(_CUSTOM) else voice}
        body |= {"speed": utterance.speed} if utterance.speed != 1 else {}
        body |= {"instructions": utterance.instructions} if utterance.instructions else {}
        return Question("/audio/speech", json_body(body), model=model, voice=utterance.voice)

    def adapts(self, refusal: InvalidRequestError) -> bool:
        """Some services have no bare samples (Groq's)."""
        is_format = "response_format" in refusal.message
        self._format = "wav" if is_format else self._format
        return is_format

    def hear(self, headers: Mapping[str, str], content: bytes) -> Spoken:
        """See `SpeechWire`."""
        return Spoken(hear_samples(self.name, headers, content))

    async def list_voices(self, ask: Ask) -> list[OfferedVoice] | None:
        """OpenAI's own are known; other services may list theirs as many do, as a list of names or of objects."""
        if self._is_own:
            return [OfferedVoice(name, name.capitalize()) for name in VOICES]
        try:
            listed = await ask(Question("/audio/voices"))
        except (ModelNotFoundError, ProviderError):  # a route that OpenAI does not have
            return None
        entries = listed.get("voices") if isinstance(listed, dict) else None
        voices = [_read_voice(entry) for entry in entries] if isinstance(entries, list) else []
        return [voice for voice in voices if voice is not None] or None


def _read_voice(entry: object) -> OfferedVoice | None:
    if isinstance(entry, str):
        return OfferedVoice(entry)
    if not isinstance(entry, dict) or not isinstance(name := entry.get("id") or entry.get("voice_id"), str):
        return None
    said = entry.get("name")
    return OfferedVoice(name, said if isinstance(said, str) else "")
