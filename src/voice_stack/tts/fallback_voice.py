"""Who speaks in place of an engine that cannot: the fall-back model of the settings, in a voice of its own."""

from dataclasses import dataclass, replace

from voice_stack.core.engine_process import EngineSpec
from voice_stack.core.model_store import ModelStore
from voice_stack.core.substitution import Substitute
from voice_stack.tts.capabilities import CAPABILITIES
from voice_stack.tts.engine_factory import engine_spec
from voice_stack.tts.request import Passage, SpeechRequest
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices import Voice, VoiceLibrary


def fallback_engine(settings: TtsSettings, store: ModelStore) -> str:
    """The engine of the fall-back model; that of the settings for a file of the operator."""
    spec = store.find(settings.fallback_model)
    return settings.engine if spec is None or spec.path is not None else spec.engine


@dataclass(frozen=True, slots=True)
class FallbackVoices:
    """Finds substitutes.

    Args:
        settings: Those of the server.
        store: Where models are.
        voices: Who can speak.
    """

    settings: TtsSettings
    store: ModelStore
    voices: VoiceLibrary

    def find_substitute(self, engine: EngineSpec, request: SpeechRequest) -> Substitute | None:
        """Who speaks a request in place of an engine; None if nobody may, or nobody knows its languages."""
        settings = self.settings
        if not settings.fallback_model:
            return None
        name = fallback_engine(settings, self.store)
        spec = engine_spec(settings, name, settings.fallback_model)
        if spec.name == engine.name:
            return None
        speakers = self._speakers(name)
        passages = [_recast(passage, speakers) for passage in request.passages]
        known = tuple(passage for passage in passages if passage is not None)
        if len(known) < len(passages):
            return None
        default = engine_spec(settings, settings.engine, settings.model)
        return Substitute([spec], replace(request, passages=known), for_missing=engine.name == default.name)

    def _speakers(self, engine: str) -> list[Voice]:
        """Voices of the model that need no recording; its only one where it is not listed."""
        model = self.settings.fallback_model
        own = [voice for voice in self.voices.own_voices().values() if voice.engine == engine]
        if CAPABILITIES[engine].one_voice_per_model:
            own = [voice for voice in own if voice.model == model]
        usable = [voice for voice in own if not voice.unavailable and not voice.engine_voice.recordings]
        spec = self.store.find(model)
        return usable or [Voice(id=model, engine=engine, model=model, languages=spec.languages if spec else ())]


def _recast(passage: Passage, speakers: list[Voice]) -> Passage | None:
    """The passage in the first voice that speaks its language; None if there is none."""
    language = passage.language_code
    voice = next((one for one in speakers if not language or not one.languages or language in one.languages), None)
    return None if voice is None else replace(passage, voice=voice.engine_voice, languages=voice.languages)
