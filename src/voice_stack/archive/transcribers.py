"""Who turns a recording into a transcript: a running server, or an engine process of our own."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voice_stack.archive.heard import Heard, Wanted, read_segments, read_verbose, second_best
from voice_stack.asr.rendering import render_verbose
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcript import Transcript
from voice_stack.client import (
    ApiError,
    AsyncVoiceStackClient,
    BadRequestError,
    Job,
    JobFailedError,
    VoiceStackClientError,
)
from voice_stack.core.errors import (
    ConfigurationError,
    EngineError,
    InvalidRequestError,
    KeyRefusedError,
    ModelLoadError,
    ModelNotFoundError,
    StorageFullError,
    TooManyRequestsError,
    UnsupportedValueError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.core.http.form import Form
from voice_stack.core.http.spool import SpooledFile
from voice_stack.utils.language import find_code

if TYPE_CHECKING:
    from voice_stack.asr.service import AsrService
    from voice_stack.asr.transcriber import Transcription

POLL_S = 0.2
BUSY_S = 15.0
"""A server that takes nothing now and does not say for how long is asked again after so many seconds."""
MAX_OUTAGE_S = 120.0
SMALL_BYTES = 4 << 20
"""So much is heard on an open connection, in batches with others; more goes as a background job, which outlives it."""
_WORDS = "timestamp_granularities"
"""What is at fault where a model gives no times of words."""
ShowProgress = Callable[[float | None, float | None, str], None]
"""Takes percent, seconds left, and what is waited for."""
Outcome = Literal["refused", "failed", "busy", "away", "stop"]


def outcome_of(error: VoiceStackError) -> Outcome:
    """What an error of a transcriber means for a recording.

    `refused`: the recording is at fault. `failed`: it may be. `busy` and `away`: the transcriber takes nothing now, or
    cannot be reached. `stop`: what is wanted, or the machine, is at fault, so each recording would end alike.
    """
    match error:
        case ConfigurationError() | ModelNotFoundError() | ModelLoadError() | KeyRefusedError() | StorageFullError():
            return "stop"
        case InvalidRequestError():
            return "refused" if error.param in {None, "file", "language"} else "stop"
        case UpstreamError():
            return "away"
        case _:
            return "busy" if error.retry_after_s is not None else "failed"


class Transcriber(ABC):
    """Hears recordings, many at once; lives on the event loop.

    Attributes:
        name: For people.
    """

    name: str

    @abstractmethod
    async def hear(self, path: Path, language: str, show: ShowProgress) -> Heard:
        """Turn a recording into a transcript.

        Args:
            path: Of the recording.
            language: The one spoken, where it is known of this recording; else empty.
            show: Told how far it is.

        Raises:
            VoiceStackError: It could not; `outcome_of` says what that means.
            OSError: The recording cannot be read.
        """

    @abstractmethod
    async def count_waiting(self) -> int:
        """How many jobs wait for its engines: 0 where it has use for more.

        Raises:
            VoiceStackError: It does not tell.
        """


class OwnEngine(Transcriber):
    """An engine process of our own."""

    name = "this machine"

    def __init__(self, settings: AsrSettings, wanted: Wanted, service: "AsrService") -> None:
        self._settings, self._wanted, self._service = settings, wanted, service

    async def hear(self, path: Path, language: str, show: ShowProgress) -> Heard:
        from voice_stack.asr.jobs.record import progress_of

        upload = SpooledFile(path, path.name, "", (await asyncio.to_thread(path.stat)).st_size)
        voices = tuple(SpooledFile(voice, voice.name, "", 0) for voice in (self._wanted.known or {}).values())
        transcription = await self._begin(Form(_form_fields(self._wanted, language), upload, voices))
        hearing = asyncio.create_task(transcription.gather())
        try:
            while not hearing.done():
                progress = progress_of(transcription)
                show(progress.percent, progress.eta_s, "")
                await asyncio.wait({hearing}, timeout=POLL_S)
        finally:
            hearing.cancel()
        # By the way that a server's answer takes: to the last digit it is the same transcript.
        body = render_verbose(hearing.result(), model="", speech_s=0.0, queue_s=0.0, run_s=0.0)
        return read_verbose(json.loads(body) | transcription.second_best(), self._wanted)

    async def _begin(self, form: Form, *, is_verbose: bool = True) -> "Transcription":
        """With all that the verbose route of a server asks for, which translations and some models do not have."""
        from voice_stack.asr.schemas import check_form

        task = self._wanted.task
        checked = check_form(form, task, self._settings, is_verbose=is_verbose and task == "transcribe")
        try:
            return await self._service.begin(self._service.models.resolve(checked.model), checked.request)
        except UnsupportedValueError as error:
            if error.param != _WORDS or not is_verbose:
                raise
        return await self._begin(form, is_verbose=False)

    async def count_waiting(self) -> int:
        return sum(int(str(engine["jobs_waiting"])) for engine in self._service.pool.status())


@asynccontextmanager
async def own_engine(settings: AsrSettings, wanted: Wanted) -> AsyncIterator[OwnEngine]:
    """Engine processes of our own, which end with the context.

    Raises:
        ConfigurationError: The engine is not there.
        ModelNotFoundError: The model is not there.
    """
    # What only a server needs is not waited for where one runs elsewhere.
    from voice_stack.asr.app import create_service

    service = create_service(settings)
    try:
        yield OwnEngine(settings, wanted, service)
    finally:
        await service.pool.close()
        await service.language_model.close()


def _form_fields(wanted: Wanted, language: str) -> dict[str, list[str]]:
    """The form that a client would send: read by the same checks."""
    single = {
        "model": wanted.model,
        "language": language or wanted.language,
        "prompt": wanted.prompt,
        "response_format": "verbose_json",
        "background": True,
        "temperature": wanted.temperature,
        "diarize": wanted.diarize,
        "num_speakers": wanted.num_speakers,
        "min_speakers": wanted.min_speakers,
        "max_speakers": wanted.max_speakers,
        "target_language": wanted.target,
        "original": wanted.original or None,
    }
    fields = {name: [str(value)] for name, value in single.items() if value is not None}
    return fields | ({"known_speaker_names": list(wanted.known)} if wanted.known else {})


class RunningServer(Transcriber):
    """A server that runs, here or elsewhere.

    Args:
        client: Of its address; it retries nothing: another server may be free.
        name: Its address.
        wanted: What every recording is to become.
        small_bytes: From this size on recordings go as background jobs.
        max_outage_s: How long a job is waited for while the server is out of reach, seconds.
    """

    def __init__(
        self,
        client: AsyncVoiceStackClient,
        name: str,
        wanted: Wanted,
        *,
        small_bytes: int = SMALL_BYTES,
        max_outage_s: float = MAX_OUTAGE_S,
    ) -> None:
        self.name = name
        self._client, self._wanted, self._max_outage_s = client, wanted, max_outage_s
        # A translation into English has no verbose route.
        self._small_bytes = small_bytes if wanted.task == "transcribe" else 0
        self._queued: set[str] = set()

    async def hear(self, path: Path, language: str, show: ShowProgress) -> Heard:
        size = (await asyncio.to_thread(path.stat)).st_size
        try:
            if size < self._small_bytes:
                try:
                    return await self._hear_at_once(path, language)
                except BadRequestError as error:
                    if error.param != _WORDS:
                        raise
                    self._small_bytes = 0  # its model gives no times of words, which that route shows
            return await self._hear_in_background(path, language, show)
        except VoiceStackClientError as error:
            raise translate(error) from error

    async def count_waiting(self) -> int:
        try:
            queue = await self._client.queue()
        except VoiceStackClientError as error:
            raise translate(error) from error
        return queue.jobs_waiting + len(self._queued)

    async def _hear_at_once(self, path: Path, language: str) -> Heard:
        wanted = self._wanted
        body = await self._client.transcribe_verbose(
            path,
            model=wanted.model,
            language=language or wanted.language,
            prompt=wanted.prompt,
            temperature=wanted.temperature,
            diarize=wanted.diarize,
            num_speakers=wanted.num_speakers,
            min_speakers=wanted.min_speakers,
            max_speakers=wanted.max_speakers,
            known_speakers=wanted.known or {},
            target_language=wanted.target,
            original=wanted.original,
        )
        return read_verbose(body, wanted)

    async def _hear_in_background(self, path: Path, language: str, show: ShowProgress) -> Heard:
        show(None, None, "sent")
        job = await self._submit(path, language)
        try:
            done = await self._client.jobs.wait(
                job.id, lambda job: self._note(job, show), max_outage_s=self._max_outage_s
            )
            lines = await self._client.jobs.result_as(job.id, "jsonl")
        finally:
            self._queued.discard(job.id)
            # What it was stopped for, or its result, matters more than the clean-up.
            with suppress(VoiceStackClientError):
                await self._client.jobs.cancel(job.id)
        segments, target = read_segments(lines), find_code(done.target_language or "") or ""
        # English may be the model's own work: then nothing else was said before it.
        is_translated = target != "en" or any(segment.original for segment in segments)
        transcript = Transcript(
            done.task or "transcribe",
            done.language or "und",
            1.0,
            done.total_s or 0.0,
            segments,
            done.warnings,
            self._wanted.diarize,
            target if is_translated else "",
        )
        return Heard(transcript, done.warnings + second_best(done.fallback, done.fallback_model))

    def _note(self, job: Job, show: ShowProgress) -> None:
        (self._queued.add if job.queue_place else self._queued.discard)(job.id)
        show(job.percent, job.eta_s, f"waits, place {job.queue_place}" if job.queue_place else job.status)

    async def _submit(self, path: Path, language: str) -> Job:
        wanted = self._wanted
        return await self._client.jobs.submit(
            path,
            model=wanted.model,
            language=language or wanted.language,
            prompt=wanted.prompt,
            temperature=wanted.temperature,
            word_timestamps=wanted.word_timestamps,
            translate=wanted.task == "translate",
            diarize=wanted.diarize,
            num_speakers=wanted.num_speakers,
            min_speakers=wanted.min_speakers,
            max_speakers=wanted.max_speakers,
            known_speakers=wanted.known or {},
            target_language=wanted.target,
            original=wanted.original,
        )


def translate(error: VoiceStackClientError) -> VoiceStackError:
    """What a client says of a server, as an error of ours."""
    if isinstance(error, JobFailedError):
        is_refused = error.job.error_type == "invalid_request_error"
        kind = InvalidRequestError if is_refused else EngineError
        return kind(error.job.error or f"the job was {error.job.status} by somebody")
    if not isinstance(error, ApiError):
        return UpstreamError(error.message)
    message = f"{error.status}: {error.message}"
    if error.status in {401, 403}:
        return KeyRefusedError(message)
    if error.status in {429, 503, 507}:
        return TooManyRequestsError(message, retry_after_s=error.retry_after_s or BUSY_S)
    if error.status in {502, 504}:
        return UpstreamError(message)
    if error.code == "model_not_found":
        return ModelNotFoundError(message)
    return InvalidRequestError(error.message, param=error.param) if error.status < 500 else EngineError(message)
