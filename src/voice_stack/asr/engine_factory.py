"""Engine name -> class, imported only in the engine process that runs it."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from voice_stack.asr.models import SPEAKER_CATALOGUE, SPEAKERS_OFF, find_catalogue
from voice_stack.asr.providers.workload import provided_spec
from voice_stack.asr.request import AsrWorkerConfig, EngineOptions, SpeakersWorkerConfig
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.table import EngineEntry, require_engine
from voice_stack.core.errors import ConfigurationError, ModelNotFoundError, UnsupportedValueError
from voice_stack.core.jobs import options_from
from voice_stack.core.models.hub import forbid_downloads
from voice_stack.core.models.repair import load_model
from voice_stack.core.models.store import ModelStore
from voice_stack.core.provider import ProvidedModel, find_provided
from voice_stack.core.telemetry.registry import label_model

if TYPE_CHECKING:
    from voice_stack.asr.engine.base import AsrEngine
    from voice_stack.asr.speakers.base import SpeakerEngine
    from voice_stack.core.jobs import Workload


ENGINES: dict[str, EngineEntry] = {
    "faster-whisper": EngineEntry(
        "voice_stack.asr.engine.fasterwhisper:FasterWhisperEngine", "faster_whisper", "voice-stack[asr]"
    ),
    "whisper": EngineEntry("voice_stack.asr.engine.whisper:WhisperEngine", "whisper", "voice-stack[whisper]"),
    "parakeet": EngineEntry("voice_stack.asr.engine.parakeet:ParakeetEngine", "onnx_asr", "voice-stack[parakeet]"),
    "fake": EngineEntry("voice_stack.asr.engine.fake:FakeEngine", "numpy", "voice-stack[asr]", needs_model=False),
}

SPEAKER_ENGINES: dict[str, EngineEntry] = {
    "community": EngineEntry("voice_stack.asr.speakers.community:CommunityEngine", "scipy", "voice-stack[diarize]"),
    "nemotron": EngineEntry(
        "voice_stack.asr.speakers.nemotron:NemotronEngine", "transformers", "voice-stack[nemotron]"
    ),
    "fake": EngineEntry("voice_stack.asr.speakers.fake:FakeSpeakers", "numpy", "voice-stack[asr]", needs_model=False),
}
"""What tells speakers apart; which one follows from the model."""

LIVE_SPEAKER_ENGINES = frozenset({"community", "fake"})
"""Those that know voices: without that nobody could keep a letter over a live session."""


def find_engine(name: str) -> EngineEntry:
    """The entry of an engine that is installed.

    Raises:
        ConfigurationError: No engine has that name, or its package is missing.
    """
    return require_engine(ENGINES, name, "ASR_ENGINE")


def open_store(settings: AsrSettings) -> ModelStore:
    """The model store as the settings describe it."""
    return ModelStore(
        find_catalogue(settings.engine), settings.model_dir, settings.offline, paths=_operator_paths(settings)
    )


def _operator_paths(settings: AsrSettings) -> tuple[str, ...]:
    return settings.model, settings.fallback_model


def find_provided_model(settings: AsrSettings, name: str) -> ProvidedModel | None:
    """The provider's model of that name, if it may be used; what the engine itself has by that name stays here."""
    own = {known for spec in find_catalogue(settings.engine).models for known in spec.names}
    return None if name in own else find_provided(settings, name)


def engine_specs(settings: AsrSettings, model: str) -> tuple[EngineSpec, ...]:
    """How each replica of the engine for a model is started."""
    if provided := find_provided_model(settings, model):
        return (provided_spec(settings, provided),)
    store = open_store(settings)
    listed = [spec.name for spec in store.catalogue.models]
    # One that was trained here is the operator's choice, too; a look for it costs others nothing.
    if (spec := store.find(model)) is not None and spec.base:
        listed.append(model)
    label = label_model(model, listed, (settings.model, *settings.allowed_models))
    own: dict[str, object] = {"model": model, "operator_paths": _operator_paths(settings)}
    told = settings.log_level, settings.log_format, label
    specs = []
    for replica in range(settings.replicas):
        options = options_from(EngineOptions, settings, replica=replica, tuning_dir=settings.model_dir / ".tuned")
        config = options_from(AsrWorkerConfig, settings, options=options, **own)
        specs.append(EngineSpec(settings.engine, model, f"{__name__}:build_workload", config, *told, replica))
    return tuple(specs)


def open_speaker_store(settings: AsrSettings) -> ModelStore:
    """Where the model is that tells speakers apart."""
    return ModelStore(SPEAKER_CATALOGUE, settings.model_dir, settings.offline, paths=(settings.speaker_model,))


def find_speaker_engine(settings: AsrSettings) -> str:
    """The engine of the model that tells speakers apart.

    Raises:
        ConfigurationError: There is no such model.
    """
    model = settings.speaker_model
    if model.partition("+")[0] == "fake":
        return "fake"
    spec = open_speaker_store(settings).find(model)
    if spec is None:
        names = ", ".join(known.name for known in SPEAKER_CATALOGUE.models)
        raise ConfigurationError(
            f"ASR_SPEAKER_MODEL={model!r}: no such model; there are {names}, a folder, and {SPEAKERS_OFF}"
        )
    return spec.engine


def require_speaker_specs(settings: AsrSettings) -> tuple[EngineSpec, ...]:
    """How the process that tells speakers apart is started; nothing is fetched for it.

    Raises:
        UnsupportedValueError: The operator wants none.
        ModelNotFoundError: The model, or what runs it, is not on this machine; the message says what brings it.
    """
    model = settings.speaker_model
    if model == SPEAKERS_OFF:
        raise UnsupportedValueError(f"This server does not tell speakers apart: ASR_SPEAKER_MODEL={SPEAKERS_OFF}.")
    engine = find_speaker_engine(settings)
    try:
        entry = require_engine(SPEAKER_ENGINES, engine, "ASR_SPEAKER_MODEL")
    except ConfigurationError as error:
        raise ModelNotFoundError(f"Speakers cannot be told apart on this server: {error.message}") from None
    store = open_speaker_store(settings)
    if entry.needs_model and not store.is_local(model):
        shown = "diarization" if engine == "community" else model
        raise ModelNotFoundError(
            f"Speakers cannot be told apart on this server: the model {model} is not there. "
            f"It comes with: voice-stack models pull {shown}"
        )
    config = options_from(
        SpeakersWorkerConfig, settings, engine=engine, model=model, options=options_from(EngineOptions, settings)
    )
    label = label_model(model, [spec.name for spec in SPEAKER_CATALOGUE.models], (model,))
    told = settings.log_level, settings.log_format, label
    return (EngineSpec(engine, model, f"{__name__}:build_workload", config, *told, is_beside=True),)


def build_workload(config: AsrWorkerConfig | SpeakersWorkerConfig) -> "Workload":
    """In the engine process: the work of an engine, for transcriptions or for speakers."""
    if isinstance(config, SpeakersWorkerConfig):
        from voice_stack.asr.speakers.workload import SpeakersWorkload

        return SpeakersWorkload(config, lambda: load_speaker_engine(config))

    from voice_stack.asr.listening.workload import AsrWorkload

    return AsrWorkload(config, lambda: load_engine(config))


def stand_by(config: AsrWorkerConfig) -> None:
    """In an engine process that waits for its first job: all that takes time and holds no model."""
    find_engine(config.engine).import_class()
    import_module("onnxruntime")  # for voice activity detection


def load_engine(config: AsrWorkerConfig) -> "AsrEngine":
    """In the engine process: fetch the model's files if need be, then load it.

    Raises:
        ModelNotFoundError: No such model, or not on this machine while `OFFLINE` is set.
        ModelLoadError: Its files are damaged or do not load.
    """
    if config.offline:
        forbid_downloads()
    entry = find_engine(config.engine)
    engine_class = cast("type[AsrEngine]", entry.import_class())
    store = ModelStore(find_catalogue(config.engine), config.model_dir, config.offline, paths=config.operator_paths)

    def load(folder: Path) -> "AsrEngine":
        return engine_class(folder, config.options)

    return load_model(store, config.model, load) if entry.needs_model else load(config.model_dir / config.model)


def load_speaker_engine(config: SpeakersWorkerConfig) -> "SpeakerEngine":
    """In the engine process: load the model, of which nothing is fetched.

    Raises:
        ModelNotFoundError: It is not on this machine any more.
        ModelLoadError: Its files are damaged or do not load.
    """
    entry = require_engine(SPEAKER_ENGINES, config.engine, "ASR_SPEAKER_MODEL")
    engine_class = cast("type[SpeakerEngine]", entry.import_class())
    store = ModelStore(SPEAKER_CATALOGUE, config.model_dir, offline=True, paths=(config.model,))

    def load(folder: Path) -> "SpeakerEngine":
        return engine_class(folder, config.options)

    return load_model(store, config.model, load) if entry.needs_model else load(config.model_dir / config.model)
