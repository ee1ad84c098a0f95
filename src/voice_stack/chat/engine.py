"""One call for one turn, as older voice services had it: what failed stands in the result.

async with VoiceChatEngine.open() as engine:
result = await engine.process_message("kitchen", "anna", Path("question.wav").read_bytes())
print(result.user_transcript, result.assistant_text, len(result.assistant_audio or b""))
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass

from voice_stack.chat.cache import ReplyCache
from voice_stack.chat.conversation import Caller, Session
from voice_stack.chat.events import Heard, Sound
from voice_stack.chat.reply import Assistant
from voice_stack.chat.reply_sound import encode_reply
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.service import Conversations
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.store import ConversationStore
from voice_stack.chat.turn_events import Said, TurnDone, TurnError, TurnOptions, TurnParts
from voice_stack.core.http.spool import Spool, SpooledFile
from voice_stack.core.ids import new_id
from voice_stack.language_model.model import LanguageModel
from voice_stack.utils.audio.encode import require_format

NOBODY = Caller()


@dataclass
class VoiceChatResult:
    """A turn.

    Attributes:
        session_id: Of the conversation.
        user_transcript: What was heard, or the text that was sent.
        stt_confidence: 0..1; 1.0 of text, 0.0 where nothing was heard.
        stt_error: Why nothing was heard; then there is no answer.
        assistant_text: The reply, as far as it came.
        assistant_thinking: The model's thoughts, which are not spoken.
        assistant_audio: The reply as a file; None: nothing is spoken.
        audio_format: Of that.
        chat_error: Why the model has not answered, or not to the end.
        tts_error: Why the reply is not, or not all, spoken.
        duration_seconds: Of the whole turn.
        total_cost_usd: Nothing: models at home are not paid by the word.
    """

    session_id: str
    user_transcript: str = ""
    stt_confidence: float = 0.0
    stt_error: str | None = None
    assistant_text: str = ""
    assistant_thinking: str | None = None
    assistant_audio: bytes | None = None
    audio_format: str = "mp3"
    chat_error: str | None = None
    tts_error: str | None = None
    duration_seconds: float = 0.0
    total_cost_usd: float = 0.0


class VoiceChatEngine:
    """Conversations by the caller's own names for them.

    Args:
        conversations: Those of a server; `open` makes some for a program.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: ChatSettings | None = None) -> AsyncIterator["VoiceChatEngine"]:
        """An engine for a program that runs no Voice server; settings are those of the environment, `CHAT_...`."""
        settings = settings or ChatSettings.read()
        store, model, servers = ConversationStore(settings), LanguageModel(settings), SpeechServers(settings)
        parts = TurnParts(settings, store, servers, Assistant(model, servers), ReplyCache(settings.cache))
        conversations = Conversations(parts)
        await store.open()
        try:
            yield cls(conversations)
        finally:
            for close in (conversations.close, model.close, servers.close, store.close):
                await close()

    async def process_message(
        self,
        conversation_id: str,
        user_id: str,
        audio_data: bytes | SpooledFile,
        *,
        role: str | None = None,
        language: str | None = None,
        voice: str | None = None,
        audio_format: str = "mp3",
        caller: Caller = NOBODY,
    ) -> VoiceChatResult:
        """Answer what somebody says.

        Args:
            conversation_id: The caller's own name of the conversation; with `user_id` it is made at its first message.
            user_id: Who speaks.
            audio_data: A file of any usual kind.
            role: Free; replies are kept by it.
            language: Spoken, ISO 639-1; found if absent.
            voice: Of the reply.
            audio_format: Of the reply: mp3, wav, opus, flac, aac or pcm.
            caller: Whose key the other servers are shown.

        Raises:
            UnsupportedValueError: There is no such format.
            ConflictError: An earlier message is still being answered.
        """
        options = TurnOptions(language=language, voice=voice)
        if isinstance(audio_data, SpooledFile):
            return await self._process(conversation_id, user_id, role, audio_data, options, audio_format, caller)
        with closing(Spool(self._conversations.parts.settings.spool_dir)) as spool:
            spool.begin()
            spool.add(audio_data)
            await asyncio.to_thread(spool.finish)
            said = spool.file("speech", "")
            return await self._process(conversation_id, user_id, role, said, options, audio_format, caller)

    async def process_text_only(
        self,
        conversation_id: str,
        user_id: str,
        text: str,
        *,
        role: str | None = None,
        language: str | None = None,
        voice: str | None = None,
        audio_format: str = "mp3",
        is_spoken: bool = True,
        caller: Caller = NOBODY,
    ) -> VoiceChatResult:
        """Answer a text, as `process_message` does speech."""
        options = TurnOptions(is_spoken=is_spoken, language=language, voice=voice)
        return await self._process(conversation_id, user_id, role, text, options, audio_format, caller)

    async def _process(
        self,
        conversation_id: str,
        user_id: str,
        role: str | None,
        said: Said,
        options: TurnOptions,
        audio_format: str,
        caller: Caller,
    ) -> VoiceChatResult:
        require_format(audio_format)
        started = time.perf_counter()
        session = await self._claim(conversation_id, user_id, role)
        result, sound = VoiceChatResult(session.id, audio_format=audio_format), bytearray()
        async with aclosing(self._conversations.turn(session.id, said, caller, options)) as events:
            async for event in events:
                match event:
                    case Heard():
                        result.user_transcript, result.stt_confidence = event.text, event.confidence or 0.0
                    case Sound():
                        sound += event.samples
                    case TurnError():
                        _note(result, event)
                    case TurnDone(message=message) if message is not None:
                        result.assistant_text, result.assistant_thinking = message.text, message.reasoning or None
        result.assistant_audio = await encode_reply(bytes(sound), audio_format) if sound else None
        result.duration_seconds = round(time.perf_counter() - started, 3)
        return result

    async def _claim(self, conversation_id: str, user_id: str, role: str | None) -> Session:
        now, store = time.time(), self._conversations.parts.store
        session_id = new_id("sess", self._conversations.parts.settings.replica_name)
        new = Session(session_id, now, now, role=role or "", conversation_id=conversation_id, user_id=user_id)
        session = await store.claim_conversation(new)
        if role is not None and role != session.role:
            session = await store.update_session(session.id, {"role": role})
        return session


def _note(result: VoiceChatResult, failed: TurnError) -> None:
    if failed.stage == "stt":
        result.stt_error = failed.error.told
    elif failed.stage == "llm":
        result.chat_error = failed.error.told
    else:
        result.tts_error = failed.error.told
