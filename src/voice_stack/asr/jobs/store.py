"""Background jobs on disk: one folder each, with the upload until the job is over, then with the result.

JOBS_DIR/job_.../job.json      the record, replaced as a whole
JOBS_DIR/job_.../upload        the audio
JOBS_DIR/job_.../result.json   the transcript
JOBS_DIR/job_....unreadable    a job whose record cannot be read, as it was
"""

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import ParamSpec, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from voice_stack.asr.jobs.record import JobRecord, is_job_id
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import StorageFullError, VoiceStackError
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

_RECORD = TypeAdapter(JobRecord)
_TRANSCRIPT = TypeAdapter(Transcript)
UNREADABLE = ".unreadable"
"""Ends the name of a folder whose record cannot be read: it waits for the operator, and is no job any more."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
P = ParamSpec("P")
T = TypeVar("T")


def default_jobs_dir() -> Path:
    """Where jobs are kept when `ASR_JOBS_DIR` is not set: the user's folder for state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "voice-stack" / "jobs"


class JobStore:
    """The folder of one server; nothing is made before the first job comes.

    All work is done by one thread, so writes reach the disk in the order in which they were asked for.

    Args:
        folder: Where jobs are kept; no other server may have it at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._lock = FileLock(self._folder / ".lock", timeout=0)

    def upload(self, job_id: str) -> Path:
        """Where a job's audio lies."""
        return self._folder / job_id / "upload"

    async def open(self) -> list[JobRecord]:
        """Take the folder if there is one, and read the jobs left by the last server, oldest first.

        Raises:
            VoiceStackError: Another server has the folder, or it cannot be read.
        """
        return await self._do(self._open)

    async def create(self, record: JobRecord, spooled: Path) -> None:
        """Keep a new job; the spooled file moves into its folder.

        Raises:
            StorageFullError: The disk is full.
            VoiceStackError: Another server has the folder, or it cannot be written.
        """
        await self._do(self._create, record, spooled)

    async def save(self, record: JobRecord) -> None:
        """Replace a job's record; what else there was goes first when the job is over without a result.

        So a failed or cancelled job never goes on after a restart, though its end may not have been written.
        """
        await self._do(self._save, record)

    async def complete(self, record: JobRecord, transcript: Transcript) -> int:
        """Keep the result, then the record that speaks of it; returns the result's size in bytes."""
        return await self._do(self._complete, record, transcript)

    async def load_result(self, job_id: str) -> Transcript:
        """The result of a completed job.

        Raises:
            VoiceStackError: It is gone from the disk, or damaged.
        """
        return await self._do(self._load_result, job_id)

    async def remove(self, job_id: str) -> None:
        """Delete all that is kept of a job."""
        await self._do(self._remove, job_id)

    async def close(self) -> None:
        """Finish what is being written and give the folder free."""
        await self._do(self._lock.release)
        self._thread.shutdown()

    def size_bytes(self, job_id: str) -> int:
        """Disk space of a job."""
        return sum(path.stat().st_size for path in (self._folder / job_id).glob("*"))

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            try:
                return work(*args, **kwargs)
            except OSError as error:
                raise self._explain(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _explain(self, error: OSError) -> VoiceStackError:
        logger.error("jobs are not kept in %s: %s", self._folder, error)
        if error.errno in _NO_ROOM:
            return StorageFullError("The server's disk has no room for this job (ASR_JOBS_DIR).")
        return VoiceStackError(f"The server cannot use its folder for jobs (ASR_JOBS_DIR): {error.strerror or error}.")

    def _own(self) -> None:
        if self._lock.is_locked:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire()
        except Timeout:
            raise VoiceStackError(
                f"Another server keeps its jobs in {self._folder}: give each server its own ASR_JOBS_DIR.",
                code="jobs_dir_in_use",
            ) from None

    def _open(self) -> list[JobRecord]:
        folders = [path for path in self._folder.glob("job_*") if is_job_id(path.name)]
        if not folders:
            return []
        self._own()
        records = [record for folder in folders if (record := self._read(folder)) is not None]
        return sorted(records, key=lambda record: record.created_at)

    def _read(self, folder: Path) -> JobRecord | None:
        try:
            record = _RECORD.validate_json((folder / "job.json").read_bytes())
            if record.id == folder.name:
                return record
            reason = f"it is the record of {record.id}"
        except FileNotFoundError:
            # The server died while the job was being taken, before it had said so to anybody.
            log_event(logger, logging.WARNING, "job removed: no record", job=folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        except (OSError, ValidationError) as error:
            reason = str(error)
        log_event(logger, logging.ERROR, "job put aside: its record cannot be read", job=folder.name, reason=reason)
        with contextlib.suppress(OSError):
            folder.rename(folder.with_name(folder.name + UNREADABLE))
        return None

    def _create(self, record: JobRecord, spooled: Path) -> None:
        self._own()
        folder = self._folder / record.id
        try:
            folder.mkdir(mode=0o700)
            shutil.move(spooled, folder / "upload")
            self._save(record)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _save(self, record: JobRecord) -> None:
        folder = self._folder / record.id
        if record.is_over and record.status != "completed":
            (folder / "upload").unlink(missing_ok=True)
            (folder / "result.json").unlink(missing_ok=True)
        _replace(folder / "job.json", _RECORD.dump_json(record))
        if record.is_over:
            (folder / "upload").unlink(missing_ok=True)

    def _complete(self, record: JobRecord, transcript: Transcript) -> int:
        # The standard library's JSON keeps numbers that are none, which a transcript may hold.
        content = json.dumps(asdict(transcript), ensure_ascii=False).encode()
        _replace(self._folder / record.id / "result.json", content)
        self._save(record)
        return len(content)

    def _load_result(self, job_id: str) -> Transcript:
        try:
            return _TRANSCRIPT.validate_json((self._folder / job_id / "result.json").read_bytes())
        except ValidationError as error:
            log_event(logger, logging.ERROR, "result cannot be read", job=job_id, reason=str(error))
            raise VoiceStackError(
                "The result of this job is damaged on the server's disk; send the job again."
            ) from None

    def _remove(self, job_id: str) -> None:
        shutil.rmtree(self._folder / job_id, ignore_errors=True)


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, power cuts included."""
    temporary = path.with_suffix(".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
