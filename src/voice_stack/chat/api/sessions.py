"""Conversations: made, listed, changed, deleted; and what was said in them."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from voice_stack.chat.api.calling import caller_of
from voice_stack.chat.conversation import Message, MessageStatus, Role, Session, SessionState
from voice_stack.chat.service import Conversations
from voice_stack.chat.store import Order
from voice_stack.chat.tts_models import TtsModels
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.form import check_fields, ignored_fields_header
from voice_stack.core.http.uploads import receive_object
from voice_stack.core.ids import new_id
from voice_stack.utils.language import read_language

MAX_SESSION_BYTES = 1 << 20
"""Of the JSON that sets a conversation up: system and tools of a large program."""
MAX_SYSTEM_CHARS = 100_000
MAX_NAME_CHARS = 200
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]
Seconds = Annotated[int, BeforeValidator(int)]
"""Since 1970, whole as in OpenAI's API."""
JsonObject = dict[str, object]
Limit = Annotated[int, Query(ge=1, le=100)]


class ReplyFields(BaseModel):
    """How replies are to be: of a session, or for one message of it."""

    voice: str | None = Field(
        None, min_length=1, max_length=MAX_NAME_CHARS, description="Of the TTS server; else `CHAT_VOICE`."
    )
    language: str | None = Field(None, description="Spoken by both, as `de`; found from what is said if absent.")
    speed: float | None = Field(None, ge=0.25, le=4.0, description="Of speech; 1 is the voice's own pace.")
    instructions: str | None = Field(None, max_length=4096, description="How to speak, in words.")
    emotion: str | None = Field(
        None, min_length=1, max_length=60, description="Mood of the voice: `happy`, `calm`, `sad` or another."
    )
    emotion_strength: float | None = Field(None, ge=0, le=1)
    tools: list[JsonObject] | None = Field(
        None, max_length=128, description="Tools that the client runs, as OpenAI's chat has them."
    )

    @field_validator("voice", mode="before")
    @classmethod
    def _unwrap_id(cls, value: object) -> object:
        return value["id"] if isinstance(value, dict) and "id" in value else value

    @field_validator("speed", "emotion_strength", mode="before")
    @classmethod
    def _require_number(cls, value: object) -> object:
        # To Python, and so to pydantic, true is 1; and pydantic hands on no TypeError.
        if isinstance(value, bool):
            raise ValueError("a number is expected, not true or false")  # noqa: TRY004
        return value

    @field_validator("tools")
    @classmethod
    def _check_tools(cls, tools: list[JsonObject] | None) -> list[JsonObject] | None:
        for tool in tools or ():
            function = tool.get("function")
            if tool.get("type") != "function" or not isinstance(function, dict) or not _is_name(function.get("name")):
                raise ValueError('each is {"type": "function", "function": {"name": "...", ...}}')
        json.dumps(tools, allow_nan=False)  # 1e999 is JSON, and no number that can be told again
        return tools

    @field_validator("language")
    @classmethod
    def _check_language(cls, value: str | None) -> str | None:
        return value if read_language(value) else None


class SessionChanges(ReplyFields):
    """What `PATCH` changes; null resets a field. Unknown fields are ignored, and named in the answer."""

    system: str | None = Field(
        None, max_length=MAX_SYSTEM_CHARS, description="What the model is told first; else `CHAT_INSTRUCTIONS`."
    )
    role: Name | None = Field(None, description="Free, for the client; replies are kept by it.")
    model: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="Of the language model's server; else `CHAT_LLM_MODEL`.",
    )
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = Field(
        None, max_length=16, description="The client's own, as in OpenAI's API: 16 pairs."
    )


class NewSession(SessionChanges):
    """What a conversation is set up with; all of it may be left out."""

    conversation_id: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="The client's own name of it; with `user_id` only once.",
    )
    user_id: Name | None = None


class SessionObject(BaseModel):
    """A conversation."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    object: Literal["voice.session"] = "voice.session"
    created_at: Seconds
    updated_at: Seconds
    state: SessionState
    system: str | None
    role: str
    voice: str | None
    model: str | None
    language: str | None
    speed: float
    instructions: str | None
    emotion: str | None
    emotion_strength: float | None
    tools: list[JsonObject]
    metadata: dict[str, str]
    conversation_id: str | None
    user_id: str | None


class MessageObject(BaseModel):
    """What one side said."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    object: Literal["voice.message"] = "voice.message"
    session_id: str
    created_at: Seconds
    role: Role
    status: MessageStatus
    text: str = Field(description="Of an interrupted reply: as far as it was heard.")
    reasoning: str = Field(description="Thoughts of the model, which nobody heard.")
    tool_calls: list[JsonObject]
    tool_call_id: str | None
    confidence: float | None = Field(description="0 to 1, of speech that was heard.")
    language: str | None
    duration_seconds: float | None
    timings: dict[str, float] = Field(description="Seconds since the reply was asked for.")
    usage: JsonObject = Field(description="Tokens, as the model counted them.")
    tts_error: str | None = Field(description="Why the text is not, or not all, spoken.")
    audio_url: str | None = Field(None, description="Where a reply is spoken again.")


AUDIO_PATH = "/voice/sessions/{session_id}/messages/{message_id}/audio"


def describe_message(message: Message, prefix: str) -> MessageObject:
    """A message as clients see it; `prefix` is that of the API's paths."""
    shown = MessageObject.model_validate(message)
    if message.role == "assistant" and message.text:
        shown.audio_url = prefix + AUDIO_PATH.format(session_id=message.session_id, message_id=message.id)
    return shown


ItemT = TypeVar("ItemT", SessionObject, MessageObject)


class ObjectList(BaseModel, Generic[ItemT]):
    """A page of a list, as OpenAI has them."""

    object: Literal["list"] = "list"
    data: list[ItemT]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedSession(BaseModel):
    """What is gone."""

    id: str
    object: Literal["voice.session.deleted"] = "voice.session.deleted"
    deleted: Literal[True] = True


_SESSION = TypeAdapter(Session)


def create_sessions_router(conversations: Conversations, tts_models: TtsModels) -> APIRouter:
    """The routes, below the API prefix."""
    router, store = APIRouter(tags=["conversations"]), conversations.parts.store
    settings = conversations.parts.settings
    prefix = settings.public_prefix

    @router.post("/voice/sessions", status_code=201, openapi_extra=json_docs(NewSession, required=False))
    async def create_session(request: Request, response: Response) -> SessionObject:
        """Set up a conversation."""
        body = await receive_object(request, max_bytes=MAX_SESSION_BYTES, may_be_empty=True)
        fields, now = _read_fields(NewSession, body, response), time.time()
        own = {"id": new_id("sess", settings.replica_name), "created_at": now, "updated_at": now}
        session = _SESSION.validate_python({**own, **fields})
        await store.add_session(session)
        tts_models.refresh(caller_of(request))
        return SessionObject.model_validate(session)

    @router.get("/voice/sessions")
    async def list_sessions(
        limit: Limit = 20,
        after: str | None = None,
        order: Order = "desc",
        conversation_id: str | None = None,
        user_id: str | None = None,
    ) -> ObjectList[SessionObject]:
        """The conversations, those that were set up last first, page by page."""
        page = await store.list_sessions(limit, after, order=order, conversation_id=conversation_id, user_id=user_id)
        return _list([SessionObject.model_validate(session) for session in page.items], page.has_more)

    @router.get("/voice/sessions/{session_id}")
    async def show_session(session_id: str) -> SessionObject:
        """One conversation."""
        return SessionObject.model_validate(await store.require_session(session_id))

    @router.patch("/voice/sessions/{session_id}", openapi_extra=json_docs(SessionChanges))
    async def change_session(request: Request, response: Response, session_id: str) -> SessionObject:
        """Change what a conversation is set up with, from its next turn on."""
        body = await receive_object(request, max_bytes=MAX_SESSION_BYTES, keep_null=True)
        changes = _read_fields(SessionChanges, body, response)
        return SessionObject.model_validate(await store.update_session(session_id, changes))

    @router.delete("/voice/sessions/{session_id}")
    async def delete_session(session_id: str) -> DeletedSession:
        """Delete a conversation, with all that was said in it."""
        await conversations.delete(session_id)
        return DeletedSession(id=session_id)

    @router.get("/voice/sessions/{session_id}/messages")
    async def list_messages(
        session_id: str, limit: Limit = 20, after: str | None = None, order: Order = "asc"
    ) -> ObjectList[MessageObject]:
        """What was said, from the beginning on, page by page."""
        page = await store.list_messages(session_id, limit, after, order=order)
        return _list([describe_message(message, prefix) for message in page.items], page.has_more)

    @router.get("/voice/sessions/{session_id}/messages/{message_id}")
    async def show_message(session_id: str, message_id: str) -> MessageObject:
        """One message."""
        return describe_message(await store.require_message(session_id, message_id), prefix)

    return router


def _read_fields(schema: type[BaseModel], body: Mapping[str, object], response: Response) -> dict[str, object]:
    """The fields that were sent, checked; those that mean nothing are named in the answer."""
    fields = check_fields(schema, body).model_dump(exclude_unset=True)
    response.headers.update(ignored_fields_header([name for name in body if name not in fields]))
    return fields


def _list(items: Sequence[ItemT], has_more: bool) -> ObjectList[ItemT]:
    first_id, last_id = (items[0].id, items[-1].id) if items else (None, None)
    return ObjectList(data=[*items], first_id=first_id, last_id=last_id, has_more=has_more)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS
