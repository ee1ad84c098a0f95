"""The ASR server: `uvicorn voice_stack.asr.app:app`, or `create_app` with settings of your own."""

import asyncio

from fastapi import FastAPI
from pydantic import JsonValue

from voice_stack.asr.api.bazarr import bazarr_paths, create_bazarr_router
from voice_stack.asr.api.deepgram import create_deepgram_router
from voice_stack.asr.api.diarization import create_diarization_router
from voice_stack.asr.api.jobs import create_jobs_router, create_models_router
from voice_stack.asr.api.live import LiveSockets
from voice_stack.asr.api.openai import create_router
from voice_stack.asr.api.realtime import create_realtime_router
from voice_stack.asr.bazarr.films import BazarrJobs
from voice_stack.asr.engine_factory import (
    engine_specs,
    find_engine,
    find_provided_model,
    find_speaker_engine,
    open_store,
)
from voice_stack.asr.jobs.background import BackgroundJobs
from voice_stack.asr.models import DEFAULT_MODEL_NAMES, SPEAKERS_OFF
from voice_stack.asr.providers.workload import provided_names
from voice_stack.asr.service import PROBING_IDLE_S, AsrService
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.engine.admission import AdmissionDesk
from voice_stack.core.engine.memory import open_budget
from voice_stack.core.engine.pool import EnginePool
from voice_stack.core.http.access import Exemption
from voice_stack.core.http.app import VERSION, build_named, create_server
from voice_stack.core.http.realtime import ClientSecrets
from voice_stack.core.http.wires import deepgram_wire
from voice_stack.core.models.repair import remove_partial_models, require_models
from voice_stack.core.models.store import ModelNames
from voice_stack.core.provider import check_providers
from voice_stack.core.shared.state import SharedState
from voice_stack.core.system.addresses import ANYBODY, parse_networks
from voice_stack.core.system.side_process import SideProcess
from voice_stack.language_model.model import LanguageModel
from voice_stack.utils.language import LANGUAGES
from voice_stack.wyoming.asr import AsrDoor
from voice_stack.wyoming.listener import WyomingListener


def create_service(settings: AsrSettings) -> AsrService:
    """What transcribes, without the web around it; nothing is loaded yet.

    Raises:
        ConfigurationError: The engine does not exist or is not installed, a model does not exist, or the settings of
            providers do not fit together.
        ModelNotFoundError: The default model does not exist or is not on this machine while `OFFLINE` is set.
    """
    check_providers(settings)
    engine = find_engine(settings.engine)
    store = open_store(settings)

    def is_provided(name: str) -> bool:
        return find_provided_model(settings, name) is not None

    if engine.needs_model:
        require_models(store, settings.model, settings.fallback_model, is_provided)
    if settings.speaker_model != SPEAKERS_OFF:
        find_speaker_engine(settings)
    max_processes = settings.max_loaded_models * settings.replicas
    pool = EnginePool(max_processes, settings.idle_timeout_s, settings.patience, open_budget(settings, store))
    names = ModelNames(
        store,
        settings.model,
        DEFAULT_MODEL_NAMES,
        settings.allowed_models,
        is_provided=is_provided,
        provided=filter(is_provided, provided_names(settings)),
    )
    desk = AdmissionDesk(pool, settings.max_queue_wait_s, ", or send it with background=true")
    probing, model = SideProcess("probing", PROBING_IDLE_S), LanguageModel(settings)
    return AsrService(settings, store, names, pool, desk, probing, model)


def create_app(settings: AsrSettings) -> FastAPI:
    """Build the application; nothing is loaded yet.

    Raises:
        ConfigurationError: The engine does not exist or is not installed.
        ModelNotFoundError: The default model does not exist or is not on this machine while `OFFLINE` is set.
    """
    service = create_service(settings)
    pool = service.pool
    names = service.models
    jobs = BackgroundJobs(
        settings,
        lambda checked, on_heard: service.begin(names.resolve(checked.model), checked.request, on_heard=on_heard),
    )
    default = engine_specs(settings, settings.model)
    wyoming = WyomingListener(AsrDoor(service), settings)
    shared = SharedState(settings.shared_url, "asr")
    secrets, bazarr_jobs = ClientSecrets(shared), BazarrJobs(service, shared)
    sockets = LiveSockets(service, jobs.sessions)

    async def start() -> None:
        await asyncio.to_thread(remove_partial_models, settings.model_dir)
        await wyoming.start()
        await pool.preload(default, settings.preload)
        await jobs.start()

    def status() -> dict[str, object]:
        return {
            "model": settings.model,
            "engines": pool.status(),
            "memory": pool.memory(),
            "background_jobs": jobs.count(),
            "cache": bazarr_jobs.films.status(),
            "llm": settings.llm_url or None,
        }

    async def features() -> dict[str, JsonValue]:
        can = service.capabilities(names.default)
        targets = list(LANGUAGES) if settings.llm_url else ["en"] if can.translate else []
        return {
            "languages": list[JsonValue](can.languages),
            "target_languages": list[JsonValue](targets),
            "translation": can.translate,
            "speakers": service.can_tell_speakers(),
            "live_speakers": service.can_follow_speakers(),
            "jobs": settings.max_jobs > 0,
        }

    bazarr = create_bazarr_router(service, bazarr_jobs, lambda: {"version": VERSION, "server": "asr", **status()})
    app = create_server(
        settings,
        server="asr",
        title=f"{settings.project_name}: speech to text",
        routers=[
            create_router(service, jobs),
            create_diarization_router(service),
            create_models_router(service),
            create_jobs_router(jobs, service.activity),
            create_realtime_router(sockets, jobs.sessions, secrets),
            *([create_deepgram_router(service, sockets)] if settings.api_deepgram else []),
        ],
        wires=[deepgram_wire(settings.api_v1_str)] if settings.api_deepgram else [],
        readiness=lambda: pool.explain_unreadiness(
            default[0], is_preloaded=settings.preload is True, has_substitute=bool(settings.fallback_model)
        ),
        status=status,
        features=features,
        start=start,
        exemption=_exempt_bazarr(settings),
        read_secret=secrets.read,
        shared=shared,
        held_paths=bazarr_paths(settings.api_v1_str),
    )
    # Background jobs go on in the server's next life: they take no time from those that somebody waits for.
    app.state.stopping.at_refusal(jobs.close)
    app.state.stopping.at_refusal(pool.give_up_loading)
    wyoming.stop_with(app.state.stopping)
    app.state.stopping.at_end(bazarr_jobs.close)
    app.state.stopping.at_end(pool.close)
    app.state.stopping.at_end(jobs.close_store)
    app.state.stopping.at_end(service.probing_process.close)
    app.state.stopping.at_end(service.language_model.close)
    app.include_router(bazarr, prefix=f"{settings.api_v1_str}/bazarr")
    app.include_router(bazarr, include_in_schema=False)
    return app


def _exempt_bazarr(settings: AsrSettings) -> Exemption:
    networks = ANYBODY if settings.bazarr_open else parse_networks(settings.bazarr_networks)
    return Exemption(frozenset(bazarr_paths(settings.api_v1_str)), networks)


def __getattr__(name: str) -> FastAPI:
    """`app`, built from the settings when a server asks for it: importing this module does nothing."""
    return build_named(__name__, name, lambda: create_app(AsrSettings.read()))
