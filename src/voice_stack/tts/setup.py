"""The TTS server's work, made of its settings; nothing is loaded yet."""

from pathlib import Path

from voice_stack.core.engine.admission import AdmissionDesk
from voice_stack.core.engine.memory import open_budget
from voice_stack.core.engine.pool import EnginePool
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.models.files import ModelSpec
from voice_stack.core.models.repair import require_models
from voice_stack.core.models.store import ModelNames
from voice_stack.core.provider import PROVIDERS, check_providers, find_provided
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.system.objects import ObjectStore
from voice_stack.core.system.side_process import SideProcess
from voice_stack.tts.cache.folder import SpeechStore
from voice_stack.tts.cache.shared import READ_S, WRITE_S, SharedSpeech
from voice_stack.tts.cache.speech_cache import SpeechCache
from voice_stack.tts.captions.kept import CaptionStore
from voice_stack.tts.engine_factory import find_engine, open_store
from voice_stack.tts.models import DEFAULT_MODEL_NAMES, check_licence
from voice_stack.tts.service import EXAMINATION_S, TtsService
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.mirror import open_mirror
from voice_stack.tts.voices.provided import ProvidedVoices
from voice_stack.tts.voices.reference import Examination, examine_recording
from voice_stack.tts.voices.shelf import Shelf
from voice_stack.tts.voices.sources import ClonedVoices, open_library
from voice_stack.tts.voices.uploads import VoiceUploads

RECORDINGS_IDLE_S, LANGUAGES_IDLE_S = 30.0, 600.0
"""How long the processes wait for the next recording, and for the next text whose language is to be told."""


def open_cache(settings: TtsSettings) -> SpeechCache:
    """The cache as the settings describe it.

    Raises:
        ConfigurationError: What opens the object store is not installed.
    """
    max_bytes = round(settings.cache_mb * 1024 * 1024)
    if not max_bytes:
        return SpeechCache(None)
    folder = SpeechStore(settings.cache_dir, max_bytes)
    if not settings.cache_url:
        return SpeechCache(folder)
    return SpeechCache(
        folder, SharedSpeech(folder, ObjectStore.open(settings.cache_url, read_s=READ_S, write_s=WRITE_S))
    )


def _require_model_of(engine: str, spec: ModelSpec | None) -> None:
    """A file of the operator may be any engine's; a model of the catalogue is that of one."""
    if spec is not None and spec.path is None and spec.engine != engine:
        raise ConfigurationError(
            f"TTS_MODEL={spec.name!r} is a model of engine {spec.engine}, TTS_ENGINE is {engine!r}: set "
            f"TTS_ENGINE={spec.engine}, or leave TTS_MODEL empty for the model of {engine}"
        )


def create_service(settings: TtsSettings, shared: SharedState = OFF) -> TtsService:
    """Everything behind the routes; nothing is loaded yet.

    Args:
        settings: Of the server.
        shared: What it shares with its replicas.

    Raises:
        ConfigurationError: The engine does not exist or is not installed.
        ModelNotFoundError: The default voice does not exist or is not on this machine while `OFFLINE` is set.
        LicenceNotAcceptedError: The default engine's weights have a licence that is not accepted.
    """
    check_licence(settings.engine, accepted=settings.accept_cpml)
    check_providers(settings)
    if settings.engine in PROVIDERS and not find_provided(settings, settings.model):
        raise ConfigurationError(
            f"TTS_MODEL={settings.model!r} is a provider's, and what that is asked leaves the house: "
            f"TTS_PROVIDERS={settings.model} would allow it"
        )
    store = open_store(settings)
    if not find_provided(settings, settings.model) and find_engine(settings.engine).needs_model:
        _require_model_of(settings.engine, store.find(settings.model))
        if not find_provided(settings, settings.fallback_model):  # one that is asked elsewhere may do all the work
            require_models(store, settings.model, settings.fallback_model)
    pool = EnginePool(
        settings.max_loaded_models, settings.idle_timeout_s, settings.patience, open_budget(settings, store)
    )
    desk = AdmissionDesk(pool, settings.max_queue_wait_s)
    provided = ProvidedVoices(settings)
    engine_name = () if settings.engine in PROVIDERS else (settings.engine,)
    names = ModelNames(
        store,
        settings.model,
        (*DEFAULT_MODEL_NAMES, *engine_name),
        settings.allowed_models,
        is_provided=lambda name: find_provided(settings, name) is not None,
        provided=provided.model_names(),
    )
    cache, captions = open_cache(settings), CaptionStore(shared=shared)
    recording_process = SideProcess("recordings", RECORDINGS_IDLE_S)

    def examine(path: Path, needed_s: float) -> tuple[Examination, bytes]:
        return recording_process.call(examine_recording, EXAMINATION_S, path, needed_s)

    cloned = ClonedVoices(settings, store, Shelf(settings.voice_dir, examine))
    mirror = open_mirror(settings)
    uploads = VoiceUploads(settings.voice_dir, examine=examine, mirror=mirror)
    library = open_library(settings, store, cloned, provided)
    return TtsService(
        settings, store, names, library, provided, cloned, uploads, mirror, pool, desk, cache, captions,
        recording_process, SideProcess("languages", LANGUAGES_IDLE_S),
    )  # fmt: skip
