"""Telling somebody's server that a job is over: Standard Webhooks (standardwebhooks.com), signed with a secret."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from urllib.parse import unquote

import httpx2

from voice_stack.asr.jobs.record import Webhook
from voice_stack.core.errors import ConfigurationError, UnsupportedValueError
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

RETRY_DELAYS_S = (1.0, 5.0, 30.0)
"""Waits between attempts."""
TIMEOUT_S = 10.0
_SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark that the specification puts before a secret
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535

Note = Callable[[Webhook], Awaitable[None]]


def parse_secret(text: str) -> bytes:
    """The key behind `ASR_WEBHOOK_SECRET`; empty for none.

    Raises:
        ConfigurationError: What follows `whsec_` is not base64.
    """
    if not text.startswith(_SECRET_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ConfigurationError(f"ASR_WEBHOOK_SECRET: after 'whsec_' comes base64 ({error})") from None


def check_allowed(entries: Sequence[str]) -> tuple[str, ...]:
    """The entries of `ASR_WEBHOOK_ALLOWED`.

    Raises:
        ConfigurationError: One is neither a host nor the beginning of a URL.
    """
    for entry in entries:
        try:
            url = httpx2.URL(entry if "://" in entry else f"http://{entry}")
        except httpx2.InvalidURL as error:
            raise ConfigurationError(f"ASR_WEBHOOK_ALLOWED: {entry!r} is no host and no URL: {error}") from None
        if url.scheme not in _PORTS or not url.host or ("://" not in entry and url.path not in {"", "/"}):
            raise ConfigurationError(
                f"ASR_WEBHOOK_ALLOWED: {entry!r} does not fit; hosts as hooks.lan or hooks.lan:8080, or https://hooks.lan/x"
            )
    return tuple(entries)


def sign(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: version 1, HMAC-SHA256 over id, timestamp and body, joined by dots."""
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def check_webhook_url(url: str, allowed: Sequence[str]) -> str:
    """The URL, if the settings allow it: nothing else in a request may become an address that this server calls.

    Args:
        url: As the client sent it.
        allowed: Hosts, with or without a port, and beginnings of URLs, whole path segments.

    Raises:
        UnsupportedValueError: It is no URL, or not allowed.
    """
    shown = url[:200]
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise UnsupportedValueError(f"webhook_url {shown!r} is no URL: {error}", param="webhook_url") from None
    if parsed.scheme not in _PORTS or not parsed.host or parsed.userinfo or not 0 < _port(parsed) <= _MAX_PORT:
        message = f"webhook_url {shown!r} does not fit: http://HOST/... or https://HOST:PORT/... without a password"
        raise UnsupportedValueError(message, param="webhook_url")
    if not any(_is_below(parsed, entry) for entry in allowed):
        message = f"webhook_url {shown!r} is not allowed here; the operator allows hosts with ASR_WEBHOOK_ALLOWED"
        raise UnsupportedValueError(message, param="webhook_url")
    return str(parsed)


def _is_below(url: httpx2.URL, entry: str) -> bool:
    if "://" not in entry:
        root = httpx2.URL(f"{url.scheme}://{entry}")
        return root.host == url.host and (root.port is None or _port(root) == _port(url))
    root = httpx2.URL(entry)
    if (root.scheme, root.host, _port(root)) != (url.scheme, url.host, _port(url)):
        return False
    segments, wanted = url.path.split("/"), root.path.rstrip("/").split("/")
    return segments[: len(wanted)] == wanted and not _climbs(url.path)


def _climbs(path: str) -> bool:
    """Whether a path leads upwards for a receiver that decodes it once more, or takes other signs for slashes."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return any(segment.partition(";")[0] in {".", ".."} for segment in re.split(r"[/\\]", path))


def _port(url: httpx2.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


async def deliver(webhook: Webhook, message_id: str, body: bytes, secret: bytes, note: Note) -> None:
    """Send an event until it is taken, or given up; no redirect is followed, and no proxy of the environment used.

    Args:
        webhook: Where to; its attempts are counted on.
        message_id: The same in every attempt, so that a receiver knows it again.
        body: JSON.
        secret: Key of the signatures; empty: unsigned.
        note: Takes the state after each attempt.
    """
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
        for delay_s in (*RETRY_DELAYS_S, None):
            problem = await _attempt(http, webhook.url, message_id, body, secret)
            webhook = replace(webhook, attempts=webhook.attempts + 1, error=problem)
            if problem is None or delay_s is None:
                await note(replace(webhook, status="failed" if problem else "delivered"))
                return
            await note(webhook)
            log_event(logger, logging.WARNING, "webhook not taken", job=message_id, reason=problem, retry_s=delay_s)
            await asyncio.sleep(delay_s)


async def _attempt(http: httpx2.AsyncClient, url: str, message_id: str, body: bytes, secret: bytes) -> str | None:
    """One delivery; returns what went wrong."""
    timestamp_s = int(time.time())
    # Path and query may be what lets one in; this goes into the log.
    receiver = str(httpx2.URL(url).copy_with(raw_path=b"/"))
    headers = {"content-type": "application/json", "user-agent": "voice-stack"}
    headers |= {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if secret:
        headers["webhook-signature"] = sign(secret, message_id, timestamp_s, body)
    try:
        # The answer's body is of no interest, and may have no end.
        async with asyncio.timeout(TIMEOUT_S), http.stream("POST", url, content=body, headers=headers) as response:
            return None if response.is_success else f"{receiver} answered {response.status_code}"
    except (httpx2.HTTPError, OSError, ValueError) as error:  # the latter two: a name that is none for the system
        return f"{receiver}: {type(error).__name__}: {error}".rstrip(": ")
