"""API keys: the file that all servers read and `voice-stack keys` writes, and what a server knows of it now."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    KeysUnreadableError,
    NotFoundError,
    tell_problem,
)
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import write_whole

ADMIN = "admin"
"""Scope of a server's status and metrics, and of loading and unloading models; others are the servers' names."""

KeyScope = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
KeyName = Annotated[str, Field(pattern=r"^[\w@. +-]{1,64}$")]
AtLeastOne = Annotated[int, Field(ge=1)]
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
    scopes: tuple[KeyScope, ...]
    created_at: int
    expires_at: int | None = None
    requests_per_minute: AtLeastOne | None = None
    jobs_at_once: AtLeastOne | None = None

    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= time.time()


def hash_key(key: bytes) -> str:
    """SHA-256 of a key, lower-case hex.

    A fast hash without salt is right here, and only here: a key made by `make_key` is 192 random bits, so nobody can
    try them all or look them up in a table, which is what slow and salted hashes of passwords are against. Each request
    is hashed once, so it has to be fast.
    """
    return hashlib.sha256(key).hexdigest()


def make_key(name: str, scopes: Sequence[str], **limits: int | None) -> tuple[str, NamedKey]:
    """Make a new random key.

    Args:
        name: For people.
        scopes: What it may do.
        limits: By name, the fields of `NamedKey` that may be None.

    Returns:
        The key, which nobody will be able to ask for again, and what is kept of it.
    """
    key = KEY_PREFIX + secrets.token_hex(KEY_BYTES)
    key_id, hint, digest = f"key_{secrets.token_hex(6)}", mask_key(key), hash_key(key.encode())
    return key, NamedKey(key_id, name, hint, digest, tuple(scopes), int(time.time()), **limits)


def plain_keys(keys: Sequence[str], scopes: tuple[str, ...]) -> list[NamedKey]:
    """The keys of `API_KEYS`: every scope that a server asks for, no end, kept as hashes."""
    return [
        NamedKey(f"API_KEYS[{number}]", f"API_KEYS[{number}]", mask_key(key), hash_key(key.encode()), scopes, 0)
        for number, key in enumerate(keys, start=1)
    ]


def mask_key(key: str) -> str:
    """A key that may be shown: its first and last three characters, or none if it is short."""
    return f"{key[:3]}***{key[-3:]}" if len(key) >= _MIN_SHOWN else "***"


LOCK_TIMEOUT_S = 10.0
Signature = tuple[int, int, int]
"""Time of the last change, size and inode: another one, another content."""


@with_config(ConfigDict(extra="forbid", defer_build=True))
@dataclass(frozen=True)
class _Content:
    """What stands in the file."""

    keys: tuple[NamedKey, ...]
    version: Literal[1] = 1


_CONTENT = TypeAdapter(_Content)


class KeyFile:
    """The keys on disk: hashes, readable by their owner alone, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def signature(self) -> Signature | None:
        """Changes when the content does; None while there is no file.

        Raises:
            ConfigurationError: It cannot be looked at.
        """
        try:
            stat = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._explain("cannot be read", error) from error
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def read(self) -> tuple[NamedKey, ...] | None:
        """The keys, expired ones too; None while there is no file.

        Raises:
            ConfigurationError: It cannot be read, or is no file of keys.
        """
        try:
            return _CONTENT.validate_json(self.path.read_bytes(), strict=False).keys
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._explain("cannot be read", error) from error
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the file"
            raise ConfigurationError(f"API_KEYS_FILE={self.path}: {place}: {tell_problem(problem)}") from None

    def add(self, key: NamedKey) -> None:
        """Add a key.

        Raises:
            InvalidRequestError: There is one of that name.
            ConfigurationError: The file cannot be read or written.
        """
        self._make_folder()
        with self._lock():
            keys = self.read() or ()
            if any(known.name == key.name for known in keys):
                raise InvalidRequestError(
                    f"there is a key named {key.name!r} already; revoke it first: voice-stack keys revoke {key.name}"
                )
            self._write((*keys, key))

    def remove(self, name: str) -> NamedKey:
        """Remove the key of that name or id; the file stays, so that a server goes on asking for keys.

        Raises:
            NotFoundError: There is none.
            ConfigurationError: The file cannot be read or written.
        """
        if self.signature() is None:
            raise NotFoundError(f"there is no key {name!r}: {self.path} does not exist")
        with self._lock():
            keys = self.read() or ()
            found = next((key for key in keys if name in {key.name, key.id}), None)
            if found is None:
                names = ", ".join(key.name for key in keys) or "none"
                raise NotFoundError(f"there is no key {name!r}; the keys in {self.path}: {names}")
            self._write(key for key in keys if key != found)
        return found

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._explain("its folder cannot be made", error) from error

    def _lock(self) -> AbstractContextManager[object]:
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=LOCK_TIMEOUT_S)
        try:
            return lock.acquire()
        except Timeout:
            raise ConfigurationError(f"{self.path} is being changed by another program; try again") from None
        except OSError as error:
            raise self._explain("cannot be changed", error) from error

    def _write(self, keys: Iterable[NamedKey]) -> None:
        try:
            write_whole(self.path, _CONTENT.dump_json(_Content(tuple(keys)), indent=1) + b"\n")
        except OSError as error:
            raise self._explain("cannot be written", error) from error

    def _explain(self, what: str, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"API_KEYS_FILE={self.path} {what}: {error.strerror or error}")


INTERVAL_S = 60.0
"""A key in use all the time is noted so often."""
_log = logging.getLogger(__name__)
_WRITER = ThreadPoolExecutor(1, thread_name_prefix="last-use")


class LastUse:
    """The folder `keys.json.used`; it is for information only, so nothing waits for it and no request fails by it."""

    def __init__(self, keys_file: Path) -> None:
        self._folder = keys_file.with_name(f"{keys_file.name}.used")
        self._noted_s: dict[str, float] = {}
        self._is_writable = True

    def note(self, key_id: str) -> None:
        """A key was used just now; writes in another thread, if a minute has passed since it last did."""
        now_s = time.monotonic()
        if self._is_writable and now_s - self._noted_s.get(key_id, -INTERVAL_S) >= INTERVAL_S:
            self._noted_s[key_id] = now_s
            asyncio.get_running_loop().run_in_executor(_WRITER, self._touch, key_id)

    def read(self, key_id: str) -> int | None:
        """When a key was last used, in seconds since 1970; None if that is not known."""
        try:
            return int((self._folder / key_id).stat().st_mtime)
        except OSError:
            return None

    def forget(self, key_id: str) -> None:
        """The key is gone."""
        (self._folder / key_id).unlink(missing_ok=True)

    def _touch(self, key_id: str) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / key_id).touch(mode=0o600)
        except OSError as error:
            self._is_writable = False
            _log.info("`voice-stack keys list` will not tell when keys were used: %s", error)


CHECK_INTERVAL_S = 0.25
"""How long a change of the file may go unseen."""


class KeyRing:
    """Knows who may come in; lives on the event loop.

    Once the file has been there, keys are needed, also when the last one is revoked or the file is deleted: taking
    keys away must never open a server. Only a restart without the file does.

    Args:
        plain: The keys of `API_KEYS`.
        file: The file of keys; it need not be there, and may come later.
        scopes: What the server asks for: the plain keys have all of it.

    Raises:
        ConfigurationError: The file is there and cannot be read.
    """

    def __init__(self, plain: Sequence[str], file: KeyFile, scopes: tuple[str, ...]) -> None:
        self._plain = plain_keys(plain, scopes)
        self._file = file
        self._signature: Signature | None = file.signature()
        self._named = file.read()
        self._problem: str | None = None
        self._next_check_s = time.monotonic() + CHECK_INTERVAL_S
        self._last_use = LastUse(file.path)

    @property
    def is_needed(self) -> bool:
        """Whether requests need a key at all."""
        return bool(self._plain) or self._named is not None

    def find(self, key: bytes) -> NamedKey | None:
        """What is known of a key, expired or not; None of one that is unknown."""
        digest = hash_key(key)
        # Every key is compared, so that the time tells nothing about which one came near.
        known = (*self._plain, *(self._named or ()))
        matches = [named for named in known if hmac.compare_digest(digest, named.sha256)]
        return matches[0] if matches else None

    def find_by_id(self, key_id: object) -> NamedKey | None:
        """The key with an id that may still be used."""
        known = (*self._plain, *(self._named or ()))
        return next((key for key in known if key.id == key_id and not key.is_expired()), None)

    def note_use(self, key: NamedKey) -> None:
        """Remember for `voice-stack keys list` that a key was used."""
        if key not in self._plain:
            self._last_use.note(key.id)

    async def refresh(self) -> None:
        """Read the file again if it has changed; looks at it four times a second at most.

        A file that is damaged meanwhile is told in the log, and the keys stay as they were. Where there were none yet,
        nobody is let in: whoever wrote that file wanted keys to be needed.

        Raises:
            KeysUnreadableError: The file is damaged, and no key is known.
        """
        if time.monotonic() >= self._next_check_s:
            self._next_check_s = time.monotonic() + CHECK_INTERVAL_S
            await self._check()
        if self._problem is not None and not self._plain and not self._named:
            raise KeysUnreadableError(
                "This server cannot read its file of API keys and lets nobody in until that is mended; to its "
                "operator `voice-stack doctor` says what is wrong."
            )

    async def _check(self) -> None:
        try:
            await asyncio.to_thread(self._read_if_changed)
        except ConfigurationError as error:
            if error.message != self._problem:
                self._problem = error.message
                log_event(_log, logging.ERROR, "the keys stay as they were", reason=error.message)
            self._named = self._named or ()

    def _read_if_changed(self) -> None:
        signature = self._file.signature()
        if signature == self._signature and self._problem is None:
            return
        named = self._file.read()
        if named is None and self._named is not None:
            named = ()
        self._signature, self._named, self._problem = signature, named, None
        log_event(_log, logging.INFO, "keys read again", keys=len(named or ()), file=self._file.path)
