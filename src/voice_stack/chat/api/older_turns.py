"""One call for one turn, as older voice services have it: what failed stands in the answer, and the status is 200."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.api.messages import MAX_JSON_BYTES, MAX_SPEECH_BYTES, MAX_TEXT_CHARS
from voice_stack.chat.api.older import DEFAULT_VOICE, OlderRoute, form_docs, receive_recording, tell_ignored
from voice_stack.chat.engine import VoiceChatEngine, VoiceChatResult
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.streaming import finish_unless_disconnected
from voice_stack.core.http.uploads import receive_object
from voice_stack.utils.audio.encode import AUDIO_FORMATS, require_format


class TurnFields(BaseModel):
    """What goes with speech or text."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    conversation_id: str = Field(
        default_factory=lambda: str(uuid4()),
        max_length=200,
        description="Your own name of the conversation, begun with its first message; absent: of this message alone.",
    )
    user_id: str = Field("", max_length=200, description="Whose it is: each user has conversations of their own.")
    role: str | None = Field(
        None,
        max_length=200,
        validation_alias=AliasChoices("role", "analyst_role"),
        description="Free: replies are kept by it; `analyst_role` is the same.",
    )
    language: str | None = Field(None, description="Spoken, as `en`; found if absent.")
    voice: str | None = Field(None, max_length=200, description="Of the reply; absent or `default`: `CHAT_VOICE`.")
    format: str = Field("mp3", description=f"Of the reply: one of {', '.join(AUDIO_FORMATS)}.")

    @property
    def chosen_voice(self) -> str | None:
        """None: that of the settings."""
        return None if self.voice is None or self.voice.lower() == DEFAULT_VOICE else self.voice


class TextTurn(TurnFields):
    """A message of text."""

    text: str = Field(max_length=MAX_TEXT_CHARS, description="What the user says.")


def create_older_turns_router(engine: VoiceChatEngine, spool_dir: Path | None) -> APIRouter:
    """The routes, to be mounted at the root."""
    router = APIRouter(tags=["older clients"], route_class=OlderRoute)

    @router.post("/api/voice/chat", openapi_extra=form_docs(TurnFields))
    async def answer_speech(request: Request) -> dict[str, object]:
        """Answer what somebody says."""
        async with receive_recording(request, spool_dir, MAX_SPEECH_BYTES) as (fields, file):
            said = _check(request, TurnFields, fields)
            work = engine.process_message(
                said.conversation_id,
                said.user_id,
                file,
                role=said.role,
                language=said.language,
                voice=said.chosen_voice,
                audio_format=said.format,
                caller=caller_of(request),
            )
            return _describe(await finish_unless_disconnected(request, work))

    @router.post("/api/voice/text", openapi_extra=json_docs(TextTurn))
    async def answer_text(request: Request) -> dict[str, object]:
        """Answer a text, spoken."""
        said = _check(request, TextTurn, await receive_object(request, max_bytes=MAX_JSON_BYTES))
        if not said.text.strip():
            raise InvalidRequestError("the text is empty: there is nothing to answer", param="text")
        work = engine.process_text_only(
            said.conversation_id,
            said.user_id,
            said.text,
            role=said.role,
            language=said.language,
            voice=said.chosen_voice,
            audio_format=said.format,
            caller=caller_of(request),
        )
        return _describe(await finish_unless_disconnected(request, work))

    return router


T = TypeVar("T", bound=TurnFields)


def _check(request: Request, schema: type[T], sent: Mapping[str, object]) -> T:
    said = check_fields(schema, sent)
    require_format(said.format)
    tell_ignored(request, sent, {*schema.model_fields, "analyst_role"})
    return said


def _describe(result: VoiceChatResult) -> dict[str, object]:
    audio = result.assistant_audio
    return vars(result) | {"assistant_audio": None if audio is None else base64.b64encode(audio).decode()}
