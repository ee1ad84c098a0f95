"""The Voice server: `uvicorn voice_stack.chat.app:app`, or `create_app` with settings of your own."""

from fastapi import FastAPI

from voice_stack.chat.api.older import create_older_router
from voice_stack.chat.api.sessions import create_sessions_router
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.store import ConversationStore
from voice_stack.core.http.app import build_named, create_server


def create_app(settings: ChatSettings) -> FastAPI:
    """Build the application; nothing is asked of the other servers yet."""
    store, servers = ConversationStore(settings), SpeechServers(settings)
    app = create_server(
        settings,
        server="chat",
        title=f"{settings.project_name}: conversations",
        routers=[create_sessions_router(store)],
        readiness=lambda: None,
        status=lambda: {"llm": settings.llm_url or None, "asr": settings.asr_url, "tts": settings.tts_url},
        start=store.open,
        root_routers=[create_older_router(settings, servers)],
    )
    app.state.stopping.at_end(servers.close)
    app.state.stopping.at_end(store.close)  # after all that writes to it
    return app


def __getattr__(name: str) -> FastAPI:
    """`app`, built from the settings when a server asks for it: importing this module does nothing."""
    return build_named(__name__, name, lambda: create_app(ChatSettings.read()))
