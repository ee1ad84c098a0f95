"""The connection to Redis or Valkey, which may be away at any time: then everything is as without it.

Nothing that is read from there is believed: replies are checked by who asks, and nothing is ever unpickled.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.logging import log_event
from voice_stack.core.settings import SHARED_SCHEMES
from voice_stack.core.system.breaker import Breaker
from voice_stack.core.telemetry.registry import SHARED, SHARED_UP

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

WAIT_S = 1.0
"""Longest that a request waits for it, once: then it is away."""
ANSWER_S = 5.0
"""For an answer that nobody waits for any more."""
MAX_CONNECTIONS = 32
PREFIX = "voice-stack"
Outcome = Literal["hit", "miss", "kept", "refused", "damaged"]
State = Literal["off", "ok", "away"]


class SharedState:
    """What one replica knows of the store that it shares with the others of its kind; lives on the event loop.

    One that does not answer in time, or refuses what is asked, is left alone for a while: `ask` has no answers then.

    Args:
        url: `SHARED_URL`; empty: nothing is shared.
        server: Name of the kind of server: others of it share with this one.

    Raises:
        ConfigurationError: The extra for it is not installed, or the URL has options that nobody knows.
    """

    def __init__(self, url: SecretStr, server: str) -> None:
        self._server, self._shown = server, hide_password(url.get_secret_value())
        self._client = _open(url.get_secret_value()) if self._shown else None
        self._breaker = Breaker(self._shown, "what replicas share is away: each goes by itself")
        self._asking = set[asyncio.Task[object]]()
        if self.is_on:
            SHARED_UP.set(1)

    @property
    def is_on(self) -> bool:
        """Whether there is one at all."""
        return self._client is not None

    def describe(self) -> dict[str, str | None]:
        """What `/status` says of it."""
        reason = self._breaker.reason or None
        state: State = "off" if self._client is None else "away" if reason else "ok"
        return {"state": state, "url": self._shown or None, "reason": reason}

    def name(self, kind: str, key: str) -> str:
        """The name of an entry; it tells nothing of the key, which may be a client's address or a secret."""
        return f"{PREFIX}:{self._server}:{kind}:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"

    async def ask(self, *command: str | bytes | float) -> object:
        """What a command of Redis answers; None where it is away, as where there is nothing."""
        if self._client is None or not self._breaker.admits():
            return None
        asking = self._begin(self._client, command)
        await asyncio.wait({asking}, timeout=WAIT_S)
        error = asking.exception() if asking.done() else TimeoutError()
        if error is None or "WRONGTYPE" in str(error):  # which is that somebody else has written under that name
            self._breaker.note_success()
            SHARED_UP.set(1)
            return asking.result() if error is None else None
        told = "no answer" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        self._breaker.note_failure(told)
        SHARED_UP.set(0)
        return None

    def _begin(self, client: "Redis", command: Sequence[str | bytes | float]) -> asyncio.Task[object]:
        """A command that goes to its own end: the library loses connections where it is cancelled."""
        asking = asyncio.create_task(_execute(client, command))
        self._asking.add(asking)
        asking.add_done_callback(self._end)
        return asking

    def _end(self, asking: asyncio.Task[object]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever waited is gone: it is no news

    def count(self, kind: str, outcome: Outcome) -> None:
        """Count what became of a question for an entry, or of one that was to be kept."""
        if self._client is not None:
            SHARED.labels(kind, "away" if self._breaker.reason else outcome).inc()

    async def remove_damaged(self, kind: str, name: str, error: Exception) -> None:
        """Remove an entry that is not what it should be; its content is not told."""
        reason = f"{error.error_count()} faults" if isinstance(error, ValidationError) else str(error)
        log_event(logger, logging.WARNING, "shared entry is damaged: removed", kind=kind, reason=reason)
        await self.ask("DEL", name)
        self.count(kind, "damaged")

    async def close(self) -> None:
        """Let go of the connections."""
        for asking in self._asking:
            asking.cancel()
        if self._client is not None:
            await self._client.aclose()


async def _execute(client: "Redis", command: Sequence[str | bytes | float]) -> object:
    reply: object = await client.execute_command(*command)
    return reply


def hide_password(url: str) -> str:
    """A URL that may be shown: without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""


def _open(url: str) -> "Redis":
    """A client with connections that are made when they are needed."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigurationError("SHARED_URL needs the extra `shared`: pip install 'voice-stack[shared]'") from None
    scheme, _, rest = url.partition("://")
    pool = BlockingConnectionPool.from_url(
        f"{SHARED_SCHEMES[scheme]}://{rest}",
        max_connections=MAX_CONNECTIONS,
        timeout=WAIT_S,
        socket_connect_timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        # Once: a connection that was kept may have ended meanwhile.
        retry=Retry(NoBackoff(), 1),
    )
    try:
        pool.make_connection()
    except TypeError as error:
        raise ConfigurationError(f"SHARED_URL={hide_password(url)}: an option is not known: {error}") from None
    return Redis.from_pool(pool)


OFF = SharedState(SecretStr(""), "")
"""Of a server that shares nothing."""
