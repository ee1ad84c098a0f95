"""The table of the TTS server's models: what that server said last, for programs that read the table."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

from voice_stack.chat.conversation import Caller
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.store import ConversationStore
from voice_stack.chat.tables import TtsModel
from voice_stack.client.results import Model, Voice
from voice_stack.core.errors import VoiceStackError

FRESH_S, RETRY_S = 300.0, 15.0
"""So long nobody asks again; and so long where there was no answer."""


class TtsModels:
    """Asks the TTS server now and then; that it does not answer is no error here."""

    def __init__(self, servers: SpeechServers, store: ConversationStore) -> None:
        self._servers, self._store = servers, store
        self._due_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def refresh(self, caller: Caller) -> None:
        """Ask in the background, if that is due."""
        if time.monotonic() >= self._due_at and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._refresh(caller))

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _refresh(self, caller: Caller) -> None:
        wait_s, voices = FRESH_S, list[Voice]()
        try:
            models = await self._servers.list_models(caller)
            with suppress(VoiceStackError):  # a server of others has no such list
                voices = await self._servers.list_voices(caller)
            await self._store.save_tts_models(join(models, voices))
        except VoiceStackError:
            wait_s = RETRY_S  # whoever makes the next session has a key perhaps, or the server is up by then
        self._due_at = time.monotonic() + wait_s


def join(models: Iterable[Model], voices: Iterable[Voice]) -> list[TtsModel]:
    """The models with their voices; one whose voices can all not speak has the reason of the first."""
    spoken: dict[str, list[Voice]] = {}
    for voice in voices:
        spoken.setdefault(str(voice.details.get("model")), []).append(voice)
    return [_describe(model.id, spoken.get(model.id, [])) for model in models]


def _describe(name: str, voices: list[Voice]) -> TtsModel:
    reasons = [str(reason) for voice in voices if (reason := voice.details.get("unavailable_reason"))]
    is_usable = len(reasons) < len(voices) or not voices
    return TtsModel(name, tuple(voice.id for voice in voices), None if is_usable else reasons[0])
