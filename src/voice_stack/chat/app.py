"""The Voice server: `uvicorn voice_stack.chat.app:app`, or `create_app` with settings of your own."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI
from pydantic import JsonValue

from voice_stack.chat.api.completions import create_completions_router
from voice_stack.chat.api.messages import create_messages_router
from voice_stack.chat.api.older import create_older_router
from voice_stack.chat.api.older_turns import create_older_turns_router
from voice_stack.chat.api.passing import create_passing_router, create_root_router
from voice_stack.chat.api.realtime import Conversing, create_realtime_router
from voice_stack.chat.api.sessions import create_sessions_router
from voice_stack.chat.api.socket import create_socket_router
from voice_stack.chat.cache import ReplyCache
from voice_stack.chat.conversation import Caller
from voice_stack.chat.engine import VoiceChatEngine
from voice_stack.chat.passing import Passing, held_paths, other_scopes
from voice_stack.chat.reply import Assistant
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.service import Conversations
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.store import ConversationStore
from voice_stack.chat.tts_models import TtsModels
from voice_stack.chat.turn_events import TurnParts
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.app import build_named, create_server
from voice_stack.core.http.realtime import ClientSecrets
from voice_stack.core.http.wires import deepgram_wire, elevenlabs_wire
from voice_stack.core.logging import log_event
from voice_stack.core.shared.state import SharedState
from voice_stack.core.system.database import TOO_NEW
from voice_stack.language_model.model import LanguageModel

logger = logging.getLogger(__name__)


def create_app(settings: ChatSettings) -> FastAPI:
    """Build the application; nothing is asked of the other servers yet."""
    shared = SharedState(settings.shared_url, "chat")
    store, servers, secrets = ConversationStore(settings), SpeechServers(settings), ClientSecrets(shared)
    model = LanguageModel(settings, reasoning_opens=settings.reasoning_opens)
    assistant, cache = Assistant(model, servers), ReplyCache(settings.cache, shared=shared)
    conversations = Conversations(TurnParts(settings, store, servers, assistant, cache))
    passing, tts_models = Passing(settings, shared), TtsModels(servers, store)

    async def start() -> None:
        try:
            await store.open()
        except VoiceStackError as error:
            if error.code == TOO_NEW:
                raise
            # All else works, and the next conversation tries again.
            log_event(logger, logging.WARNING, "no conversations can be held", reason=error.message)
        tts_models.refresh(Caller())

    async def read_secret(given: str) -> Mapping[str, object] | None:
        return await secrets.read(given) or await passing.read_secret(given)

    async def features() -> dict[str, JsonValue]:
        return {**await servers.read_features(), "language_model": bool(settings.llm_url)}

    app = create_server(
        settings,
        server="chat",
        title=f"{settings.project_name}: conversations",
        routers=[
            create_sessions_router(conversations, tts_models),
            create_messages_router(conversations),
            create_socket_router(conversations),
            create_completions_router(model, servers, assistant, settings, shared),
            create_realtime_router(Conversing(settings, assistant, servers, passing, model, secrets)),
            create_passing_router(passing, model.list_models),  # last: some paths below its own are answered above
        ],
        readiness=lambda: None,
        status=lambda: {
            "model": settings.llm_model or None,
            "llm": settings.llm_url or None,
            "asr": settings.asr_url,
            "tts": settings.tts_url,
        },
        start=start,
        root_routers=[
            create_older_router(settings, servers, shared),
            create_older_turns_router(VoiceChatEngine(conversations), settings.spool_dir),
            create_root_router(passing),
        ],
        read_secret=read_secret,
        shared=shared,
        held_paths=held_paths(settings),
        features=features,
        has_page_at_root=True,
        other_scopes=other_scopes(settings),
        wires=[elevenlabs_wire(settings.api_v1_str), deepgram_wire(settings.api_v1_str)],
    )
    # The store after all that writes to it.
    for close in (conversations.close, passing.close, tts_models.close, model.close, servers.close, store.close):
        app.state.stopping.at_end(close)
    return app


def __getattr__(name: str) -> FastAPI:
    """`app`, built from the settings when a server asks for it: importing this module does nothing."""
    return build_named(__name__, name, lambda: create_app(ChatSettings.read()))
