"""Short-lived keys for browsers, which hold the settings of a session: made for who has a key of the server.

They are signed and not kept, so that they cost nothing; the process that made them is the only one to know them.
"""

import base64
import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from voice_stack.asr.live.session import make_id
from voice_stack.asr.live.wire import ModelChoice, SessionSettings
from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.core.http.form import check_fields

PREFIX = "ek_"
MAX_SECRET_CHARS = 6_000
"""A line in the head of a WebSocket has room for 8 KiB."""
_KEY = secrets.token_bytes(32)


class SecretLife(BaseModel):
    """`expires_after`: how long a secret can be used, again and again."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(600, ge=10, le=7200)


class ClientSecretBody(BaseModel):
    """Body of `POST /realtime/client_secrets`."""

    expires_after: dict[str, object] = Field({}, description="`seconds` after `created_at`: 10 to 7200, 600 if absent.")
    session: dict[str, object] = Field({}, description="A transcription session, as `session.update` has it.")


class ClientSecretObject(BaseModel):
    """The secret, when it ends in seconds since 1970, and the session that begins with it."""

    value: str
    expires_at: int
    session: dict[str, object]


def grant(choice: ModelChoice, body: Mapping[str, object], now_s: float, key_id: str = "") -> dict[str, object]:
    """The answer to who asks for a secret.

    Args:
        choice: Which model the session may have.
        body: As sent.
        now_s: Seconds since 1970.
        key_id: Of the key that it is asked with, if one is needed.

    Raises:
        InvalidRequestError: It is for no transcription session, or for too long a time, or too much is set.
    """
    asked = check_fields(ClientSecretBody, body)
    if (kind := asked.session.get("type")) not in (None, "transcription"):
        message = f"This server has no session of type {str(kind)[:40]!r}; use 'transcription'."
        raise UnsupportedValueError(message, param="session.type")
    expires_at = int(now_s) + check_fields(SecretLife, asked.expires_after).seconds
    settings = choice.fit(SessionSettings().changed(asked.session))
    session = {"id": make_id("sess"), "object": "realtime.transcription_session", **settings.show()}
    return {"value": _make(settings, expires_at, key_id), "expires_at": expires_at, "session": session}


def grant_flat(choice: ModelChoice, body: Mapping[str, object], now_s: float, key_id: str = "") -> dict[str, object]:
    """The same as the beta had it: the body is the session.

    Raises:
        InvalidRequestError: As for `grant`.
    """
    secret = body.get("client_secret")
    life = secret if isinstance(secret, Mapping) else {}
    asked = {"session": {**body, "type": None}, "expires_after": life.get("expires_after") or life.get("expires_at")}
    granted = grant(choice, {name: value for name, value in asked.items() if value}, now_s, key_id)
    session = choice.fit(SessionSettings().changed(body)).show(is_flat=True)
    named = {"id": make_id("sess"), "object": "realtime.transcription_session", "modalities": ["text"]}
    return {**named, **session, "client_secret": {name: granted[name] for name in ("value", "expires_at")}}


def _make(settings: SessionSettings, expires_at: int, key_id: str) -> str:
    told = json.dumps([expires_at, {**settings.show(), "api_key": key_id}, secrets.token_hex(4)], separators=(",", ":"))
    text = base64.urlsafe_b64encode(zlib.compress(told.encode(), 9)).decode().rstrip("=")
    value = f"{PREFIX}{text}.{_sign(text)}"
    if len(value) > MAX_SECRET_CHARS:
        message = "The prompt and the keywords are too long for a client secret; send them by session.update."
        raise InvalidRequestError(message, param="session")
    return value


def check_client_secret(value: str, now_s: float) -> dict[str, object] | None:
    """The session that a secret stands for, with the id of its maker's key; None if it is none, or its time is over.

    Args:
        value: As the client sent it.
        now_s: Seconds since 1970.
    """
    text, _, signature = value.removeprefix(PREFIX).partition(".")
    is_ours = value.startswith(PREFIX) and value.isascii() and hmac.compare_digest(signature, _sign(text))
    if not is_ours:
        return None
    told = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    expires_at, session, _ = told
    return dict(session) if now_s < expires_at else None


def _sign(text: str) -> str:
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()
