# Made from async_client.py by scripts/make_sync_client: do not edit.
# ruff: noqa: SIM117, UP028 - what is two statements with asyncio could be one here
"""The client for programs without an event loop."""

import os
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar, Unpack

import httpx2

from voice_stack.client.calls import Call, body_text, recognition, speech
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
from voice_stack.client.jobs import (
    FIRST_POLL_S,
    MAX_OUTAGE_S,
    MAX_POLL_S,
    POLL_GROWTH,
    Job,
    JobFailedError,
    OnProgress,
    is_away,
    parse_job,
    parse_jobs,
)
from voice_stack.client.listening import TRANSCRIPT_OF, ListeningTalk, LiveEvent
from voice_stack.client.live import Pieces, Socket, SpeechTalk
from voice_stack.client.options import (
    SERVERS,
    AlignmentOptions,
    AudioFormat,
    JobOptions,
    ListenOptions,
    Server,
    SpeechOptions,
    StreamOptions,
    TimedTranscriptionOptions,
    TranscriptFormat,
    TranscriptionOptions,
    TranslationOptions,
    VoiceOptions,
)
from voice_stack.client.results import (
    Alignment,
    Health,
    Model,
    Queue,
    Transcript,
    Voice,
    parse_alignment,
    parse_health,
    parse_models,
    parse_queue,
    parse_transcript,
    parse_transcript_text,
    parse_verbose,
    parse_voices,
)
from voice_stack.client.upload import AudioFile, format_of, opened, replacing

T = TypeVar("T")


class _Run(Protocol):
    def __call__(self, call: Call[T], /) -> T: ...


class Jobs:
    """Background jobs of the ASR server; every method raises `VoiceStackClientError`."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def submit(self, file: AudioFile, **options: Unpack[JobOptions]) -> Job:
        """Send a file; returns as soon as the server has it.

        Args:
            file: As for `transcribe`.
            **options: Those of `transcribe`, and translate, webhook_url.
        """
        form = {"background": "true"}
        return self._run(recognition(file, parse_job, JobOptions.__optional_keys__, form, **options))

    def get(self, job_id: str) -> Job:
        """How far a job is."""
        return self._run(Call("asr", f"/jobs/{job_id}", parse_job))

    def list(self, limit: int = 100) -> list[Job]:
        """The newest jobs, and the requests the server is working on, newest first."""
        return self._run(Call("asr", f"/jobs?limit={limit}", parse_jobs))

    def wait(self, job_id: str, on_progress: OnProgress | None = None, *, max_outage_s: float = MAX_OUTAGE_S) -> Job:
        """Wait until a job is completed, through restarts of the server.

        Args:
            job_id: Of a job submitted before, by this program or another.
            on_progress: Called with each state that is seen.
            max_outage_s: How long the server may be out of reach or busy, seconds, before its error is raised.

        Raises:
            JobFailedError: It failed or was cancelled.
        """
        away_since: float | None = None
        poll_s = FIRST_POLL_S
        while True:
            try:
                job = self.get(job_id)
            except VoiceStackClientError as error:
                away_since = time.monotonic() if away_since is None else away_since
                if not is_away(error) or time.monotonic() - away_since >= max_outage_s:
                    raise
            else:
                away_since = None
                if on_progress is not None:
                    on_progress(job)
                if job.status == "completed":
                    return job
                if job.is_over:
                    raise JobFailedError(job)
            time.sleep(poll_s)
            poll_s = min(poll_s * POLL_GROWTH, MAX_POLL_S)

    def result(self, job_id: str) -> Transcript:
        """The transcript of a completed job."""
        return self._run(Call("asr", f"/jobs/{job_id}/result?response_format=verbose_json", parse_transcript))

    def result_as(self, job_id: str, format: TranscriptFormat) -> str:  # noqa: A002 - the word callers look for
        """The transcript of a completed job as the text of a file."""
        return self._run(Call("asr", f"/jobs/{job_id}/result?response_format={format}", body_text))

    def cancel(self, job_id: str) -> None:
        """Cancel a job that is not over; remove one that is, with its result."""
        self._run(Call("asr", f"/jobs/{job_id}", lambda _response: None, "DELETE"))


class VoiceStackClient(Connection[httpx2.Client]):
    """Both servers, from blocking code; close it, or use it in a `with` statement.

    One client may be used from many threads at once. Every method raises `VoiceStackClientError`. Where pieces come,
    the request goes out when the first is asked for; leave early with `.close()`, or use `contextlib.closing`.
    """

    _http_class = httpx2.Client

    @cached_property
    def jobs(self) -> Jobs:
        """Long transcriptions that go on without a connection, and what the ASR server is doing."""
        return Jobs(self._run)

    def transcribe(self, file: AudioFile, **options: Unpack[TimedTranscriptionOptions]) -> Transcript:
        """Turn speech into text with its times.

        Args:
            file: A path, the bytes of a file, or a file open for binary reading. It is never read whole into memory.
            **options: model, language, prompt, temperature, word_timestamps, target_language, original, request_id; and
                who speaks: diarize, num_speakers, min_speakers, max_speakers, known_speakers.
        """
        return self._run(recognition(file, parse_transcript, TimedTranscriptionOptions.__optional_keys__, **options))

    def transcribe_as(
        self,
        file: AudioFile,
        format: TranscriptFormat,  # noqa: A002 - the word that callers look for
        **options: Unpack[TranscriptionOptions],
    ) -> str:
        """Turn speech into the text of a file, subtitles for example, exactly as the server sends it.

        Args:
            file: As for `transcribe`.
            format: json, text, srt, verbose_json, vtt, diarized_json, tsv, jsonl or lrc.
            **options: model, language, prompt, temperature, request_id; those of who speaks, as for `transcribe`.
        """
        form = {"response_format": format}
        return self._run(recognition(file, body_text, TranscriptionOptions.__optional_keys__, form, **options))

    def transcribe_verbose(self, file: AudioFile, **options: Unpack[TranscriptionOptions]) -> dict[str, object]:
        """Turn speech into all that is known of it, as `/audio/transcriptions/verbose` shows it.

        That is every segment with its words, their probabilities and speakers; `fallback` and `fallback_model` tell
        what was done in the second-best way.

        Args:
            file: As for `transcribe`.
            **options: Those of `transcribe_as`.
        """
        call = recognition(file, parse_verbose, TranscriptionOptions.__optional_keys__, **options)
        return self._run(replace(call, path="/audio/transcriptions/verbose"))

    def transcribe_stream(self, file: AudioFile, **options: Unpack[StreamOptions]) -> Generator[str, None, None]:
        """Turn speech into text, piece by piece as it is recognised; the pieces joined are the whole text.

        Args:
            file: As for `transcribe`.
            **options: model, language, prompt, temperature, request_id.
        """
        form = {"response_format": "json", "stream": "true"}
        call = recognition(file, parse_transcript_text, StreamOptions.__optional_keys__, form, **options)
        response = self._send(call, is_streamed=True)
        with receiving(response):
            with closing(response):
                if not is_event_stream(response):
                    response.read()
                    yield call.parse(response)
                    return
                for item in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
                    delta = parse_text_event(item.data, response)
                    if delta is None:
                        return
                    if delta:
                        yield delta
        raise missing_end(response)

    def listen(self, sound: Pieces[bytes], **options: Unpack[ListenOptions]) -> Generator[LiveEvent, None, None]:
        """Turn speech into text while it is spoken, with the package `websockets`; ends with the last of the text.

        Args:
            sound: Samples as they are recorded: 16 bit, little-endian, mono, cut anywhere.
            **options: sample_rate, model, language, prompt, hotwords, turn_detection, silence_ms, threshold, eagerness,
                request_id.

        Raises:
            BadRequestError: The model does not know the language.
        """
        call = Call("asr", ListeningTalk.path(options), body_text, request_id=options.get("request_id"))
        return Socket(ListeningTalk(self._build_request(call, None), options)).items(sound)

    def session_transcript(self, session_id: str) -> Transcript:
        """What `listen` has heard, by the id in its first event; the server keeps it as it keeps jobs."""
        return self._run(Call("asr", f"{TRANSCRIPT_OF.format(session_id)}verbose_json", parse_transcript))

    def session_transcript_as(self, session_id: str, format: TranscriptFormat) -> str:  # noqa: A002 - as above
        """The same as the text of a file."""
        return self._run(Call("asr", f"{TRANSCRIPT_OF.format(session_id)}{format}", body_text))

    def translate(self, file: AudioFile, **options: Unpack[TranslationOptions]) -> Transcript:
        """Turn speech of any language into English text, or into text of a `target_language`.

        Args:
            file: As for `transcribe`.
            **options: target_language, original, language, model, prompt, temperature, request_id; those of who speaks,
                as for `transcribe`.
        """
        known = TranslationOptions.__optional_keys__ | {"translate"}
        return self._run(recognition(file, parse_transcript, known, translate=True, **options))

    def align(self, file: AudioFile, text: str, **options: Unpack[AlignmentOptions]) -> Alignment:
        """Find out when each word and sentence of a text is said; what is not said has no times.

        Args:
            file: As for `transcribe`.
            text: What is said.
            **options: model, language, request_id.
        """
        form = {"response_format": "json", "text": text}
        return self._run(recognition(file, parse_alignment, AlignmentOptions.__optional_keys__, form, **options))

    def synthesize(self, text: str, **options: Unpack[SpeechOptions]) -> bytes:
        """Turn text into the bytes of an audio file.

        Args:
            text: What to say.
            **options: voice, model, format, speed, instructions, emotion, emotion_strength, language, request_id.
        """
        return self._run(speech(text, **options))

    def synthesize_stream(self, text: str, **options: Unpack[SpeechOptions]) -> Generator[bytes, None, None]:
        """Turn text into audio, piece by piece as it is spoken; the pieces joined are the whole file.

        Args:
            text: What to say.
            **options: voice, model, format, speed, instructions, emotion, emotion_strength, language, request_id.
        """
        response = self._send(speech(text, **options), is_streamed=True)
        with receiving(response):
            with closing(response):
                for chunk in response.iter_bytes():
                    yield chunk

    def synthesize_chunks(self, text: str, **options: Unpack[SpeechOptions]) -> Generator[SpeechChunk, None, None]:
        """Turn text into audio that says how far it has come, for long texts.

        The chunks' audio joined is the whole file as it is streamed; the head in the last chunk, put in its place,
        states the length. Servers that do not know events send their audio alone.

        Args:
            text: What to say.
            **options: voice, model, format, speed, instructions, emotion, emotion_strength, language, request_id.
        """
        response = self._send(speech(text, **options, as_events=True), is_streamed=True)
        with receiving(response):
            with closing(response):
                if not is_event_stream(response):
                    for audio in response.iter_bytes():
                        yield SpeechChunk(audio)
                    return
                for item in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
                    if chunk := parse_speech_event(item.data, response):
                        yield chunk
                        if chunk.head is not None:
                            return
        raise missing_end(response, LAST_SPEECH_EVENT)

    def speak(self, text: Pieces[str], **options: Unpack[SpeechOptions]) -> Generator[bytes, None, None]:
        """Turn a text into audio while it is still being written, with the package `websockets`.

        Args:
            text: Its pieces, cut anywhere.
            **options: voice, model, format, speed, instructions, emotion, emotion_strength, language, request_id.
        """
        return Socket(SpeechTalk(self._build_request(speech("", **options), None))).items(text)

    def synthesize_to_file(
        self,
        text: str,
        path: str | os.PathLike[str],
        *,
        format: AudioFormat | None = None,  # noqa: A002 - the word that callers look for
        **options: Unpack[VoiceOptions],
    ) -> Path:
        """Turn text into an audio file, which is there whole or not at all.

        Args:
            text: What to say.
            path: Where to write; what is there is replaced.
            format: Taken from the suffix of `path` when not given.
            **options: voice, model, speed, instructions, emotion, emotion_strength, language, request_id.

        Raises:
            ValueError: No format given, and the suffix says none.
        """
        target = Path(path)
        audio_format = format or format_of(target)
        with replacing(target) as file:
            with closing(self.synthesize_stream(text, format=audio_format, **options)) as chunks:
                for chunk in chunks:
                    file.write(chunk)
        return target

    def voices(self, *, request_id: str | None = None) -> list[Voice]:
        """The voices of the TTS server."""
        return self._run(Call("tts", "/audio/voices", parse_voices, request_id=request_id))

    def models(
        self, servers: Iterable[Server] = SERVERS, *, request_id: str | None = None
    ) -> dict[Server, list[Model]]:
        """The models that the servers offer; name one server where only one runs."""
        return {server: self._run(Call(server, "/models", parse_models, request_id=request_id)) for server in servers}

    def queue(self, server: Server = "asr", *, request_id: str | None = None) -> Queue:
        """What a server has to do."""
        return self._run(Call(server, "/status", parse_queue, request_id=request_id))

    def health(self, *, request_id: str | None = None) -> dict[Server, Health]:
        """Whether each server answers, asked once, with at most 5 seconds of patience; it raises nothing."""
        return {server: self._probe(server, request_id) for server in SERVERS}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, call: Call[T]) -> T:
        return call.parse(self._send(call))

    def _probe(self, server: Server, request_id: str | None) -> Health:
        try:
            return self._run(Call(server, "/health", parse_health, request_id=request_id, is_probe=True))
        except VoiceStackClientError as error:
            return Health(is_up=False, reason=str(error), request_id=error.request_id)

    def _send(self, call: Call[T], *, is_streamed: bool = False) -> httpx2.Response:
        attempt = 0
        with opened(call.file) as upload:
            while True:
                try:
                    return self._attempt(self._build_request(call, upload), is_streamed=is_streamed)
                except VoiceStackClientError as error:
                    delay_s = self._retry_delay_s(call, error, attempt, upload)
                    if delay_s is None:
                        raise
                time.sleep(delay_s)
                attempt += 1

    def _attempt(self, request: httpx2.Request, *, is_streamed: bool) -> httpx2.Response:
        with sending(request):
            response = self._http.send(request, stream=True)
        if is_streamed and response.is_success:
            return response
        with receiving(response):
            with closing(response):
                response.read()
        if not response.is_success:
            raise api_error(response)
        return response
