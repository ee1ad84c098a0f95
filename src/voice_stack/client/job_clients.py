"""`client.jobs`, for both clients."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeVar, Unpack

from voice_stack.client import jobs
from voice_stack.client.calls import Call
from voice_stack.client.errors import VoiceStackClientError
from voice_stack.client.jobs import FIRST_POLL_S, MAX_OUTAGE_S, Job, Outage, next_poll_s, require_completed
from voice_stack.client.options import JobOptions, TranscriptFormat
from voice_stack.client.results import Transcript
from voice_stack.client.upload import AudioFile

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
