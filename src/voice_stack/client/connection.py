"""What both clients share: addresses, headers, requests, the decision to retry."""

import random
from typing import Generic, TypeVar

import httpx2

from voice_stack.client.calls import Call
from voice_stack.client.errors import ApiError, IncompleteResponseError, ServerUnreachableError, VoiceStackClientError
from voice_stack.client.options import Server
from voice_stack.client.upload import ThreadedStream, Upload

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
JITTER = 0.25
MAX_RETRY_AFTER_S = 120.0
"""A server that asks for a longer wait is not waited for: the caller is told instead."""

_RETRIED_STATUSES = frozenset({408, 409, 429})


def is_retryable(error: VoiceStackClientError) -> bool:
    """Whether the same request may succeed a moment later.

    A time-out is not retried: the server was still at work, and would start the same work anew.
    """
    if not isinstance(error, ApiError):
        return isinstance(error, ServerUnreachableError | IncompleteResponseError)
    if error.should_retry is not None:
        return error.should_retry
    return error.status in _RETRIED_STATUSES or error.status >= 500


def retry_delay_s(error: VoiceStackClientError, attempt: int, *, max_retries: int, random_share: float) -> float | None:
    """The wait before the next attempt, seconds; None when there is to be none.

    Args:
        error: What the last attempt ended with.
        attempt: Its number, from 0.
        max_retries: How many attempts may follow the first.
        random_share: Uniform in 0..1; spreads out clients that failed together.
    """
    if attempt >= max_retries or not is_retryable(error):
        return None
    asked_s = error.retry_after_s if isinstance(error, ApiError) else None
    if asked_s is not None:
        return asked_s if asked_s <= MAX_RETRY_AFTER_S else None
    # 2 to the 5th passes the cap already; a larger exponent would only overflow.
    backoff_s = min(FIRST_BACKOFF_S * 2.0 ** min(attempt, 5), MAX_BACKOFF_S)
    return backoff_s * (1 - JITTER * random_share)


CONNECT_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 5.0

HttpClient = TypeVar("HttpClient", httpx2.Client, httpx2.AsyncClient)
T = TypeVar("T")


def _check_header_text(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{name} {value!r} cannot be sent as a header: printable ASCII only")
    return value


def _api_root(name: str, url: str, api_prefix: str) -> str:
    """The address without its last slash and without the prefix, which OpenAI's base URLs carry."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{name} {url!r} is no address: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"{name} {url!r} is no address: http://HOST:PORT or https://HOST:PORT expected")
    return url.rstrip("/").removesuffix(api_prefix)


class Connection(Generic[HttpClient]):
    """The two servers and how to talk to them.

    Safe for use from many threads (`VoiceStackClient`) or tasks (`AsyncVoiceStackClient`) at once.

    Args:
        asr_url: Address of the ASR server.
        tts_url: Address of the TTS server.
        api_key: Sent as a bearer token; None for servers without keys.
        timeout_s: How long to wait for the next byte of an answer, seconds. The connection itself gets 5 at most.
        max_retries: How many attempts may follow a first one that failed.
        api_prefix: Path before `/audio/...`.

    Raises:
        ValueError: An argument is out of range.
    """

    _http_class: type[HttpClient]
    _roots: dict[Server, str]

    def __init__(
        self,
        asr_url: str = "http://127.0.0.1:5001",
        tts_url: str = "http://127.0.0.1:5002",
        api_key: str | None = None,
        *,
        timeout_s: float = 600.0,
        max_retries: int = 2,
        api_prefix: str = "/v1",
    ) -> None:
        if timeout_s <= 0:
            raise ValueError(f"timeout_s {timeout_s!r} is out of range: above 0")
        if max_retries < 0:
            raise ValueError(f"max_retries {max_retries!r} is out of range: 0 or more")
        self._prefix = f"/{api_prefix.strip('/')}".rstrip("/")
        self._roots = {
            "asr": _api_root("asr_url", asr_url, self._prefix),
            "tts": _api_root("tts_url", tts_url, self._prefix),
        }
        self._timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        self._probe_timeout = httpx2.Timeout(min(timeout_s, PROBE_TIMEOUT_S))
        self._max_retries = max_retries
        key = _check_header_text("api_key", api_key) if api_key else None
        self._http: HttpClient = self._http_class(
            headers={"user-agent": "voice-stack-client"} | ({"authorization": f"Bearer {key}"} if key else {}),
        )

    def _build_request(self, call: Call[T], upload: Upload | None) -> httpx2.Request:
        request_id = None if call.request_id is None else _check_header_text("request_id", call.request_id)
        request = self._http.build_request(
            call.method,
            self._roots[call.server] + ("" if call.is_probe else self._prefix) + call.path,
            headers=None if request_id is None else {"x-request-id": request_id},
            json=call.json,
            data=None if call.form is None else {name: value for name, value in call.form.items() if value is not None},
            files=None if upload is None else {call.file_field: upload.form_part()},
            timeout=self._probe_timeout if call.is_probe else self._timeout,
        )
        is_threaded = upload is not None and isinstance(self._http, httpx2.AsyncClient)
        if is_threaded and isinstance(request.stream, httpx2.SyncByteStream):
            request.stream = ThreadedStream(request.stream)
        return request

    def _retry_delay_s(
        self, call: Call[T], error: VoiceStackClientError, attempt: int, upload: Upload | None
    ) -> float | None:
        if call.is_probe or (upload is not None and not upload.can_resend):
            return None
        # Jitter needs no cryptography.
        return retry_delay_s(error, attempt, max_retries=self._max_retries, random_share=random.random())  # noqa: S311
