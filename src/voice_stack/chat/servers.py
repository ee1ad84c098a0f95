"""The ASR server and the TTS server over HTTP: ours, or somebody else's with OpenAI's API."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from logging import getLogger
from time import perf_counter
from typing import Literal, TypeVar
from urllib.parse import unquote

import httpx2
from pydantic import JsonValue, ValidationError

from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.events import Heard, HeardSegment
from voice_stack.chat.settings import ChatSettings
from voice_stack.client.errors import (
    ApiError,
    IncompleteResponseError,
    InvalidResponseError,
    ServerUnreachableError,
    VoiceStackClientError,
    api_error,
    receiving,
    sending,
)
from voice_stack.client.errors import RequestTimeoutError as NoAnswerInTimeError
from voice_stack.client.results import (
    Model,
    Voice,
    number_of,
    object_of,
    optional_number_of,
    optional_text_of,
    parse_models,
    parse_voices,
    read_object,
    text_of,
)
from voice_stack.client.upload import AudioFile, ThreadedStream, Upload, opened
from voice_stack.core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RequestTimeoutError,
    TooManyRequestsError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.core.http.page import About
from voice_stack.core.http.spool import SPOOLED
from voice_stack.core.telemetry.registry import observe_chat_stages
from voice_stack.language_model.model import is_near
from voice_stack.utils.language import find_language

CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 120.0
"""Between two bytes: so long a small machine may take for a long recording."""
LOOK_TIMEOUT_S = 2.0
KEEP_ALIVE_S = 60.0
"""Our servers keep an idle connection for 75 s."""
Kind = Literal["ASR", "TTS"]
_SUFFIXES = {
    b"RIFF": ".wav",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"OggS": ".ogg",
    b"fLaC": ".flac",
    b"\x1aE\xdf": ".webm",
}
_FILES = (b"RIFF", b"ID3", b"OggS", b"fLaC")
_NO_SAMPLES = "The TTS server (CHAT_TTS_URL) gave a file, where samples are asked for with response_format=pcm"
_BROKEN = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)
_REFUSALS: Mapping[int, type[VoiceStackError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: PayloadTooLargeError,
    429: TooManyRequestsError,
}
"""Other statuses of 4xx become a 400."""
_logger = getLogger(__name__)
ItemT = TypeVar("ItemT", Model, Voice)


class SpeechServers:
    """The two servers of the settings; `close` it at the end.

    Connections are kept for the next turn; proxies of the environment are used for hosts of the internet alone. Where a
    server refuses, its error is raised as it is: status, message, param and code. Where it cannot be reached or fails,
    that is an `UpstreamError`, which names the setting and no address.

    Args:
        settings: Where they are, and their keys; without one the caller's own is passed on.
    """

    def __init__(self, settings: ChatSettings) -> None:
        asr, tts = map(settings.split_address, (settings.asr_url, settings.tts_url))
        self._roots: dict[Kind, str] = {"ASR": asr[0], "TTS": tts[0]}
        self._urls: dict[Kind, str] = {"ASR": "".join(asr), "TTS": "".join(tts)}
        asr_key, tts_key = settings.asr_key.get_secret_value(), settings.tts_key.get_secret_value()
        self._keys: dict[Kind, str] = {"ASR": asr_key, "TTS": tts_key}
        self._textual: set[str] = set()
        """Models whose server gives nothing but text."""
        self._http = httpx2.AsyncClient(
            headers={"user-agent": "voice-stack"},
            timeout=httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(max_keepalive_connections=32, keepalive_expiry=KEEP_ALIVE_S),
            mounts={
                f"all://{url.netloc.decode()}": None
                for url in map(httpx2.URL, self._urls.values())
                if is_near(url.host)
            },
        )

    async def close(self) -> None:
        """End what is still being asked."""
        await self._http.aclose()

    async def transcribe(
        self,
        file: AudioFile,
        caller: Caller,
        *,
        language: str | None = None,
        prompt: str | None = None,
        model: str = "whisper-1",
    ) -> Heard:
        """What is said in a recording; where the server gives text alone, nothing is known of its confidence.

        Args:
            file: A path, the bytes of a file, or a file open for binary reading, which is not read into memory.
            caller: Who asks.
            language: Spoken, ISO 639-1; found if absent.
            prompt: Names, spelling, style.
            model: Of the ASR server.

        Raises:
            VoiceStackError: As above; `InvalidRequestError` with the param `file` if there is no sound in it.
        """
        begun_at = perf_counter()
        fields = {"model": model, "language": language, "prompt": prompt}
        form = {name: value for name, value in fields.items() if value is not None}
        with opened(file) as upload, self._explaining("ASR"):
            assert upload is not None
            if model in self._textual:
                heard = await self._hear(upload, form | {"response_format": "json"}, caller)
            else:
                try:
                    heard = await self._hear(upload, form | {"response_format": "verbose_json"}, caller)
                except ApiError as error:
                    if not (_is_about_format(error) and upload.can_resend):
                        raise
                    heard = await self._hear(upload, form | {"response_format": "json"}, caller)
                    self._textual.add(model)
        observe_chat_stages({"stt": perf_counter() - begun_at})
        return heard

    async def speak(
        self, text: str, voice: VoiceChoice, caller: Caller, *, ignored: set[str] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Say a text; closing the generator ends the work at the other side.

        Args:
            text: What to say.
            voice: How.
            caller: Who asks.
            ignored: Takes the names of the fields that change nothing there.

        Yields:
            s16le, mono, 24 kHz, as it is spoken; whole samples.

        Raises:
            VoiceStackError: As above.
        """
        fields = {"model": voice.model, "input": text, "voice": voice.voice, "response_format": "pcm"}
        optional = {"language": voice.language, "speed": None if voice.speed == 1 else voice.speed}
        optional |= {"instructions": voice.instructions or None, "emotion": voice.emotion or None}
        optional |= {"emotion_strength": voice.emotion_strength if voice.emotion else None}
        body = fields | {name: value for name, value in optional.items() if value is not None}
        with self._explaining("TTS"):
            response = await self._ask("TTS", "/audio/speech", caller, json=body)
            async with aclosing(response):
                if ignored is not None:
                    names = response.headers.get("x-ignored-fields", "").split(",")
                    ignored.update(unquote(name.strip()) for name in names if name.strip())
                rest, is_first = b"", True
                with receiving(response):
                    async for chunk in response.aiter_bytes():
                        if is_first and chunk.startswith(_FILES):
                            raise UpstreamError(_NO_SAMPLES)
                        samples, is_first = rest + chunk, False
                        whole = len(samples) & ~1
                        rest = samples[whole:]
                        if whole:
                            yield samples[:whole]

    @asynccontextmanager
    async def open_speech(self, body: Mapping[str, object], caller: Caller) -> AsyncIterator[httpx2.Response]:
        """A speech in the form that is asked for, with what the server tells of it, while the context lasts.

        Args:
            body: As `/v1/audio/speech` takes it.
            caller: Who asks.

        Raises:
            VoiceStackError: As above, also while it is read.
        """
        with self._explaining("TTS"):
            response = await self._ask("TTS", "/audio/speech", caller, json=body)
            async with aclosing(response):
                with receiving(response):
                    yield response

    async def list_voices(self, caller: Caller) -> list[Voice]:
        """The voices of the TTS server, if it is one of ours.

        Raises:
            VoiceStackError: As above.
        """
        return await self._list("/audio/voices", parse_voices, caller)

    async def list_models(self, caller: Caller) -> list[Model]:
        """The models of the TTS server.

        Raises:
            VoiceStackError: As above.
        """
        return await self._list("/models", parse_models, caller)

    async def look(self, kind: Kind) -> tuple[str | None, bool]:
        """A server's engine, if it is one of ours, and whether it takes work; asked once, and nothing is raised."""
        root = self._roots[kind]
        try:
            health = await self._http.get(f"{root}/health", timeout=LOOK_TIMEOUT_S)
            ready = await self._http.get(f"{root}/ready", timeout=LOOK_TIMEOUT_S)
            engine = read_object(health, lambda data: optional_text_of(data, "engine"))
        except httpx2.RequestError:
            return None, False
        except InvalidResponseError:  # somebody else's
            engine = None
        return engine, max(health.status_code, ready.status_code) < 500

    async def read_features(self) -> dict[str, JsonValue]:
        """What the two servers tell their pages that they can do; nothing of one that is away or somebody else's."""
        found: dict[str, JsonValue] = {}
        for told in await asyncio.gather(*map(self._read_features, self._roots.values())):
            found.update(told)
        return found

    async def _read_features(self, root: str) -> dict[str, JsonValue]:
        with suppress(httpx2.RequestError, ValidationError):
            answer = await self._http.get(f"{root}/page/about.json", timeout=LOOK_TIMEOUT_S)
            if answer.status_code == 200:
                return About.model_validate_json(answer.content).features
        return {}

    async def _list(self, path: str, parse: Callable[[httpx2.Response], list[ItemT]], caller: Caller) -> list[ItemT]:
        with self._explaining("TTS"):
            response = await self._ask("TTS", path, caller, method="GET")
            async with aclosing(response):
                with receiving(response):
                    await response.aread()
            return parse(response)

    async def _hear(self, upload: Upload, form: Mapping[str, str], caller: Caller) -> Heard:
        response = await self._ask("ASR", "/audio/transcriptions", caller, form=form, upload=upload)
        async with aclosing(response):
            with receiving(response):
                await response.aread()
        return read_object(response, _read_heard)

    async def _ask(
        self,
        kind: Kind,
        path: str,
        caller: Caller,
        *,
        method: str = "POST",
        json: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
        upload: Upload | None = None,
    ) -> httpx2.Response:
        """The answer of a server, its body unread; a kept connection that breaks before an answer is made anew once.

        Raises:
            VoiceStackClientError: There is none, or it is an error.
        """
        is_repeated = False
        while True:
            files = None if upload is None else {"file": (_name(upload), upload.form_part()[1])}
            request = self._http.build_request(
                method, self._urls[kind] + path, headers=self._headers(kind, caller), json=json, data=form, files=files
            )
            if isinstance(request.stream, httpx2.SyncByteStream):
                request.stream = ThreadedStream(request.stream)
            try:
                with sending(request):
                    response = await self._http.send(request, stream=True)
                break
            except ServerUnreachableError as error:
                is_lost = isinstance(error.__cause__, _BROKEN) and (upload is None or upload.can_resend)
                if is_repeated or not is_lost:
                    raise
            is_repeated = True
        if response.is_success:
            return response
        async with aclosing(response):
            with receiving(response):
                await response.aread()
        raise api_error(response)

    def _headers(self, kind: Kind, caller: Caller) -> dict[str, str]:
        key = self._keys[kind]
        authorization = f"Bearer {key}" if key else caller.authorization
        named = {"authorization": authorization, "x-request-id": caller.request_id}
        return {name: value for name, value in named.items() if value}

    @contextmanager
    def _explaining(self, kind: Kind) -> Iterator[None]:
        """Turn what goes wrong into the errors that clients are told."""
        try:
            yield
        except VoiceStackClientError as error:
            told = _explain(kind, error, has_key=bool(self._keys[kind]))
            if isinstance(told, UpstreamError):
                # Not the error itself: it may quote an answer, and so what somebody said.
                _logger.warning("%s (%s, %s)", told, self._urls[kind], type(error.__cause__ or error).__name__)
            raise told from error


def _name(upload: Upload) -> str:
    """A file name: OpenAI's servers look at its end."""
    is_named = "." in upload.filename and not upload.filename.endswith(SPOOLED)
    if is_named or not upload.can_resend:
        return upload.filename
    beginning = upload.read(4)
    upload.seek(0)
    return "speech" + next((suffix for mark, suffix in _SUFFIXES.items() if beginning.startswith(mark)), ".m4a")


def _is_about_format(error: ApiError) -> bool:
    """Whether a server knows no `verbose_json`."""
    told = f"{error.param} {error.message}".lower()
    return error.status in {400, 422} and ("response_format" in told or "verbose_json" in told)


def _read_heard(data: Mapping[str, object]) -> Heard:
    text = text_of(data, "text").strip()
    language = find_language(optional_text_of(data, "language") or "") if text else None
    usage = data.get("usage")
    counted_s = optional_number_of(usage, "seconds") if isinstance(usage, dict) else None
    duration_s = optional_number_of(data, "duration") or counted_s or 0.0
    confidence = _read_confidence(data.get("segments")) if text else 0.0
    segments = _read_segments(data.get("segments"))
    return Heard(text, language.code if language else None, confidence, duration_s, segments)


def _read_segments(segments: object) -> tuple[HeardSegment, ...]:
    found = [object_of(segment) for segment in segments] if isinstance(segments, list) else []
    return tuple(
        HeardSegment(text_of(one, "text").strip(), number_of(one, "start"), number_of(one, "end")) for one in found
    )


def _read_confidence(segments: object) -> float | None:
    """By the mean log-probability of the tokens, each segment by its length; None where a server does not tell it."""
    sums = [0.0, 0.0]
    for segment in segments if isinstance(segments, list) else ():
        data = object_of(segment)
        mean = optional_number_of(data, "avg_logprob")
        if mean is not None:
            start_s, end_s = optional_number_of(data, "start") or 0.0, optional_number_of(data, "end") or 0.0
            weight = max(end_s - start_s, 0.01)
            sums = [sums[0] + mean * weight, sums[1] + weight]
    return min(math.exp(sums[0] / sums[1]), 1.0) if sums[1] else None


def _explain(kind: Kind, error: VoiceStackClientError, *, has_key: bool) -> VoiceStackError:
    server = f"The {kind} server (CHAT_{kind}_URL)"
    if isinstance(error, ApiError):
        return _explain_answer(kind, error, has_key=has_key)
    if isinstance(error, NoAnswerInTimeError):
        return UpstreamError(f"{server} did not answer in time")
    if isinstance(error, IncompleteResponseError):
        return UpstreamError(f"{server} broke off in the middle of its answer")
    if isinstance(error, InvalidResponseError):
        return UpstreamError(f"{server} gave an answer that OpenAI's API does not have")
    return UpstreamError(f"{server} cannot be reached: is it running, and is the setting right?")


def _explain_answer(kind: Kind, error: ApiError, *, has_key: bool) -> VoiceStackError:
    server = f"The {kind} server (CHAT_{kind}_URL)"
    if error.status in {401, 403} and has_key:
        return UpstreamError(f"{server} does not take CHAT_{kind}_KEY: {error.message}")
    if error.status in {404, 405} and error.type is None:
        return UpstreamError(f"{server} does not have OpenAI's API there: is the setting right?")
    if error.status == OverloadedError.status:
        return OverloadedError(error.message, param=error.param, code=error.code, retry_after_s=error.retry_after_s)
    if not 400 <= error.status < 500:
        told = f"{server} failed with status {error.status}: {error.message}"
        return UpstreamError(told, retry_after_s=error.retry_after_s)
    refusal = _REFUSALS.get(error.status, InvalidRequestError)
    return refusal(error.message, param=error.param, code=error.code, retry_after_s=error.retry_after_s)
