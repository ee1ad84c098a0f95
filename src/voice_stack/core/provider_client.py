"""How a service of others is asked: with patience, without a thread, and without a word of its key to anybody else."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from logging import INFO, getLogger
from typing import TypeVar

import httpx2

from voice_stack.core.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    PayloadTooLargeError,
    ProviderAuthError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    UnsupportedValueError,
    VoiceStackError,
)
from voice_stack.core.logging import log_event
from voice_stack.core.provider import Provider
from voice_stack.core.system.addresses import is_near

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
"""Between two bytes; for the first one a call may allow more."""
WHOLE_TIMEOUT_S = 120.0
"""For the rest of an answer that is wanted as a whole, once it has begun."""
RETRY_WAITS_S = (0.5, 1.5)
LONGEST_RETRY_S = 10.0
"""A provider that wants more patience has its wish told to the client, who may have more."""
MAX_ANSWER_BYTES = 64 << 20
"""Of an answer that is wanted as a whole; the words of twelve hours are 20 MB."""
_MAX_ERROR_BYTES = 64 << 10
_QUOTA = frozenset({"insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "asr_payment_required"})
_BUSY = frozenset({429, 503, 529})

T = TypeVar("T")
_logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent with a question.

    Attributes:
        content_type: With its parameters.
        length: In bytes.
        pieces: Begins anew with each call, for a question is asked again where that may help.
    """

    content_type: str
    length: int
    pieces: Callable[[], AsyncIterable[bytes]]


def json_body(value: Mapping[str, object]) -> Body:
    """A JSON object to send."""
    content = json.dumps(value, ensure_ascii=False).encode()

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield content

    return Body("application/json", len(content), pieces)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a provider.

    Attributes:
        path: Behind its address, beginning with a slash.
        body: None: it is a GET.
        params: For the query; a name may come several times.
        model: What it is about, for messages; so is `voice`.
        answer_timeout_s: Seconds until the first byte of the answer.
        max_bytes: Of an answer that is wanted as a whole.
    """

    path: str
    body: Body | None = None
    params: tuple[tuple[str, str], ...] = ()
    model: str = ""
    voice: str = ""
    answer_timeout_s: float = READ_TIMEOUT_S
    max_bytes: int = MAX_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer that has begun.

    Attributes:
        headers: By lower-case names.
        pieces: Its bytes as they come; raises `ProviderError` where it breaks off, `ProviderTimeoutError` where it
            stops.
    """

    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A good answer, and all of it; names of headers are lower-case."""

    headers: Mapping[str, str]
    content: bytes


@cache
def _certificates() -> ssl.SSLContext:
    """Those of the environment; read once, for it takes some tens of milliseconds."""
    return httpx2.create_ssl_context()


class ProviderClient:
    """Asks one provider, as often at once as is wanted: no thread waits for an answer. `close` it at the end.

    Proxies and certificates of the environment are heeded, but no proxy leads to what is in this house. What says that
    it is too busy, or fails, or breaks off before it has given anything, is asked up to two times more.

    Raises what the provider says as errors of ours: `ProviderAuthError`, `ProviderBusyError`, `ProviderTimeoutError`,
    `ProviderError`; and where the question itself is refused `InvalidRequestError`, `PayloadTooLargeError` or
    `ModelNotFoundError`.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._url = httpx2.URL(provider.url)
        authority = self._url.netloc.decode()
        self._http = httpx2.AsyncClient(
            headers={"user-agent": "voice-stack", **provider.headers},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=20.0),
            mounts={f"all://{authority}": None} if is_near(self._url.host) else None,
            verify=_certificates(),
        )

    async def close(self) -> None:
        """End what is still being asked."""
        await self._http.aclose()

    async def fetch(self, question: Question) -> bytes:
        """A whole answer without its headers, otherwise as `fetch_whole`."""
        return (await self.fetch_whole(question)).content

    async def fetch_whole(self, question: Question) -> WholeAnswer:
        """A whole answer.

        Raises:
            VoiceStackError: See the class; a part of an answer is none.
        """
        return await self._patiently(partial(self._fetch, question))

    @asynccontextmanager
    async def stream(self, question: Question) -> AsyncGenerator[Answer, None]:
        """An answer as it comes; leaving the context ends the work at the other side.

        Raises:
            VoiceStackError: See the class; all but what breaks off later before the context is entered.
        """
        response = await self._patiently(partial(self._open, question))
        async with aclosing(response), aclosing(self._pieces(response)) as pieces:
            yield Answer(response.headers, pieces)

    async def _fetch(self, question: Question) -> WholeAnswer:
        response, content = await self._open(question), bytearray()
        try:
            async with (
                asyncio.timeout(WHOLE_TIMEOUT_S),
                aclosing(response),
                aclosing(self._pieces(response)) as pieces,
            ):
                async for piece in pieces:
                    content += piece
                    if len(content) > question.max_bytes:
                        raise ProviderError(f"{self._told} sent an answer of more than {question.max_bytes} bytes.")
        except TimeoutError:
            raise ProviderTimeoutError(
                f"{self._told} did not bring its answer to an end in {WHOLE_TIMEOUT_S:g} s."
            ) from None
        return WholeAnswer(response.headers, bytes(content))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and ask again where that may help."""
        for wait_s in RETRY_WAITS_S:
            try:
                return await ask()
            except ProviderError as error:
                if error.again_s is None or error.again_s > LONGEST_RETRY_S:
                    raise
                pause_s = max(wait_s, error.again_s)
                told: dict[str, object] = {"provider": self.provider.name, "reason": error.message, "wait_s": pause_s}
                log_event(_logger, INFO, "provider is asked again", **told)
            await asyncio.sleep(pause_s)
        return await ask()

    async def _open(self, question: Question) -> httpx2.Response:
        """The answer to a question, which has begun well."""
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, read=question.answer_timeout_s)
        body = question.body
        request = self._http.build_request(
            "GET" if body is None else "POST",
            self._url.copy_with(path=self._url.path.rstrip("/") + question.path).copy_merge_params(question.params),
            content=None if body is None else body.pieces(),
            headers={} if body is None else {"content-type": body.content_type, "content-length": str(body.length)},
            timeout=timeout,
        )
        try:
            response = await self._http.send(request, stream=True)
        except httpx2.RequestError as error:
            raise self._explain_break(error) from None
        if response.is_success:
            return response
        async with aclosing(response):
            raise self._explain(response.status_code, response.headers, await self._read_error(response), question)

    async def _pieces(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(response.aiter_bytes()) as pieces:
                while True:
                    async with asyncio.timeout(READ_TIMEOUT_S):
                        piece = await anext(pieces, None)
                    if piece is None:
                        return
                    yield piece
        except TimeoutError:
            raise ProviderTimeoutError(
                f"{self._told} stopped in the middle of its answer for {READ_TIMEOUT_S:g} s."
            ) from None
        except httpx2.RequestError as error:
            raise self._explain_break(error) from None

    async def _read_error(self, response: httpx2.Response) -> str:
        content = bytearray()
        try:
            async for piece in self._pieces(response):
                content += piece
                if len(content) > _MAX_ERROR_BYTES:
                    break
        except ProviderError:
            pass  # the status is enough
        return bytes(content[:_MAX_ERROR_BYTES]).decode("utf-8", "replace")

    @property
    def _told(self) -> str:
        return f"The provider {self.provider.name} ({self.provider.variable('url')})"

    def _explain(self, status: int, headers: Mapping[str, str], content: str, question: Question) -> VoiceStackError:
        """The error that an answer is."""
        words, code = read_error(content)
        words, code = self.provider.mask(words), self.provider.mask(code)
        answered = f"{self._told} answered {status}" + (f" {code}" if code else "")
        message = f"{answered}: {words}" if words else f"{answered}."
        wait_s = _read_retry_after_s(headers)
        if status == 402 or code.lower() in _QUOTA:
            return ProviderAuthError(f"{answered}: the account there has no credit left.", code="provider_quota")
        if status == 401:  # its words may show a part of the key
            asked = (
                f"{answered}: it refuses the key"
                if self.provider.key.get_secret_value()
                else f"{answered}: it wants a key"
            )
            return ProviderAuthError(f"{asked}, {self.provider.variable('key')}.")
        if status == 403:
            return ProviderAuthError(message)
        if status in _BUSY:
            return ProviderBusyError(message, retry_after_s=wait_s, again_s=wait_s or 0.0)
        if status in {408, 504}:
            return ProviderTimeoutError(message)
        if status >= 500:
            return ProviderError(message, retry_after_s=wait_s, again_s=wait_s or 0.0)
        if status == 413:
            return PayloadTooLargeError(message, code=code or None, param="file")
        if refusal := self._explain_name(status, f"{code} {words}".strip(), content, question):
            return refusal
        if status in {400, 415, 422}:
            return InvalidRequestError(message, code=code or None)
        return ProviderError(f"{message} Is the address right?" if status == 404 else message)

    def _explain_name(self, status: int, said: str, content: str, question: Question) -> VoiceStackError | None:
        """What is wrong with a name in the question, where that is it; OpenAI names the field and not the value."""
        provider = self.provider.name
        if question.voice and status in {400, 404, 422} and "voice" in content.lower().replace("voice_settings", ""):
            return UnsupportedValueError(f"{provider} does not take voice {question.voice!r}: {said}", param="voice")
        if question.model and status == 404 and "model" in said.lower():
            return ModelNotFoundError(f"The provider {provider} has no model {question.model!r}: {said}")
        return None

    def _explain_break(self, error: httpx2.RequestError) -> ProviderError:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
            reason = self.provider.mask(str(error)) or type(error).__name__
            return ProviderError(f"{self._told} cannot be reached: {reason}", again_s=0.0)
        if isinstance(error, httpx2.TimeoutException):
            return ProviderTimeoutError(f"{self._told} did not answer in time.")
        reason = self.provider.mask(str(error)) or type(error).__name__
        return ProviderError(f"{self._told} broke the connection: {reason}", again_s=0.0)


def read_error(content: str) -> tuple[str, str]:
    """Message and code of an error, in whichever shape a provider, or a proxy before it, has put it.

    OpenAI's `{"error": {"message", "code"}}`, ElevenLabs' `{"detail": {"status", "message"}}`, Deepgram's `{"err_code",
    "err_msg"}` and `{"category", "message"}`, FastAPI's `{"detail": [{"loc", "msg"}]}`, or plain text.
    """
    try:
        value: object = json.loads(content)
    except ValueError:
        return ("" if content.lstrip().startswith("<") else content), ""
    for name in ("error", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        loc = value[0].get("loc")
        place = ".".join(map(str, loc)) if isinstance(loc, list) else ""
        return f"{place}: {value[0].get('msg', '')}", ""
    if not isinstance(value, dict):
        return str(value), ""
    message = next((value[name] for name in ("message", "err_msg", "details") if value.get(name)), "")
    code = next((value[name] for name in ("code", "status", "err_code", "category", "type") if value.get(name)), "")
    return str(message), str(code)


def _read_retry_after_s(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if re.fullmatch(r"\d{1,7}(\.\d*)?", text):
            return float(text) / unit
    return None
