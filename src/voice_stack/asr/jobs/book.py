"""The background jobs of one server: their records in memory and on disk, how many fit, how long they stay."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from voice_stack.asr.jobs.record import JobError, JobRecord, Status, Webhook, unknown_job
from voice_stack.asr.jobs.store import JobStore, default_jobs_dir
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import StorageFullError, TooManyRequestsError, VoiceStackError
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

_MIB = 1 << 20
_SHARE_RETRY_S = 60.0


class JobBook:
    """Every job that is kept, oldest first; lives on the event loop.

    Args:
        settings: Those of the server.
    """

    def __init__(self, settings: AsrSettings) -> None:
        self.keep_s = settings.jobs_keep_h * 3600
        self._settings = settings
        self._store = JobStore(settings.jobs_dir or default_jobs_dir())
        self._records: dict[str, JobRecord] = {}
        self._sizes: dict[str, int] = {}
        self._unsaved: set[str] = set()
        # Since when jobs are over, by a clock that never jumps: one that is set must not end or prolong their time.
        self._over_since: dict[str, float] = {}

    async def open(self) -> list[JobRecord]:
        """Read what the last server left; jobs that were not over are queued again.

        Raises:
            VoiceStackError: The folder cannot be used.
        """
        for record in await self._store.open():
            self._sizes[record.id] = self._store.size_bytes(record.id)
            self._records[record.id] = record if record.is_over else replace(record, status="queued")
            if record.finished_at is not None:
                age_s = min(max(0.0, time.time() - record.finished_at), self.keep_s + 1)
                self._over_since[record.id] = time.monotonic() - age_s
        return list(self._records.values())

    async def close(self) -> None:
        """Finish what is being written; the folder is free for another server then."""
        await self._store.close()

    async def add(self, record: JobRecord, spooled: Path) -> None:
        """Keep a new job; the spooled file moves to it.

        Raises:
            StorageFullError: No room for a further job.
            TooManyRequestsError: Its owner has half of the room already.
            VoiceStackError: The folder cannot be used.
        """
        self._require_room(record)
        self._records[record.id], self._sizes[record.id] = record, record.size_bytes
        try:
            await self._store.create(record, spooled)
        except VoiceStackError:
            del self._records[record.id], self._sizes[record.id]
            raise

    def require(self, job_id: str) -> JobRecord:
        """A job by its id.

        Raises:
            NotFoundError: There is none, or its time is over.
        """
        record = self._records.get(job_id)
        if record is None or self._is_expired(record):
            raise unknown_job(job_id)
        return record

    def newest(self) -> Iterator[JobRecord]:
        """All jobs, newest first."""
        return (record for record in reversed(self._records.values()) if not self._is_expired(record))

    def outdated(self) -> list[str]:
        """Ids of jobs whose time is over, and of finished ones that are too many or too big.

        Of those the oldest of whoever has most go first: nobody loses results because somebody else sends much.
        """
        over = [record for record in self._records.values() if record.is_over]
        gone = [record for record in over if self._is_expired(record)]
        kept = [record for record in over if not self._is_expired(record)]
        used = sum(self._sizes.values()) - sum(self._sizes[record.id] for record in gone)
        while kept and (0 < self._settings.max_jobs < len(kept) or used > self._settings.max_jobs_mb * _MIB):
            owner, _ = Counter(record.owner for record in kept).most_common(1)[0]
            oldest = next(record for record in kept if record.owner == owner)
            kept.remove(oldest)
            gone.append(oldest)
            used -= self._sizes[oldest.id]
        return [record.id for record in gone]

    def places(self) -> dict[str, int]:
        """The jobs that wait and their places in the queue; 1 is next."""
        queued = (record.id for record in self._records.values() if record.status == "queued")
        return {job_id: place for place, job_id in enumerate(queued, start=1)}

    def upload_path(self, job_id: str) -> Path:
        """Where a job's audio lies until the job is over."""
        return self._store.upload(job_id)

    def require_upload(self, job_id: str) -> Path:
        """Where a job's audio lies.

        Raises:
            VoiceStackError: It is gone.
        """
        path = self.upload_path(job_id)
        if not path.is_file():
            raise VoiceStackError("The upload of this job is gone from the server's disk; send it again.")
        return path

    async def begin(self, job_id: str) -> None:
        """Note that the engine gets the job."""
        record = self.require(job_id)
        await self._save(replace(record, status="running", starts=record.starts + 1, started_at=time.time()))

    async def put_back(self, job_id: str) -> None:
        """Note that a job was stopped through no fault of its own."""
        record = self.require(job_id)
        await self._save(replace(record, status="queued", starts=max(0, record.starts - 1)))

    async def complete(self, job_id: str, transcript: Transcript) -> None:
        """Keep a job's result; it is completed when disk and memory say so, not before.

        Raises:
            VoiceStackError: It cannot be kept.
        """
        done = replace(self.require(job_id), audio_s=round(transcript.duration_s, 3), language=transcript.language)
        done = replace(done, status="completed", finished_at=time.time())
        self._sizes[job_id] = await self._store.complete(done, transcript)
        self._note(done)

    async def end(self, job_id: str, status: Status, error: JobError | None = None) -> None:
        """Note the end of a job without a result; where the disk cannot, a restarted server has it as failed."""
        self._sizes[job_id] = 0
        await self._save(replace(self.require(job_id), status=status, error=error, finished_at=time.time()))

    async def note_webhook(self, job_id: str, webhook: Webhook) -> None:
        """Keep how telling the end of a job went."""
        await self._save(replace(self.require(job_id), webhook=webhook))

    async def save_again(self) -> None:
        """Write the records that the disk had no room for."""
        for job_id in list(self._unsaved):
            self._unsaved.discard(job_id)
            if job_id in self._records:
                await self._save(self._records[job_id])

    async def load_result(self, job_id: str) -> Transcript:
        """The result of a completed job."""
        return await self._store.load_result(job_id)

    async def remove(self, job_id: str) -> None:
        """Forget a job and all that is kept of it."""
        self._records.pop(job_id, None)
        self._sizes.pop(job_id, None)
        self._over_since.pop(job_id, None)
        self._unsaved.discard(job_id)
        await self._store.remove(job_id)

    async def _save(self, record: JobRecord) -> None:
        """Keep a record in memory, and on disk as soon as that has room: no job fails for want of that alone."""
        self._note(record)
        try:
            await self._store.save(record)
            self._unsaved.discard(record.id)
        except VoiceStackError as error:
            self._unsaved.add(record.id)
            log_event(logger, logging.ERROR, "the state of a job is not kept yet", job=record.id, reason=error.message)

    def _note(self, record: JobRecord) -> None:
        self._records[record.id] = record
        if record.is_over:
            self._over_since.setdefault(record.id, time.monotonic())

    def _is_expired(self, record: JobRecord) -> bool:
        over_since = self._over_since.get(record.id)
        return over_since is not None and over_since + self.keep_s < time.monotonic()

    def _require_room(self, new: JobRecord) -> None:
        open_jobs = [record for record in self._records.values() if not record.is_over]
        count, limit = len(open_jobs), self._settings.max_jobs
        if count >= limit:
            raise StorageFullError(
                f"{count} jobs are not over yet, of at most {limit} (ASR_MAX_JOBS): wait, or cancel some with "
                "DELETE /jobs/{id}."
            )
        used, most = sum(self._sizes[record.id] for record in open_jobs), self._settings.max_jobs_mb * _MIB
        if used + new.size_bytes > most:
            raise StorageFullError(
                f"Jobs that are not over take {used} bytes of at most {most} (ASR_MAX_JOBS_MB) and this upload has "
                f"{new.size_bytes}: wait, or cancel some with DELETE /jobs/{{id}}."
            )
        own = [record.size_bytes for record in open_jobs if record.owner == new.owner]
        if own and (len(own) >= limit // 2 or sum(own) + new.size_bytes > most // 2):
            raise TooManyRequestsError(
                f"{len(own)} jobs of yours are not over yet, with {sum(own)} bytes; one client may have half of "
                f"{limit} jobs (ASR_MAX_JOBS) and of {most} bytes (ASR_MAX_JOBS_MB): wait until one is over.",
                retry_after_s=_SHARE_RETRY_S,
                code="too_many_jobs",
            )
