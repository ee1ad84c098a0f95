"""One API key as it is kept: its name and what it may do, never the key itself."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

Scope = Literal["asr", "tts", "admin"]
"""`asr` and `tts`: use that server. `admin`: its status and metrics, loading and unloading models."""

KeyName = Annotated[str, Field(pattern=r"^[\w@. +-]{1,64}$")]
AtLeastOne = Annotated[int, Field(ge=1)]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEY_PREFIX = "vs-"
KEY_BYTES = 24
_MIN_SHOWN = 12  # characters from which a key is long enough to show some of it


@dataclass(frozen=True, slots=True)
class NamedKey:
    """What is known of a key.

    Attributes:
        id: As `key_0123456789ab`; a new key of the same name has another.
        name: For people: in lists and logs.
        hint: Beginning and end of the key, to know it again.
        sha256: See `hash_key`.
        scopes: What it may do.
        created_at: Seconds since 1970.
        expires_at: Seconds since 1970; None: never.
        requests_per_minute: Most requests in a minute; None: as the server's settings say.
        jobs_at_once: Most requests worked on at once; None: as the server's settings say.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
    name: KeyName
    hint: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    created_at: int
    expires_at: int | None = None
    requests_per_minute: AtLeastOne | None = None
    jobs_at_once: AtLeastOne | None = None

    def is_expired(self, now_s: float | None = None) -> bool:
        """Whether its time is over, now or at a time in seconds since 1970."""
        return self.expires_at is not None and self.expires_at <= (time.time() if now_s is None else now_s)


def hash_key(key: bytes) -> str:
    """SHA-256 of a key, lower-case hex.

    A fast hash without salt is right here, and only here: a key made by `make_key` is 192 random bits, so nobody can
    try them all or look them up in a table, which is what slow and salted hashes of passwords are against. Each request
    is hashed once, so it has to be fast.
    """
    return hashlib.sha256(key).hexdigest()


def make_key(
    name: str,
    scopes: Sequence[Scope],
    *,
    expires_at: int | None = None,
    requests_per_minute: int | None = None,
    jobs_at_once: int | None = None,
) -> tuple[str, NamedKey]:
    """Make a new random key.

    Args:
        name: For people.
        scopes: What it may do.
        expires_at: Seconds since 1970; None: never.
        requests_per_minute: None: as the server's settings say.
        jobs_at_once: None: as the server's settings say.

    Returns:
        The key, which nobody will be able to ask for again, and what is kept of it.
    """
    key = KEY_PREFIX + secrets.token_hex(KEY_BYTES)
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    record = NamedKey(
        f"key_{secrets.token_hex(6)}",
        name,
        mask_key(key),
        hash_key(key.encode()),
        ordered,
        int(time.time()),
        expires_at,
        requests_per_minute,
        jobs_at_once,
    )
    return key, record


def plain_keys(keys: Sequence[str]) -> list[NamedKey]:
    """The keys of `API_KEYS`: every scope, no end, kept as hashes."""
    return [
        NamedKey(f"API_KEYS[{number}]", f"API_KEYS[{number}]", mask_key(key), hash_key(key.encode()), SCOPES, 0)
        for number, key in enumerate(keys, start=1)
    ]


def mask_key(key: str) -> str:
    """A key that may be shown: its first and last three characters, or none if it is short."""
    return f"{key[:3]}***{key[-3:]}" if len(key) >= _MIN_SHOWN else "***"
