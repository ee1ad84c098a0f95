"""The work of a provider's model: a file is made ready, sent whole in one request, and the answer becomes segments."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.providers.answer import Heard
from voice_stack.asr.providers.deepgram import DeepgramWire
from voice_stack.asr.providers.elevenlabs import ElevenLabsWire
from voice_stack.asr.providers.openai import OpenAiWire
from voice_stack.asr.providers.sound import SoundMaker, SoundPlan
from voice_stack.asr.providers.wire import COUNTS, Wire
from voice_stack.asr.request import (
    AudioFile,
    DetectionRequest,
    LanguageVote,
    TranscriptionRequest,
    TranscriptionSummary,
    WindowText,
)
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcript import Segment
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.task import AsyncWorkload, Closing
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.jobs import Expected, Job
from voice_stack.core.provider import ProvidedModel, find_provided
from voice_stack.core.provider_client import ProviderClient
from voice_stack.core.telemetry.registry import label_model

WIRES: dict[str, Wire] = {"openai": OpenAiWire(), "elevenlabs": ElevenLabsWire(), "deepgram": DeepgramWire()}

LANES = 128
"""No thread waits for an answer, so that the provider alone sets a limit; who comes after waits for a lane."""
SMALL_ANSWER_BYTES = 16 << 10
"""So much is read in a millisecond or two; more of it beside the event loop."""
SEGMENTS_AT_ONCE = 50
EXCERPT_S = 60.0
"""For the question which language it is."""
CHARACTERS_FALLBACK = "chinese-characters"
_REWRITTEN = frozenset({"ja", "zh", "yue"})


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """What the work of a provider's model is started with; fields without a comment are those of the settings."""

    model: ProvidedModel
    max_audio_s: float
    spool_dir: Path | None


def provided_spec(settings: AsrSettings, model: ProvidedModel) -> EngineSpec:
    """How the work of a provider's model is begun."""
    provider = model.provider.name
    label = label_model(model.model, WIRES[provider].models, [model.model] if model.name in settings.providers else [])
    config = ProviderConfig(model, settings.max_audio_s, settings.spool_dir)
    told = settings.log_level, settings.log_format, label
    return EngineSpec(provider, model.model, f"{__name__}:build_workload", config, *told, link="task")


def provided_names(settings: AsrSettings) -> list[str]:
    """The models of providers that are listed: those that the settings name, and the usual ones of a pattern."""
    usual = [f"{provider}/{model}" for provider, wire in WIRES.items() for model in wire.models]
    return [name for name in dict.fromkeys([*settings.providers, *usual]) if is_listed(settings, name)]


def is_listed(settings: AsrSettings, name: str) -> bool:
    """Whether it is the name of a model that may be used, and no pattern."""
    return not set("*?[") & set(name) and find_provided(settings, name) is not None


def provided_capabilities(model: ProvidedModel) -> AsrCapabilities:
    """What a provider's model can do."""
    return WIRES[model.provider.name].capabilities(model.model)


def unheeded_fields(model: ProvidedModel, *, tells_speakers: bool) -> frozenset[str]:
    """Fields of a request that mean nothing to a provider's model.

    Args:
        model: It.
        tells_speakers: Whether it is asked who speaks: if not, that is found here.
    """
    unheeded = WIRES[model.provider.name].unheeded(model.model)
    return unheeded if tells_speakers else unheeded - COUNTS


def build_workload(config: ProviderConfig) -> AsyncWorkload:
    """On the event loop of the API process."""
    return ProviderWorkload(config)


class ProviderWorkload(AsyncWorkload):
    """Asks one provider for the texts of files."""

    lanes = LANES

    def __init__(self, config: ProviderConfig) -> None:
        self._config, self._model = config, config.model.model
        self._wire = WIRES[config.model.provider.name]
        self._client = ProviderClient(config.model.provider)
        self._sounds = SoundMaker(config.spool_dir)

    async def load(self) -> None:
        self._sounds.warm_up()

    async def close(self) -> None:
        await self._client.close()
        await self._sounds.close()

    async def run(self, job: Job) -> AsyncGenerator[object, None]:
        if isinstance(job.request, DetectionRequest):
            yield await self._detect(job.request)
            yield Closing(None)
            return
        request = job.request
        assert isinstance(request, TranscriptionRequest)
        if request.text is not None:
            raise UnsupportedValueError(f"{self._config.model.name} aligns no text; models of this server do")
        plan = SoundPlan(request.source, self._config.max_audio_s, self._wire.max_bytes)
        async with self._sounds.make(plan) as sound:
            yield Expected(job.id, sound.duration_s)
            content = await self._client.fetch(self._wire.ask(self._model, request, sound))
        heard = await self._read(content, request, sound.duration_s)
        heard = replace(heard, warnings=sound.warnings + heard.warnings)
        for at in range(0, max(len(heard.segments), 1), SEGMENTS_AT_ONCE):
            yield _window_text(heard, at, sound.duration_s)
        yield Closing(_summary(heard, request, sound.duration_s))

    async def _detect(self, request: DetectionRequest) -> LanguageVote:
        if not self._wire.capabilities(self._model).tells_language:
            raise UnsupportedValueError(f"{self._config.model.name} does not tell the language", param="model")
        length_s = min(request.length_s or EXCERPT_S, EXCERPT_S)
        excerpt = request.offset_s, length_s
        plan = SoundPlan(request.source, self._config.max_audio_s, self._wire.max_bytes, excerpt)
        whole = TranscriptionRequest(AudioFile(request.source.path))
        async with self._sounds.make(plan) as sound:
            content = await self._client.fetch(self._wire.ask(self._model, whole, sound))
        heard = await self._read(content, whole, sound.duration_s)
        return LanguageVote(((heard.language or "en", heard.language_probability),), _speech_s(heard.segments))

    async def _read(self, content: bytes, request: TranscriptionRequest, duration_s: float) -> Heard:
        read = partial(self._wire.read, content, request, duration_s)
        heard = read() if len(content) <= SMALL_ANSWER_BYTES else await self._sounds.call(read)
        assert isinstance(heard, Heard)
        if heard.language in _REWRITTEN and heard.segments:
            heard = await self._sounds.call(partial(_rewrite, heard, request.characters))
            assert isinstance(heard, Heard)
        return heard


def _rewrite(heard: Heard, characters: str | None) -> Heard:
    """The text in the characters that were asked for; beside the event loop, for it loads a dictionary."""
    from voice_stack.asr.listening.results import NoConverterError, rewrite

    try:
        segments = tuple(rewrite(segment, heard.language, characters) for segment in heard.segments)
    except NoConverterError:
        return replace(heard, fallbacks=(*heard.fallbacks, CHARACTERS_FALLBACK))
    return replace(heard, segments=segments)


def _speech_s(segments: tuple[Segment, ...]) -> float:
    return sum(segment.end_s - segment.start_s for segment in segments)


def _window_text(heard: Heard, at: int, duration_s: float) -> WindowText:
    """The next segments."""
    segments, is_last = heard.segments[at : at + SEGMENTS_AT_ONCE], at + SEGMENTS_AT_ONCE >= len(heard.segments)
    heard_s = duration_s if is_last else segments[-1].end_s
    return WindowText(segments, heard_s, duration_s, heard.fallbacks, heard.warnings)


def _summary(heard: Heard, request: TranscriptionRequest, duration_s: float) -> TranscriptionSummary:
    return TranscriptionSummary(
        audio_in_s=duration_s,
        speech_s=min(_speech_s(heard.segments), duration_s),
        language=heard.language,
        language_probability=heard.language_probability,
        fallbacks=heard.fallbacks,
        warnings=heard.warnings,
        has_speakers=request.speakers is not None,
    )
