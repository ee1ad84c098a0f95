"""The TTS server: `uvicorn voice_stack.tts.app:app`, or `create_app` with settings of your own."""

import asyncio

from fastapi import FastAPI

from voice_stack.core.http.app import build_named, create_server
from voice_stack.core.http.wires import elevenlabs_wire
from voice_stack.core.models.repair import remove_partial_models
from voice_stack.core.shared.state import SharedState
from voice_stack.tts.api.elevenlabs import create_elevenlabs_root_router, create_elevenlabs_router
from voice_stack.tts.api.live import create_live_router
from voice_stack.tts.api.openai import create_router
from voice_stack.tts.api.voice_consents import create_consents_router
from voice_stack.tts.api.voices import create_voices_router
from voice_stack.tts.engine_factory import engine_spec
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.setup import create_service
from voice_stack.wyoming.listener import WyomingListener
from voice_stack.wyoming.tts import TtsDoor


def create_app(settings: TtsSettings) -> FastAPI:
    """Build the application; nothing is loaded yet.

    Raises:
        ConfigurationError: The engine does not exist or is not installed.
        ModelNotFoundError: The default voice does not exist or is not on this machine while `OFFLINE` is set.
    """
    shared = SharedState(settings.shared_url, "tts")
    service = create_service(settings, shared)
    pool = service.pool
    default = engine_spec(settings, settings.engine, settings.model)
    wyoming = WyomingListener(TtsDoor(service), settings)

    async def start() -> None:
        await asyncio.to_thread(remove_partial_models, settings.model_dir)
        await asyncio.to_thread(service.uploads.clean)
        await service.cache.clean()
        await service.mirror.begin()
        await wyoming.start()
        service.provided.begin()
        await pool.preload([default], settings.preload)

    app = create_server(
        settings,
        server="tts",
        title=f"{settings.project_name}: text to speech",
        routers=[
            *([create_elevenlabs_router(service)] if settings.api_elevenlabs else []),
            create_router(service),
            create_live_router(service),
            create_voices_router(service),
            create_consents_router(service),
        ],
        readiness=lambda: pool.explain_unreadiness(
            default, is_preloaded=settings.preload is True, has_substitute=bool(settings.fallback_model)
        ),
        status=lambda: {
            "model": settings.model,
            "engines": pool.status(),
            "memory": pool.memory(),
            "cache": service.cache.status(),
            **service.mirror.status(),
        },
        start=start,
        shared=shared,
        root_routers=[create_elevenlabs_root_router(service)] if settings.api_elevenlabs else [],
        wires=[elevenlabs_wire(settings.api_v1_str)] if settings.api_elevenlabs else [],
    )
    app.state.stopping.at_refusal(pool.give_up_loading)
    wyoming.stop_with(app.state.stopping)
    app.state.stopping.at_end(service.mirror.close)
    app.state.stopping.at_end(service.cache.close)
    app.state.stopping.at_end(pool.close)
    app.state.stopping.at_end(service.provided.close)
    app.state.stopping.at_end(service.recording_process.close)
    app.state.stopping.at_end(service.language_process.close)
    return app


def __getattr__(name: str) -> FastAPI:
    """`app`, built from the settings when a server asks for it: importing this module does nothing."""
    return build_named(__name__, name, lambda: create_app(TtsSettings.read()))
