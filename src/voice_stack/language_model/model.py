"""A language model behind OpenAI's `/chat/completions`, wherever it runs: asked, listened to, and let go."""

import json
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from logging import getLogger

import httpx2

from voice_stack.client.errors import ErrorDetails, excerpt, parse_error_details, parse_retry_after_s
from voice_stack.core.errors import (
    InvalidRequestError,
    KeyRefusedError,
    ModelNotFoundError,
    NoLanguageModelError,
    OverloadedError,
    PayloadTooLargeError,
    TooManyRequestsError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.core.system.addresses import HostName, parse_address
from voice_stack.language_model.deltas import DeltaReader, ModelDelta
from voice_stack.language_model.settings import LanguageModelSettings

CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 120.0
"""Between two bytes: a small machine reads a long conversation for a minute before it says a word."""
WHOLE_TIMEOUT_S = 600.0
"""The same for what is passed on: an answer in one piece is silent until its end; OpenAI's clients wait as long."""
NAMES_KEPT_S = 60.0
MAX_ANSWER_BYTES = 16 << 20
"""Of one event, or of an answer in one piece."""
_MAX_ERROR_BYTES = 64 << 10
_MAX_NAMES = 20
_KEY_REFUSED = frozenset({401, 403})
_VENICE = "api.venice.ai"
_CANNOT_TALK = re.compile(r"embed|rerank|whisper|tts|moderation|dall-e|diffusion", re.IGNORECASE)
"""Names of models that stand in the same lists."""
_ADDRESS = "The setting is the address of OpenAI's API there, with its /v1."
_BREAKS = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)
_logger = getLogger(__name__)


ChatMessage = Mapping[str, object]
"""As OpenAI's chat has it: role, content, tool_calls, tool_call_id."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a language model is asked.

    Attributes:
        messages: The whole conversation, system first.
        model: Its name; empty: the one of the settings.
        options: Further fields of OpenAI's chat, as they are sent: tools, tool_choice, temperature, max_tokens, ...
    """

    messages: Sequence[ChatMessage]
    model: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


def is_near(host: str) -> bool:
    """Whether a host is this machine or in its own network, where no proxy leads."""
    address, name = parse_address(host), HostName.parse(host)
    return not address.is_global if address is not None else name is not None and name.is_private


class LanguageModel:
    """The language model of the settings; `close` it at the end.

    No connection is kept: llama.cpp closes one that it has streamed over without a word, and what is asked next over
    it fails. Proxies of the environment are used for hosts of the internet alone.

    Args:
        settings: Where it is, its key, its name.
        reasoning_opens: See `ReasoningFilter`.

    Attributes:
        url: With `/v1`, which an address without a path lacks; empty: there is none.
        options: Fields that the settings send with every request.
    """

    def __init__(self, settings: LanguageModelSettings, *, reasoning_opens: bool = False) -> None:
        parts = httpx2.URL(settings.llm_url)
        self.url = f"{settings.llm_url}/v1" if settings.llm_url and parts.path == "/" else settings.llm_url
        self._server = f"The language model's server ({settings.env_name('llm_url')})"
        self._is_venice = parts.host == _VENICE
        self._settings, self._reasoning_opens = settings, reasoning_opens
        self.options: Mapping[str, object] = settings.llm_options
        self._names: list[str] = []
        self._names_until = 0.0
        self._takes_stream_options = True
        key = settings.llm_key.get_secret_value()
        self._http = httpx2.AsyncClient(
            headers={"user-agent": "voice-stack", **({"authorization": f"Bearer {key}"} if key else {})},
            limits=httpx2.Limits(max_keepalive_connections=0),
            mounts={f"all://{parts.netloc.decode()}": None} if settings.llm_url and is_near(parts.host) else None,
        )

    def require(self) -> None:
        """Nothing, where there is a language model.

        Raises:
            NoLanguageModelError: The settings name none.
        """
        if not self.url:
            raise NoLanguageModelError(
                f"No language model: {self._settings.env_name('llm_url')} is empty. Set it to the address "
                "of one with OpenAI's API: http://127.0.0.1:11434/v1 for Ollama, http://127.0.0.1:8080/v1 for "
                "llama.cpp, http://127.0.0.1:8000/v1 for vLLM, http://127.0.0.1:1234/v1 for LM Studio."
            )

    async def close(self) -> None:
        """End what is still being asked."""
        await self._http.aclose()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta, None]:
        """Ask; the last delta has the finish reason. Closing the generator ends the work at the other side.

        Raises:
            NoLanguageModelError: The settings name none.
            ModelNotFoundError: Its server has no model of that name.
            InvalidRequestError: It does not take what it is asked; message, param and code are its own.
            TooManyRequestsError: It says so.
            OverloadedError: It says so, or is still loading.
            UpstreamError: It cannot be reached, refuses the key, fails, or breaks off.
        """
        self.require()
        response = await self._ask(await self._body(request))
        reader = DeltaReader(opens=self._reasoning_opens)
        is_done = False
        async with aclosing(response), aclosing(self._chunks(response)) as chunks:
            try:
                async for chunk in chunks:
                    if chunk is None:
                        is_done = True
                        break
                    delta = reader.read(chunk)
                    if delta.content or delta.reasoning:
                        yield delta
            except httpx2.RequestError as error:
                if not reader.is_finished:
                    raise self._explain_break(error) from error
        if not (is_done or reader.is_finished):
            raise UpstreamError(f"{self._server} broke off in the middle of its answer.")
        yield reader.end()

    async def list_models(self) -> list[dict[str, object]]:
        """The models of its server, as that describes them.

        Raises:
            NoLanguageModelError: The settings name none.
            UpstreamError: Its server cannot be reached, or lists nothing.
        """
        self.require()
        response = await self._send(self._http.build_request("GET", f"{self.url}/models", timeout=CONNECT_TIMEOUT_S))
        text = await self._read(response, MAX_ANSWER_BYTES)
        if not response.is_success:
            raise await self._explain(response, text, "")
        listed = self._parse(text).get("data")
        models = [model for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
        self._names = [name for model in models if isinstance(name := model.get("id"), str)]
        self._names_until = time.monotonic() + NAMES_KEPT_S
        return models

    async def choose(self, asked: str) -> str:
        """The name of the model to ask: the one asked for, that of the settings, or the first that can talk.

        Raises:
            VoiceStackError: As for `list_models`.
        """
        if asked or self._settings.llm_model:
            return asked or self._settings.llm_model
        if time.monotonic() > self._names_until:
            await self.list_models()
        talking = [name for name in self._names if not _CANNOT_TALK.search(name)]
        if not (talking or self._names):
            setting = self._settings.env_name("llm_model")
            raise UpstreamError(f"{self._server} lists no model; load one there, or name it in {setting}.")
        return (talking or self._names)[0]

    async def post(
        self, body: bytes, headers: Mapping[str, str], *, timeout_s: float = WHOLE_TIMEOUT_S
    ) -> httpx2.Response:
        """Ask with a body as it is, and give the answer as it is, errors included; it is to be read, and closed.

        Args:
            body: JSON of `/chat/completions`.
            headers: Sent beside those of this client; the key is that of the settings.
            timeout_s: Between two bytes, seconds.

        Raises:
            NoLanguageModelError: The settings name none.
            UpstreamError: It cannot be reached, or refuses the key, which is no caller's.
        """
        self.require()
        url = f"{self.url}/chat/completions"
        timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        request = self._http.build_request("POST", url, content=body, headers=headers, timeout=timeout)
        response = await self._send(request)
        if response.status_code in _KEY_REFUSED:
            raise await self._explain(response, await self._read(response, _MAX_ERROR_BYTES), "")
        return response

    async def pieces(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        """The bytes of an answer, as they come.

        Raises:
            UpstreamError: It breaks off.
        """
        try:
            async for piece in response.aiter_raw():
                yield piece
        except httpx2.RequestError as error:
            raise self._explain_break(error) from error

    async def _body(self, request: ModelRequest) -> dict[str, object]:
        body: dict[str, object] = {"stream_options": {"include_usage": True}} if self._takes_stream_options else {}
        body |= self._settings.llm_options | dict(request.options)
        if self._is_venice:  # whose own instructions would stand before ours
            given = body.get("venice_parameters")
            own = {"include_venice_system_prompt": False}
            body["venice_parameters"] = {**own, **given} if isinstance(given, dict) else own
        model, messages = await self.choose(request.model), [dict(message) for message in request.messages]
        return {**body, "model": model, "messages": messages, "stream": True}

    async def _ask(self, body: dict[str, object]) -> httpx2.Response:
        """Its answer, which has begun well."""
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        response = await self.post(content, headers, timeout_s=TIMEOUT_S)
        if response.is_success:
            return response
        text = await self._read(response, _MAX_ERROR_BYTES)
        if response.status_code in {400, 422} and "stream_options" in text and "stream_options" in body:
            self._takes_stream_options = False
            return await self._ask({name: value for name, value in body.items() if name != "stream_options"})
        raise await self._explain(response, text, str(body["model"]))

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and once more where the connection breaks before anything came back."""
        for send_again in (True, False):
            try:
                return await self._http.send(request, stream=True)
            except httpx2.RequestError as error:
                if not (send_again and isinstance(error, _BREAKS)):
                    raise self._explain_break(error) from error
                _logger.info("%s broke the connection (%r): asked again", self.url, error)
        raise AssertionError("the second try answers or raises")

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[dict[str, object] | None, None]:
        """The JSON objects of an answer, streamed or not; None for the mark of its end."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "text/html":
            raise UpstreamError(f"{self._server} answered with a web page. {_ADDRESS}")
        if media_type.endswith("json"):
            yield self._check(self._parse(await self._read(response, MAX_ANSWER_BYTES)))
            yield None
            return
        response.headers["content-type"] = "text/event-stream"  # some forget it
        async for event in httpx2.EventSource(response, max_event_size=MAX_ANSWER_BYTES):
            if event.data.strip() == "[DONE]":
                yield None
            elif event.data.strip():
                yield self._check(self._parse(event.data), is_error=event.event == "error")

    async def _read(self, response: httpx2.Response, max_bytes: int) -> str:
        """The whole of an answer, but not more than that; closes it."""
        body = bytearray()
        async with aclosing(response):
            try:
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > max_bytes:
                        break
            except httpx2.RequestError as error:
                raise self._explain_break(error) from error
        return bytes(body[:max_bytes]).decode("utf-8", "replace")

    def _parse(self, text: str) -> dict[str, object]:
        try:
            value: object = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UpstreamError(f"{self._server} sent what is no JSON object: {excerpt(text)}. {_ADDRESS}")
        return value

    def _check(self, chunk: dict[str, object], *, is_error: bool = False) -> dict[str, object]:
        """The chunk, unless it tells of an error; its code may be a status."""
        if not (is_error or chunk.get("error") or chunk.get("object") == "error"):
            return chunk
        details = parse_error_details(json.dumps(chunk), "no reason given")
        code = details.code or ""
        raise self._tell(int(code) if code.isdecimal() and 400 <= int(code) <= 599 else 500, details, None)

    async def _explain(self, response: httpx2.Response, text: str, model: str) -> VoiceStackError:
        """The error that an answer is.

        Args:
            response: With a status that is none of success.
            text: Its body.
            model: What was asked for.
        """
        status, details = response.status_code, parse_error_details(text, response.reason_phrase or "no reason given")
        if status != 404:
            return self._tell(status, details, parse_retry_after_s(response.headers))
        if not model or "model" not in f"{details.code} {details.message}".lower():
            return UpstreamError(f"{self._server} answered 404 ({details.message}). {_ADDRESS}")
        known = ""
        try:
            await self.list_models()
            known = f" It has: {', '.join(self._names[:_MAX_NAMES])}."
        except VoiceStackError:
            _logger.debug("no list of models", exc_info=True)
        return ModelNotFoundError(f"The language model's server has no model {model!r}: {details.message}.{known}")

    def _tell(self, status: int, details: ErrorDetails, retry_after_s: float | None) -> VoiceStackError:
        message = f"{self._server} answered {status}: {details.message}"
        if status in _KEY_REFUSED:
            return KeyRefusedError(f"{message}. Its key is {self._settings.env_name('llm_key')}.")
        if status == 429:
            return TooManyRequestsError(message, code=details.code, retry_after_s=retry_after_s)
        if status in {503, 529}:
            return OverloadedError(message, code=details.code, retry_after_s=retry_after_s)
        if status == 413:
            return PayloadTooLargeError(message, param=details.param, code=details.code)
        if status in {400, 404, 422}:
            return InvalidRequestError(message, param=details.param, code=details.code)
        return UpstreamError(message)

    def _explain_break(self, error: httpx2.RequestError) -> UpstreamError:
        reason = str(error) or type(error).__name__
        _logger.warning("%s: %r", self.url, error)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
            return UpstreamError(f"{self._server} cannot be reached: is it running, and is the setting right?")
        if isinstance(error, httpx2.TimeoutException):
            return UpstreamError(f"{self._server} did not answer in time.")
        return UpstreamError(f"{self._server} broke the connection ({reason}).")
