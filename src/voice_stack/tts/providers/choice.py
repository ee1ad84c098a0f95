"""Which provider speaks with which model, and what its wire is."""

from dataclasses import dataclass
from pathlib import Path

from voice_stack.core.provider import ProvidedModel, Provider
from voice_stack.tts.providers.deepgram import DeepgramWire
from voice_stack.tts.providers.elevenlabs import ElevenLabsWire
from voice_stack.tts.providers.openai import OpenAiWire
from voice_stack.tts.providers.wire import SpeechWire


@dataclass(frozen=True, slots=True)
class SpeakingConfig:
    """What is asked for speech, and how that is finished here; the last two are those of the settings."""

    provided: ProvidedModel
    loudness_lufs: float | None = None
    pronunciations: Path | None = None


def open_wire(provider: Provider) -> SpeechWire:
    """The wire of a provider."""
    match provider.name:
        case "openai":
            return OpenAiWire(provider)
        case "elevenlabs":
            return ElevenLabsWire()
        case _:
            return DeepgramWire()
