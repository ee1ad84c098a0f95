"""What all sessions of OpenAI's Realtime wire share: the frames of clients, ids, and short-lived keys for browsers.

The keys hold the settings of a session, for who has a key of the server. They are signed and not kept, so that they
cost nothing; the process that made them knows them by that. Replicas that share know each other's by their digests,
so that nobody finds one there that could be used.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.uploads import read_json
from voice_stack.core.shared.state import SharedState
from voice_stack.core.shared.values import SharedValues

MAX_ID_CHARS = 512
INVALID_EVENT = "invalid_event"
SESSION_S = 3600
"""How long a session may last, as at OpenAI."""
Event = dict[str, object]
"""As it is sent, with its type and its id."""


def make_id(prefix: str) -> str:
    """A new random id, as `item_0123456789abcdef01234567`."""
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """A frame as read.

    Attributes:
        kind: Its type.
        fields: All it says, but sound.
        sound: What it carries of that, decoded.
        fault: Why it cannot be understood.
    """

    kind: str
    fields: Mapping[str, object]
    sound: bytes = b""
    fault: InvalidRequestError | None = None

    @property
    def id(self) -> str | None:
        """The name that the client gave it; a longer one than 512 characters is forgotten."""
        name = self.fields.get("event_id")
        return name if isinstance(name, str) and len(name) <= MAX_ID_CHARS else None


def read_frame(text: str, kinds: Iterable[str]) -> ClientEvent:
    """Read a frame, which for a large one takes its time.

    Args:
        text: As it came.
        kinds: Of events, for who sends none.
    """
    try:
        fields = read_json(text.encode())
    except (ValueError, InvalidRequestError) as error:
        return ClientEvent("", {}, fault=InvalidRequestError(f"This is no JSON text: {error}", code=INVALID_EVENT))
    kind = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(kind, str):
        message = f"An event is a JSON object with a type, one of {', '.join(kinds)}"
        known = fields if isinstance(fields, dict) else {}
        return ClientEvent("", known, fault=InvalidRequestError(message, param="type", code=INVALID_EVENT))
    if kind != "input_audio_buffer.append":
        return ClientEvent(kind, fields)
    try:
        sound = _decode(fields.pop("audio", None))
    except ValueError as error:
        fault = InvalidRequestError(f"audio must be base64: {error}", param="audio", code="invalid_value")
        return ClientEvent(kind, fields, fault=fault)
    return ClientEvent(kind, fields, sound)


def _decode(audio: object) -> bytes:
    if not isinstance(audio, str):
        raise ValueError("it is no string")  # noqa: TRY004 - told to the client like all that is wrong with it
    return binascii.a2b_base64("".join(audio.split()), strict_mode=True)  # lines are allowed


EPHEMERAL_PREFIX = "ek_"
MAX_SECRET_CHARS = 6_000
"""A line in the head of a WebSocket has room for 8 KiB."""
LONGEST_S = 7200
_KEY = secrets.token_bytes(32)


class SecretLife(BaseModel):
    """`expires_after`: how long a secret can be used, again and again."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(600, ge=10, le=LONGEST_S)


class ClientSecretBody(BaseModel):
    """Body of `POST /realtime/client_secrets`."""

    expires_after: dict[str, object] = Field({}, description="`seconds` after `created_at`: 10 to 7200, 600 if absent.")
    session: dict[str, object] = Field({}, description="A session, as `session.update` has it.")


class ClientSecretObject(BaseModel):
    """The secret, when it ends in seconds since 1970, and the session that begins with it."""

    value: str
    expires_at: int
    session: dict[str, object]


def make_client_secret(session: Mapping[str, object], expires_at: int, key_id: str) -> str:
    """A key that stands for a session.

    Args:
        session: What is set of it.
        expires_at: Seconds since 1970.
        key_id: Of the key that it is asked with, if one is needed.

    Raises:
        InvalidRequestError: Too much is set.
    """
    told = json.dumps([expires_at, {**session, "api_key": key_id}, secrets.token_hex(4)], separators=(",", ":"))
    text = base64.urlsafe_b64encode(zlib.compress(told.encode(), 9)).decode().rstrip("=")
    value = f"{EPHEMERAL_PREFIX}{text}.{_sign(text)}"
    if len(value) > MAX_SECRET_CHARS:
        message = "What is set of the session is too long for a client secret; send it by session.update."
        raise InvalidRequestError(message, param="session")
    return value


def check_client_secret(value: str, now_s: float) -> dict[str, object] | None:
    """The session that a secret stands for, with the id of its maker's key; None if it is none, or its time is over.

    Args:
        value: As the client sent it.
        now_s: Seconds since 1970.
    """
    text, _, signature = value.removeprefix(EPHEMERAL_PREFIX).partition(".")
    is_ours = value.startswith(EPHEMERAL_PREFIX) and value.isascii() and hmac.compare_digest(signature, _sign(text))
    if not is_ours:
        return None
    return _read_secret(text, now_s)


def _read_secret(text: str, now_s: float) -> dict[str, object] | None:
    """What stands in a secret that is known to be one."""
    told = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    expires_at, session, _ = told
    return dict(session) if now_s < expires_at else None


def _sign(text: str) -> str:
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()


class ClientSecrets:
    """The secrets of this process, and those that its replicas have told of; lives on the event loop.

    Args:
        shared: Where the digests of secrets stand, each until its time is over: whoever reads them there can use none.
    """

    def __init__(self, shared: SharedState) -> None:
        self._known = SharedValues(shared, "secret", TypeAdapter(int), LONGEST_S)

    async def share(self, granted: Mapping[str, object]) -> None:
        """Let the replicas know a secret that was made here: its `value` and `expires_at`, as the client is told."""
        value, expires_at = granted["value"], granted["expires_at"]
        assert isinstance(value, str)
        assert isinstance(expires_at, int)
        await self._known.keep(value, expires_at, expires_at - time.time())

    async def read(self, value: str) -> Mapping[str, object] | None:
        """The session that a secret stands for, as `check_client_secret` tells it; None if it is none, or no more."""
        now_s = time.time()
        session = check_client_secret(value, now_s)
        if session is not None or not value.startswith(EPHEMERAL_PREFIX) or len(value) > MAX_SECRET_CHARS:
            return session
        # Known by the digest of all of it, so that what it says is what its maker signed.
        expires_at = await self._known.find(value)
        return _read_secret(value.removeprefix(EPHEMERAL_PREFIX).partition(".")[0], now_s) if expires_at else None
