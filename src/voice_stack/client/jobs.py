"""Background jobs: what the server says of one, and the calls, for both clients."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, Unpack

import httpx2

from voice_stack.client import jobs
from voice_stack.client.calls import Call, FormValue
from voice_stack.client.connection import is_retryable
from voice_stack.client.errors import ApiError, VoiceStackClientError
from voice_stack.client.options import JobOptions, TranscriptFormat
from voice_stack.client.results import (
    Transcript,
    number_of,
    object_of,
    optional_number_of,
    optional_text_of,
    parse_transcript,
    read_items,
    read_object,
    text_of,
)
from voice_stack.client.upload import AudioFile

OVER: Final = frozenset({"completed", "failed", "cancelled"})
FIRST_POLL_S = 0.2
MAX_POLL_S = 2.0
POLL_GROWTH = 1.5
MAX_OUTAGE_S = 120.0
"""A server that is started anew, its machine with it, is back by then; its jobs go on."""
_AWAY_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Job:
    """A transcription on the server; times are seconds since 1970, or seconds of audio.

    Attributes:
        id: For all further calls.
        status: queued, running, completed, failed or cancelled.
        percent: 0 to 100; None while not known, as `eta_s` is, the seconds that are left.
        queue_place: 1 is next; None for a job that does not wait.
        is_background: False for a request that somebody waits for on an open connection.
        language: Code of the spoken language, once completed.
        error: Why it failed.
    """

    id: str
    status: str
    created_at: float
    percent: float | None = None
    eta_s: float | None = None
    done_s: float = 0.0
    total_s: float | None = None
    queue_place: int | None = None
    filename: str | None = None
    is_background: bool = True
    language: str | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in OVER


class JobFailedError(VoiceStackClientError):
    """A job that was waited for failed or was cancelled; `job` is its last state."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} {job.status}: {job.error or 'somebody cancelled it'}")
        self.job = job


def require_completed(job: Job) -> Job:
    """The job, if it is completed.

    Raises:
        JobFailedError: It failed or was cancelled.
    """
    if job.status != "completed":
        raise JobFailedError(job)
    return job


def next_poll_s(poll_s: float) -> float:
    """The wait after a wait of `poll_s`."""
    return min(poll_s * POLL_GROWTH, MAX_POLL_S)


class Outage:
    """How long a server has been away, as far as a program sees it that asks again and again.

    Args:
        max_outage_s: A longer one is not waited for.
    """

    def __init__(self, max_outage_s: float) -> None:
        self._max_outage_s = max_outage_s
        self._since: float | None = None

    def begin(self, error: VoiceStackClientError, now_s: float) -> None:
        """A question went unanswered at this time.

        Raises:
            VoiceStackClientError: The error: it is not that of a server that is away, or it has been away too long.
        """
        self._since = now_s if self._since is None else self._since
        is_away = error.status in _AWAY_STATUSES if isinstance(error, ApiError) else is_retryable(error)
        if not is_away or now_s - self._since >= self._max_outage_s:
            raise error

    def end(self) -> None:
        """The server answers."""
        self._since = None


def submission(
    file: AudioFile,
    *,
    model: str = "whisper-1",
    language: str | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    word_timestamps: bool = False,
    translate: bool = False,
    webhook_url: str | None = None,
    request_id: str | None = None,
) -> Call[Job]:
    """A new job."""
    form: dict[str, FormValue] = {"model": model, "language": language, "prompt": prompt, "temperature": temperature}
    form |= {"response_format": "verbose_json", "background": "true", "webhook_url": webhook_url}
    if word_timestamps:
        form["timestamp_granularities[]"] = ["segment", "word"]
    path = "/audio/translations" if translate else "/audio/transcriptions"
    return Call("asr", path, parse_job, "POST", form=form, file=file, request_id=request_id)


def state(job_id: str) -> Call[Job]:
    """How far a job is."""
    return Call("asr", f"/jobs/{job_id}", parse_job)


def listing(limit: int) -> Call[list[Job]]:
    """The newest jobs."""
    return Call("asr", f"/jobs?limit={limit}", lambda response: read_items(response, "data", _job))


def result(job_id: str) -> Call[Transcript]:
    """The result with everything there is to know about it."""
    return Call("asr", f"/jobs/{job_id}/result?response_format=verbose_json", parse_transcript)


def rendered_result(job_id: str, response_format: TranscriptFormat) -> Call[str]:
    """The result as the text of a file."""
    return Call("asr", f"/jobs/{job_id}/result?response_format={response_format}", lambda response: response.text)


def removal(job_id: str) -> Call[None]:
    """Cancel a job that is not over, or remove one that is."""
    return Call("asr", f"/jobs/{job_id}", lambda _response: None, "DELETE")


def parse_job(response: httpx2.Response) -> Job:
    """Read a job object.

    Raises:
        InvalidResponseError: It is not one.
    """
    return read_object(response, _job)


def _job(data: Mapping[str, object]) -> Job:
    place = optional_number_of(data, "queue_place")
    error = data.get("error")
    return Job(
        id=text_of(data, "id"),
        status=text_of(data, "status"),
        created_at=number_of(data, "created_at"),
        percent=optional_number_of(data, "percent"),
        eta_s=optional_number_of(data, "eta_s"),
        done_s=optional_number_of(data, "done_s") or 0.0,
        total_s=optional_number_of(data, "total_s"),
        queue_place=None if place is None else int(place),
        filename=optional_text_of(data, "filename"),
        is_background=data.get("background") is not False,
        language=optional_text_of(data, "language"),
        error=None if error is None else text_of(object_of(error), "message"),
    )


T = TypeVar("T")
OnProgress = Callable[[Job], None]


class _Run(Protocol):
    def __call__(self, call: Call[T], /) -> T: ...


class _AsyncRun(Protocol):
    async def __call__(self, call: Call[T], /) -> T: ...


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
        return self._run(jobs.submission(file, **options))

    def get(self, job_id: str) -> Job:
        """How far a job is."""
        return self._run(jobs.state(job_id))

    def list(self, limit: int = 100) -> list[Job]:
        """The newest jobs, and the requests the server is working on, newest first."""
        return self._run(jobs.listing(limit))

    def wait(self, job_id: str, on_progress: OnProgress | None = None, *, max_outage_s: float = MAX_OUTAGE_S) -> Job:
        """Wait until a job is completed, through restarts of the server.

        Args:
            job_id: Of a job submitted before, by this program or another.
            on_progress: Called with each state that is seen.
            max_outage_s: How long the server may be out of reach or busy, seconds, before its error is raised.

        Raises:
            JobFailedError: It failed or was cancelled.
        """
        outage = Outage(max_outage_s)
        poll_s = FIRST_POLL_S
        while True:
            try:
                job = self.get(job_id)
            except VoiceStackClientError as error:
                outage.begin(error, time.monotonic())
            else:
                outage.end()
                if on_progress is not None:
                    on_progress(job)
                if job.is_over:
                    return require_completed(job)
            time.sleep(poll_s)
            poll_s = next_poll_s(poll_s)

    def result(self, job_id: str) -> Transcript:
        """The transcript of a completed job."""
        return self._run(jobs.result(job_id))

    def result_as(self, job_id: str, format: TranscriptFormat) -> str:  # noqa: A002 - the word that callers look for
        """The transcript of a completed job as the text of a file."""
        return self._run(jobs.rendered_result(job_id, format))

    def cancel(self, job_id: str) -> None:
        """Cancel a job that is not over; remove one that is, with its result."""
        self._run(jobs.removal(job_id))


class AsyncJobs:
    """Background jobs of the ASR server, from asyncio; the methods are those of `Jobs`."""

    def __init__(self, run: _AsyncRun) -> None:
        self._run = run

    async def submit(self, file: AudioFile, **options: Unpack[JobOptions]) -> Job:
        """Send a file; returns as soon as the server has it."""
        return await self._run(jobs.submission(file, **options))

    async def get(self, job_id: str) -> Job:
        """How far a job is."""
        return await self._run(jobs.state(job_id))

    async def list(self, limit: int = 100) -> list[Job]:
        """The newest jobs, and the requests the server is working on, newest first."""
        return await self._run(jobs.listing(limit))

    async def wait(
        self, job_id: str, on_progress: OnProgress | None = None, *, max_outage_s: float = MAX_OUTAGE_S
    ) -> Job:
        """Wait until a job is completed; raises `JobFailedError` if it ends otherwise."""
        outage = Outage(max_outage_s)
        poll_s = FIRST_POLL_S
        while True:
            try:
                job = await self.get(job_id)
            except VoiceStackClientError as error:
                outage.begin(error, time.monotonic())
            else:
                outage.end()
                if on_progress is not None:
                    on_progress(job)
                if job.is_over:
                    return require_completed(job)
            await asyncio.sleep(poll_s)
            poll_s = next_poll_s(poll_s)

    async def result(self, job_id: str) -> Transcript:
        """The transcript of a completed job."""
        return await self._run(jobs.result(job_id))

    async def result_as(self, job_id: str, format: TranscriptFormat) -> str:  # noqa: A002 - as in `Jobs`
        """The transcript of a completed job as the text of a file."""
        return await self._run(jobs.rendered_result(job_id, format))

    async def cancel(self, job_id: str) -> None:
        """Cancel a job that is not over; remove one that is, with its result."""
        await self._run(jobs.removal(job_id))
