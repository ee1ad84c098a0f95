"""Deepgram's wire of speech: each voice is a model."""

from collections.abc import Mapping

from voice_stack.core.errors import ProviderError
from voice_stack.core.provider_client import Question, json_body
from voice_stack.tts.engine.base import Spoken
from voice_stack.tts.providers.wire import SAMPLE_RATE, Ask, OfferedVoice, SpeechWire, Utterance, hear_samples
from voice_stack.utils.language import find_language

_SOUND = (("encoding", "linear16"), ("container", "none"), ("sample_rate", str(SAMPLE_RATE)))


class DeepgramWire(SpeechWire):
    """See `SpeechWire`."""

    name = "deepgram"
    models = ("aura-2-thalia-en", "aura-2-andromeda-en", "aura-2-apollo-en", "aura-2-celeste-es")

    def question(self, model: str, utterance: Utterance) -> Question:
        """See `SpeechWire`."""
        return Question("/v1/speak", json_body({"text": utterance.text}), (("model", model), *_SOUND), model)

    def hear(self, headers: Mapping[str, str], content: bytes) -> Spoken:
        """See `SpeechWire`."""
        return Spoken(hear_samples(self.name, headers, content))

    async def list_voices(self, ask: Ask) -> list[OfferedVoice] | None:
        """See `SpeechWire`."""
        listed = await ask(Question("/v1/models"))
        entries = listed.get("tts") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise ProviderError("The provider deepgram answered no list of models.")
        return [voice for entry in entries if (voice := _read_voice(entry)) is not None]


def languages_of(model: str) -> tuple[str, ...]:
    """The language at the end of a model's name, as in `aura-2-thalia-en`."""
    known = find_language(model.rpartition("-")[2])
    return (known.code,) if known else ()


def _read_voice(entry: object) -> OfferedVoice | None:
    if not isinstance(entry, dict) or not isinstance(model := entry.get("canonical_name"), str):
        return None
    name, metadata = entry.get("name"), entry.get("metadata")
    accent = metadata.get("accent") if isinstance(metadata, dict) else None
    said = name.capitalize() if isinstance(name, str) else ""
    return OfferedVoice(model, said, languages_of(model), accent if isinstance(accent, str) else "")
