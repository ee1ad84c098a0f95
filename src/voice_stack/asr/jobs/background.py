"""Background jobs at work: a few at a time, begun again after a restart, and told about by webhook."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from voice_stack.asr.jobs.record import JobRecord, Status, Webhook, job_object
from voice_stack.asr.jobs.sessions import SessionTranscripts
from voice_stack.asr.jobs.store import JobStore
from voice_stack.asr.jobs.webhooks import check_allowed, check_webhook_url, deliver, parse_secret
from voice_stack.asr.schemas import Checked, check_form
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import ConflictError, EngineError, ShuttingDownError, VoiceStackError
from voice_stack.core.http.form import Form
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.ids import new_id
from voice_stack.core.logging import log_event, request_id_var

logger = logging.getLogger(__name__)

MAX_STARTS = 3
"""A job that was at work each time the server died is not begun a fourth time: it may be why."""
SWEEP_S = 60.0
JOBS_PER_REPLICA = 2
"""At work at once: while one is read and its end is written, the other keeps the engine busy."""


KeepSource = Callable[[Transcript], Awaitable[None]]


class BackgroundJobs:
    """All background jobs of one server; lives on the event loop.

    Args:
        settings: Those of the server.
        begin: Gives a checked request to an engine, and tells what was said before that is translated.

    Attributes:
        sessions: What live sessions heard, which is kept with the jobs.

    Raises:
        ConfigurationError: A setting of the webhooks does not fit.
    """

    def __init__(self, settings: AsrSettings, begin: Callable[[Checked, KeepSource], Awaitable[Transcription]]) -> None:
        self._settings, self._begin = settings, begin
        self._store = JobStore(settings)
        self.sessions = SessionTranscripts(self._store, settings.replica_name, is_on=settings.max_jobs > 0)
        self._secret = parse_secret(settings.webhook_secret.get_secret_value())
        self._allowed = check_allowed(settings.webhook_allowed)
        self._prefix = settings.public_prefix
        self._working: dict[str, Transcription] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lanes = asyncio.Semaphore(JOBS_PER_REPLICA * settings.replicas)
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with what the last server left."""
        self._sweeper = asyncio.create_task(self._sweep())
        try:
            left = await self._store.open()
        except VoiceStackError as error:
            log_event(logger, logging.WARNING, "earlier jobs are not taken up", reason=error.message)
            return
        for record in left:
            self._spawn(record.id, self._tell(record.id) if record.is_over else self._run(record.id))

    async def close(self) -> None:
        """Let go: what is not over stays on disk for the next server. Sessions that end are still kept."""
        stopped = [record.id for record in self._store.newest() if record.status == "running"]
        tasks = [*self._tasks.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for record in map(self._store.require, stopped):
            if not record.is_over:
                await self._store.save(replace(record, status="queued", starts=max(0, record.starts - 1)))

    async def close_store(self) -> None:
        """Keep nothing more; the folder is free for another server then."""
        await self._store.close()

    async def submit(self, checked: Checked, form: Form, owner: str) -> dict[str, object]:
        """Take a job of whoever `name_caller` gives; its upload moves into the folder of the jobs.

        Raises:
            UnsupportedValueError: The webhook may not be called.
            StorageFullError: No room for a further job.
            TooManyRequestsError: The owner has half of the room already.
        """
        webhook = Webhook(check_webhook_url(checked.webhook_url, self._allowed)) if checked.webhook_url else None
        record = JobRecord(
            id=new_id("job", self._settings.replica_name),
            created_at=time.time(),
            task=checked.request.task,
            fields=form.fields,
            filename=checked.file.filename,
            content_type=checked.file.content_type,
            size_bytes=checked.file.size + sum(file.size for file in form.small_files),
            recordings=len(form.small_files),
            request_id=request_id_var.get() or "",
            owner=owner,
            webhook=webhook,
        )
        await self._store.add(record, [checked.file.path, *(file.path for file in form.small_files)])
        self._spawn(record.id, self._run(record.id))
        await self._forget_old()
        return self.describe(record.id)

    def list(self, limit: int) -> list[dict[str, object]]:
        """The newest jobs, newest first."""
        places = self._store.places()
        return [self._describe(record, places) for record in islice(self._store.newest(), limit)]

    def count(self) -> dict[str, int]:
        """Jobs that are not over, by status."""
        statuses = Counter(record.status for record in self._store.newest())
        return {"queued": statuses["queued"], "running": statuses["running"]}

    def describe(self, job_id: str) -> dict[str, object]:
        """A job as an object.

        Raises:
            NotFoundError: There is no such job.
        """
        return self._describe(self._store.require(job_id), self._store.places())

    def _describe(self, record: JobRecord, places: Mapping[str, int]) -> dict[str, object]:
        return job_object(
            record,
            transcription=self._working.get(record.id),
            place=places.get(record.id),
            keep_s=self._store.keep_s,
            prefix=self._prefix,
        )

    async def result(self, job_id: str, *, is_source: bool = False) -> tuple[Transcript, Checked]:
        """The transcript of a completed job, and the request it answers.

        Args:
            job_id: Of the job.
            is_source: What was said is wanted, not its translation; a job that could not translate has it as well.

        Raises:
            NotFoundError: There is no such job.
            ConflictError: It is not completed; the code says what it is.
        """
        record = self._store.require(job_id)
        if is_source and not (record.has_source and record.is_over):
            raise ConflictError(f"{job_id} has nothing but its result: it is {record.status}", code="no_source")
        if record.status != "completed" and not is_source:
            why = f": {record.error['message']}" if record.error else ""
            raise ConflictError(f"{job_id} has no result, it is {record.status}{why}", code=f"job_{record.status}")
        transcript = await self._store.load_result(job_id)
        return transcript.source if is_source else transcript, self._read_form(record)

    async def cancel(self, job_id: str) -> dict[str, object]:
        """Cancel a job that is not over, remove one that is; returns the job, or that it is deleted.

        Raises:
            NotFoundError: There is no such job.
        """
        record = self._store.require(job_id)
        if record.is_over:
            await self._remove(job_id)
            return {"id": job_id, "object": "transcription.job", "deleted": True}
        self._stop(job_id)
        await self._end(job_id, "cancelled")
        self._spawn(job_id, self._tell(job_id))
        return self.describe(job_id)

    def _spawn(self, job_id: str, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(self._guard(self._store.require(job_id), work), name=job_id)
        self._tasks[job_id] = task

    async def _guard(self, record: JobRecord, work: Coroutine[object, object, None]) -> None:
        request_id_var.set(record.request_id or None)
        try:
            await work
        except VoiceStackError as error:
            log_event(logger, logging.ERROR, "job not brought to its end", job=record.id, reason=error.message)
        finally:
            if self._tasks.get(record.id) is asyncio.current_task():
                del self._tasks[record.id]

    async def _run(self, job_id: str) -> None:
        try:
            async with self._lanes:
                await self._work(job_id)
        except ShuttingDownError:
            return
        except Exception as error:  # the border of a job: logged, and shown in the job
            if not isinstance(error, VoiceStackError):
                logger.exception("job failed", exc_info=error)
            known = error if isinstance(error, VoiceStackError) else EngineError(f"the server failed: {error}")
            await self._end(job_id, "failed", known.body()["error"])
        finally:
            self._working.pop(job_id, None)
        await self._tell(job_id)

    async def _work(self, job_id: str) -> None:
        record = self._store.require(job_id)
        if record.starts >= MAX_STARTS:
            raise EngineError(f"The server died {record.starts} times while it worked on this job.")
        record = replace(record, status="running", starts=record.starts + 1, started_at=time.time())
        await self._store.save(record)
        if not all(path.is_file() for path in self._store.paths(record)):
            raise VoiceStackError("The upload of this job is gone from the server's disk; send it again.")
        checked = self._read_form(record)

        async def keep_source(source: Transcript) -> None:
            await self._store.keep_source(record, source)

        transcription = self._working[job_id] = await self._begin(checked, keep_source)
        transcript = await transcription.gather()
        done = replace(self._store.require(job_id), second_best=transcription.second_best())
        await self._store.complete(done, transcript)
        log_event(logger, logging.INFO, "job completed", job=job_id, **transcription.log_fields())

    async def _end(self, job_id: str, status: Status, error: dict[str, str | None] | None = None) -> None:
        record = self._store.require(job_id)
        await self._store.save(replace(record, status=status, error=error, finished_at=time.time()))

    async def _tell(self, job_id: str) -> None:
        webhook = self._store.require(job_id).webhook
        if webhook is None or webhook.status != "pending":
            return
        data = {name: value for name, value in self.describe(job_id).items() if name != "webhook"}
        event = {"type": f"transcription.{data['status']}", "timestamp": datetime.now(UTC).isoformat(), "data": data}

        async def note(state: Webhook) -> None:
            await self._store.save(replace(self._store.require(job_id), webhook=state))

        await deliver(webhook, f"msg_{job_id}", json.dumps(event).encode(), self._secret, note)

    def _stop(self, job_id: str) -> None:
        if task := self._tasks.pop(job_id, None):
            task.cancel()

    async def _remove(self, job_id: str) -> None:
        self._stop(job_id)
        await self._store.remove(job_id)

    async def _forget_old(self) -> None:
        for job_id in self._store.outdated():
            await self._remove(job_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self._forget_old()
            await self._store.save_again()

    def _read_form(self, record: JobRecord) -> Checked:
        """The form of a job, checked once more: by another version of the server, perhaps, or with other settings.

        Raises:
            InvalidRequestError: It does not fit any more.
        """
        path, *others = self._store.paths(record)
        upload = SpooledFile(path, record.filename, record.content_type, record.size_bytes)
        recordings = tuple(SpooledFile(other, "", "", 0) for other in others)
        return check_form(Form(record.fields, upload, recordings), record.task, self._settings)
