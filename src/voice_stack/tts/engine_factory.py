"""Engine name -> class, imported only in the engine process that runs it."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.table import EngineEntry, require_engine
from voice_stack.core.jobs import options_from
from voice_stack.core.models.hub import forbid_downloads
from voice_stack.core.models.repair import load_model
from voice_stack.core.models.store import ModelStore
from voice_stack.core.provider import PROVIDERS, find_provided
from voice_stack.core.telemetry.registry import label_model
from voice_stack.tts.models import CAPABILITIES, TTS_CATALOGUE, TTS_MODELS, check_licence
from voice_stack.tts.providers import SpeakingConfig, open_wire
from voice_stack.tts.request import TtsWorkerConfig
from voice_stack.tts.settings import TtsSettings

if TYPE_CHECKING:
    from voice_stack.core.jobs import Workload
    from voice_stack.tts.engine.base import TtsEngine

ASKING = "voice_stack.tts.providers.workload"

ENGINES: dict[str, EngineEntry] = {
    "piper": EngineEntry("voice_stack.tts.engine.piper:PiperEngine", "piper", "voice-stack[piper]"),
    "hibari": EngineEntry("voice_stack.tts.engine.hibari:HibariEngine", "hibari", "voice-stack[hibari]"),
    "kokoro": EngineEntry("voice_stack.tts.engine.kokoro:KokoroEngine", "hibari", "voice-stack[kokoro]"),
    "xtts": EngineEntry("voice_stack.tts.engine.coqui:XttsEngine", "TTS", "voice-stack[xtts]"),
    "pocket": EngineEntry("voice_stack.tts.engine.pocket:PocketEngine", "pocket_tts", "voice-stack[pocket]"),
    "qwen3": EngineEntry("voice_stack.tts.engine.qwen3:Qwen3Engine", "qwen_tts", "voice-stack[qwen3]"),
    "fake": EngineEntry("voice_stack.tts.engine.fake:FakeEngine", "numpy", "voice-stack[tts]", needs_model=False),
}


def find_engine(name: str) -> EngineEntry:
    """The entry of an engine that is installed.

    Raises:
        ConfigurationError: No engine has that name, or its package is missing.
    """
    return require_engine(ENGINES, name, "TTS_ENGINE")


def open_store(settings: TtsSettings) -> ModelStore:
    """The model store as the settings describe it."""
    paths = settings.model, settings.fallback_model
    return ModelStore(TTS_CATALOGUE, settings.model_dir, settings.offline, paths=paths)


def engine_spec(settings: TtsSettings, engine: str, model: str) -> EngineSpec:
    """How the engine of a model (a catalogue name, the path of an operator's file, a provider's model) is started."""
    loudness_lufs = None if settings.loudness_lufs == "off" else settings.loudness_lufs
    if engine in PROVIDERS and (provided := find_provided(settings, model)) is not None:
        asked = SpeakingConfig(provided, loudness_lufs, settings.pronunciations)
        usual = open_wire(provided.provider).models
        label = label_model(provided.model, usual, [name.partition("/")[2] for name in settings.providers])
        return EngineSpec(
            provided.provider.name, provided.model, f"{ASKING}:build_workload", asked, model_label=label, link="task"
        )
    own: dict[str, object] = {"engine": engine, "model": model, "operator_paths": (model,)}
    config = options_from(TtsWorkerConfig, settings, loudness_lufs=loudness_lufs, **own)
    label = label_model(model, [spec.name for spec in TTS_MODELS], (settings.model, *settings.allowed_models))
    told = settings.log_level, settings.log_format, label
    return EngineSpec(engine, model, f"{__name__}:build_workload", config, *told)


def build_workload(config: TtsWorkerConfig) -> "Workload":
    """In the engine process: the work of a TTS engine."""
    from voice_stack.tts.workload import TtsWorkload

    can = CAPABILITIES[config.engine]
    return TtsWorkload(can, lambda: load_engine(config), config.loudness_lufs, config.pronunciations)


def stand_by(config: TtsWorkerConfig) -> None:
    """In an engine process that waits for its first job: all that takes time and holds no model."""
    engine_class = cast("type[TtsEngine]", find_engine(config.engine).import_class())
    store = ModelStore(TTS_CATALOGUE, config.model_dir, config.offline, paths=config.operator_paths)
    engine_class.stand_by(store.path(config.model))


def load_engine(config: TtsWorkerConfig) -> "TtsEngine":
    """In the engine process: fetch the model's files if need be, then load it.

    Raises:
        ModelNotFoundError: No such model, or not on this machine while `OFFLINE` is set.
        ModelLoadError: Its files are damaged or do not load.
        LicenceNotAcceptedError: Its licence is not accepted; nothing is fetched then.
    """
    check_licence(config.engine, accepted=config.accept_cpml)
    if config.offline:
        forbid_downloads()
    entry = find_engine(config.engine)
    engine_class = cast("type[TtsEngine]", entry.import_class())
    store = ModelStore(TTS_CATALOGUE, config.model_dir, config.offline, paths=config.operator_paths)
    cache_dir = config.model_dir / ".cache"

    def load(folder: Path) -> "TtsEngine":
        engine = engine_class(folder, device=config.device, threads=config.threads, cache_dir=cache_dir)
        engine.require_resources(offline=config.offline)
        return engine

    named = config.model_dir / config.model
    return load_model(store, config.model, load) if entry.needs_model else load(named)
