"""The client for programs with an event loop (asyncio)."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from voice_stack.client import calls
from voice_stack.client.calls import Call
from voice_stack.client.connection import Connection
from voice_stack.client.errors import VoiceStackClientError, api_error, receiving, sending
from voice_stack.client.events import (
    LAST_SPEECH_EVENT,
    MAX_EVENT_BYTES,
    SpeechChunk,
    is_event_stream,
    missing_end,
    parse_speech_event,
    parse_text_event,
)
from voice_stack.client.jobs import AsyncJobs
from voice_stack.client.options import (
    SERVERS,
    AudioFormat,
    Server,
    SpeechOptions,
    TimedTranscriptionOptions,
    TranscriptFormat,
    TranscriptionOptions,
    TranslationOptions,
    VoiceOptions,
)
from voice_stack.client.results import Health, Model, Transcript, Voice, down
from voice_stack.client.upload import AudioFile, ThreadedStream, format_of, opened, replacing

T = TypeVar("T")


class AsyncVoiceStackClient(Connection[httpx2.AsyncClient]):
    """Both servers, from asyncio; close it, or use it in an `async with` statement.

    The methods are those of `VoiceStackClient`, with the same arguments, results and errors.
    """

    _http_class = httpx2.AsyncClient

    @cached_property
    def jobs(self) -> AsyncJobs:
        """Long transcriptions that go on without a connection, and what the ASR server is doing."""
        return AsyncJobs(self._run)

    async def transcribe(self, file: AudioFile, **options: Unpack[TimedTranscriptionOptions]) -> Transcript:
        """Turn speech into text with its times."""
        return await self._run(calls.transcription(file, **options))

    async def transcribe_as(
        self,
        file: AudioFile,
        format: TranscriptFormat,  # noqa: A002 - the word that callers look for
        **options: Unpack[TranscriptionOptions],
    ) -> str:
        """Turn speech into the text of a file, subtitles for example, exactly as the server sends it."""
        return await self._run(calls.rendered_transcription(file, format, **options))

    async def transcribe_stream(
        self, file: AudioFile, **options: Unpack[TranscriptionOptions]
    ) -> AsyncGenerator[str, None]:
        """Turn speech into text, piece by piece; leave early with `.aclose()`, or use `contextlib.aclosing`."""
        call = calls.streamed_transcription(file, **options)
        response = await self._send(call, is_streamed=True)
        with receiving(response):
            async with aclosing(response):
                if not is_event_stream(response):
                    await response.aread()
                    yield call.parse(response)
                    return
                async for item in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
                    event = parse_text_event(item.data, response)
                    if event.delta:
                        yield event.delta
                    if event.is_last:
                        return
        raise missing_end(response)

    async def translate(self, file: AudioFile, **options: Unpack[TranslationOptions]) -> Transcript:
        """Turn speech of any language into English text."""
        return await self._run(calls.translation(file, **options))

    async def synthesize(self, text: str, **options: Unpack[SpeechOptions]) -> bytes:
        """Turn text into the bytes of an audio file."""
        return await self._run(calls.speech(text, **options))

    async def synthesize_stream(self, text: str, **options: Unpack[SpeechOptions]) -> AsyncGenerator[bytes, None]:
        """Turn text into audio, piece by piece; leave early with `.aclose()`, or use `contextlib.aclosing`."""
        response = await self._send(calls.speech(text, **options), is_streamed=True)
        with receiving(response):
            async with aclosing(response):
                async for chunk in response.aiter_bytes():
                    yield chunk

    async def synthesize_chunks(self, text: str, **options: Unpack[SpeechOptions]) -> AsyncGenerator[SpeechChunk, None]:
        """Turn text into audio that says how far it has come; leave early with `.aclose()`."""
        response = await self._send(calls.speech(text, **options, as_events=True), is_streamed=True)
        with receiving(response):
            async with aclosing(response):
                if not is_event_stream(response):
                    async for audio in response.aiter_bytes():
                        yield SpeechChunk(audio)
                    return
                async for item in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
                    if chunk := parse_speech_event(item.data, response):
                        yield chunk
                        if chunk.head is not None:
                            return
        raise missing_end(response, LAST_SPEECH_EVENT)

    async def synthesize_to_file(
        self,
        text: str,
        path: str | os.PathLike[str],
        *,
        format: AudioFormat | None = None,  # noqa: A002 - the word that callers look for
        **options: Unpack[VoiceOptions],
    ) -> Path:
        """Turn text into an audio file, which is there whole or not at all."""
        target = Path(path)
        audio_format = format or format_of(target)
        with replacing(target) as file:
            async with aclosing(self.synthesize_stream(text, format=audio_format, **options)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
        return target

    async def voices(self, *, request_id: str | None = None) -> list[Voice]:
        """The voices of the TTS server."""
        return await self._run(calls.voices(request_id))

    async def models(
        self, servers: Iterable[Server] = SERVERS, *, request_id: str | None = None
    ) -> dict[Server, list[Model]]:
        """The models that the servers offer; name one server where only one runs."""
        return {server: await self._run(calls.models(server, request_id)) for server in servers}

    async def health(self, *, request_id: str | None = None) -> dict[Server, Health]:
        """Whether each server answers; raises nothing for one that is down."""
        return {server: await self._probe(calls.health(server, request_id)) for server in SERVERS}

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call[T]) -> T:
        return call.parse(await self._send(call))

    async def _probe(self, call: Call[Health]) -> Health:
        try:
            return await self._run(call)
        except VoiceStackClientError as error:
            return down(error)

    async def _send(self, call: Call[T], *, is_streamed: bool = False) -> httpx2.Response:
        attempt = 0
        with opened(call.file) as upload:
            while True:
                request = self._build_request(call, upload)
                if upload is not None and isinstance(request.stream, httpx2.SyncByteStream):
                    request.stream = ThreadedStream(request.stream)
                try:
                    return await self._attempt(request, is_streamed=is_streamed)
                except VoiceStackClientError as error:
                    delay_s = self._retry_delay_s(call, error, attempt, upload)
                    if delay_s is None:
                        raise
                await asyncio.sleep(delay_s)
                attempt += 1

    async def _attempt(self, request: httpx2.Request, *, is_streamed: bool) -> httpx2.Response:
        with sending(request):
            response = await self._http.send(request, stream=True)
        if is_streamed and response.is_success:
            return response
        with receiving(response):
            async with aclosing(response):
                await response.aread()
        if not response.is_success:
            raise api_error(response)
        return response
