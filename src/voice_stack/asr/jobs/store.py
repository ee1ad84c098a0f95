"""The background jobs of one server: kept in SQLite, each upload as a file, and how many fit, how long they stay.

JOBS_DIR/jobs.sqlite        records and results; of live sessions, turn by turn
JOBS_DIR/job_....upload     the audio of a job that is not over
JOBS_DIR/job_....voice0     the recording of the first known speaker that came with it
JOBS_DIR/....unreadable     a damaged database and its uploads; or a job whose record cannot be read: a folder
JOBS_DIR/job_.../           a job of a version that had no database: taken over at the start
"""

import json
import logging
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from voice_stack.asr.jobs.record import LIVE, JobRecord
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.errors import NotFoundError, StorageFullError, TooManyRequestsError, VoiceStackError
from voice_stack.core.ids import tell_other_replica
from voice_stack.core.logging import log_event
from voice_stack.core.system.database import UNREADABLE, Database

logger = logging.getLogger(__name__)

_MIGRATIONS = (
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, record TEXT NOT NULL, result BLOB)",
    "CREATE TABLE turns (session TEXT NOT NULL, segments BLOB NOT NULL); CREATE INDEX turns_of ON turns (session)",
)
_ALL_RECORDS = (
    "SELECT id, record, coalesce(length(result), (SELECT sum(length(segments)) FROM turns WHERE session = id)) "
    "FROM jobs"
)
_EARLIER = re.compile(r"job_[0-9a-f]{32}")
"""Folders of a version that had no database."""
_UPLOAD, _VOICE = ".upload", ".voice"
_RECORD = TypeAdapter(JobRecord)
_TRANSCRIPT = TypeAdapter(Transcript)
_SEGMENTS = TypeAdapter(tuple[Segment, ...])
_MIB = 1 << 20
_SHARE_RETRY_S = 60.0


class JobStore:
    """Every job that is kept, oldest first; lives on the event loop. Nothing is made before the first job comes."""

    def __init__(self, settings: AsrSettings) -> None:
        self.keep_s = settings.jobs_keep_h * 3600
        self._settings = settings
        self._folder = settings.jobs_dir.expanduser().absolute()
        self._database = Database(self._folder / "jobs.sqlite", _MIGRATIONS, what="jobs", setting="ASR_JOBS_DIR")
        # As in the database, but for what that had no room for.
        self._records: dict[str, JobRecord] = {}
        self._unsaved: set[str] = set()
        # Since when jobs are over, by a clock that never jumps: one that is set must not end or prolong their time.
        self._over_since: dict[str, float] = {}

    async def open(self) -> list[JobRecord]:
        """Read what the last server left, oldest first; jobs that were not over are queued again.

        Raises:
            VoiceStackError: Another server has the folder, or it cannot be used.
        """
        left = await self._database.run(self._load) if any(self._folder.glob("job*")) else []
        for record in sorted(left, key=lambda record: record.created_at):
            self._records[record.id] = record if record.is_over else replace(record, status="queued")
            if record.finished_at is not None:
                age_s = min(max(0.0, time.time() - record.finished_at), self.keep_s + 1)
                self._over_since[record.id] = time.monotonic() - age_s
        return [record for record in self._records.values() if record.task != LIVE]

    async def close(self) -> None:
        """Write what was not written; the folder is free for another server then."""
        await self.save_again()
        await self._database.close()

    async def add(self, record: JobRecord, spooled: Sequence[Path]) -> None:
        """Keep a new job; the spooled files move to where `paths` has them.

        Raises:
            StorageFullError: No room for a further job.
            TooManyRequestsError: Its owner has half of the room already.
            VoiceStackError: The folder cannot be used.
        """
        self._require_room(record)
        self._records[record.id] = record
        try:
            await self._database.run(self._insert, record, spooled)
        except VoiceStackError:
            del self._records[record.id]
            raise

    def require(self, job_id: str) -> JobRecord:
        """A job by its id.

        Raises:
            NotFoundError: There is none, or its time is over.
        """
        record = self.find(job_id)
        if record is None or record.task == LIVE:
            gone = f"There is no job {job_id[:80]!r}: it never was, was removed, or its time is over."
            place = tell_other_replica(job_id, self._settings.replica_name)
            raise NotFoundError(gone + place, code="job_not_found")
        return record

    def find(self, record_id: str) -> JobRecord | None:
        """A job or a live session by its id; None: there is none, or its time is over."""
        record = self._records.get(record_id)
        return None if record is None or self._is_expired(record) else record

    def newest(self) -> Iterator[JobRecord]:
        """All jobs, newest first."""
        jobs = (record for record in reversed(self._records.values()) if record.task != LIVE)
        return (record for record in jobs if not self._is_expired(record))

    def outdated(self) -> list[str]:
        """Ids of jobs whose time is over, and of finished ones that are too many or too big.

        Of those the oldest of whoever has most go first: nobody loses results because somebody else sends much.
        """
        over = [record for record in self._records.values() if record.is_over]
        gone = [record for record in over if self._is_expired(record)]
        kept = [record for record in over if not self._is_expired(record)]
        used = sum(record.kept_bytes for record in self._records.values()) - sum(record.kept_bytes for record in gone)
        while kept and (0 < self._settings.max_jobs < len(kept) or used > self._settings.max_jobs_mb * _MIB):
            owner, _ = Counter(record.owner for record in kept).most_common(1)[0]
            oldest = next(record for record in kept if record.owner == owner)
            kept.remove(oldest)
            gone.append(oldest)
            used -= oldest.kept_bytes
        return [record.id for record in gone]

    def places(self) -> dict[str, int]:
        """The jobs that wait and their places in the queue; 1 is next."""
        queued = (record.id for record in self._records.values() if record.status == "queued")
        return {job_id: place for place, job_id in enumerate(queued, start=1)}

    def paths(self, record: JobRecord) -> list[Path]:
        """Where a job's files lie until the job is over: its audio, then the recordings of known speakers."""
        recordings = (self._folder / f"{record.id}{_VOICE}{number}" for number in range(record.recordings))
        return [self._upload_path(record.id), *recordings]

    def _upload_path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{_UPLOAD}"

    def _drop_files(self, job_id: str) -> None:
        for path in (self._upload_path(job_id), *self._folder.glob(f"{job_id}{_VOICE}*")):
            path.unlink(missing_ok=True)

    async def save(self, record: JobRecord) -> None:
        """Replace a record; it reaches the disk as soon as that has room: no job fails for want of that alone.

        The upload of a job that is over without a result goes first: where its end could not be written, a restarted
        server has it as failed.
        """
        self._note(record)
        await self._write(record.id)

    async def complete(self, record: JobRecord, transcript: Transcript) -> None:
        """Keep a job's result; it is completed when disk and memory say so, not before.

        Raises:
            VoiceStackError: It cannot be kept.
        """
        done = replace(record, audio_s=round(transcript.duration_s, 3), language=transcript.language)
        done = replace(done, status="completed", finished_at=time.time(), warnings=transcript.warnings)
        self._note(await self._database.run(self._complete, done, transcript))

    async def keep_source(self, record: JobRecord, transcript: Transcript) -> None:
        """Keep what was said, before it is translated: it is there whatever becomes of that.

        Raises:
            VoiceStackError: It cannot be kept.
        """
        heard = replace(record, audio_s=round(transcript.duration_s, 3), language=transcript.language, has_source=True)
        self._note(await self._database.run(_insert_result, heard, transcript))

    async def save_again(self) -> None:
        """Write what the disk had no room for."""
        for job_id in list(self._unsaved):
            await self._write(job_id)

    async def load_result(self, job_id: str) -> Transcript:
        """The result of a completed job.

        Raises:
            VoiceStackError: It is damaged.
        """
        return await self._database.run(_load_result, job_id)

    async def append(self, session: JobRecord, segments: Sequence[Segment] = ()) -> JobRecord:
        """Keep a turn more of a live session, and its record as it is now; its time begins anew.

        Raises:
            VoiceStackError: It cannot be kept.
        """
        content = b""
        if segments:
            content = json.dumps([asdict(segment) for segment in segments], ensure_ascii=False).encode()
        session = replace(session, result_bytes=session.result_bytes + len(content))
        self._records[session.id], self._over_since[session.id] = session, time.monotonic()
        await self._database.run(_insert_turn, session, content)
        return session

    async def load_turns(self, session_id: str) -> tuple[Segment, ...]:
        """All that a live session heard, in the order in which its turns were complete.

        Raises:
            VoiceStackError: It is damaged.
        """
        return await self._database.run(_load_turns, session_id)

    async def remove(self, job_id: str) -> None:
        """Forget a job and all that is kept of it."""
        self._records.pop(job_id, None)
        self._over_since.pop(job_id, None)
        await self._write(job_id)

    def _note(self, record: JobRecord) -> None:
        self._records[record.id] = record
        if record.is_over:
            self._over_since.setdefault(record.id, time.monotonic())

    async def _write(self, job_id: str) -> None:
        """Make a job on disk what it is in memory; what fails is tried again by `save_again`."""
        try:
            await self._database.run(self._update, job_id, self._records.get(job_id))
            self._unsaved.discard(job_id)
        except VoiceStackError as error:
            self._unsaved.add(job_id)
            log_event(logger, logging.ERROR, "the state of a job is not kept yet", job=job_id, reason=error.message)

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
        used, most = sum(record.size_bytes for record in open_jobs), self._settings.max_jobs_mb * _MIB
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

    def _load(self, database: sqlite3.Connection) -> list[JobRecord]:
        for folder in self._folder.glob("job_*"):
            if _EARLIER.fullmatch(folder.name):
                self._take_over(database, folder)
        records = []
        for row in database.execute(_ALL_RECORDS).fetchall():
            try:
                records.append(_read_record(*row))
            except ValueError as error:
                self._put_aside(database, row[0], str(error))
        waiting = {record.id for record in records if not record.is_over}
        for upload in self._folder.glob(f"job_*{_UPLOAD}"):
            if upload.stem not in waiting and self._database.aside.exists():
                upload.replace(upload.with_suffix(UNREADABLE))
            elif upload.stem not in waiting:
                # The server died while the job was being taken, before it had said so to anybody, or when it was over.
                upload.unlink()
        for recording in self._folder.glob(f"job_*{_VOICE}*"):
            if recording.stem not in waiting:
                recording.unlink()
        return records

    def _take_over(self, database: sqlite3.Connection, folder: Path) -> None:
        """Make rows of a folder of an earlier version; whenever that breaks off, the next start goes on with it."""
        record, result, upload = folder / "job.json", folder / "result.json", folder / "upload"
        try:
            if record.exists():
                content = record.read_bytes(), result.read_bytes() if result.exists() else None
                database.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?)", (folder.name, *content))
                database.commit()
                if upload.exists():
                    upload.replace(self._upload_path(folder.name))
            shutil.rmtree(folder)
        except OSError as error:
            log_event(logger, logging.ERROR, "job not taken over", job=folder.name, reason=str(error))

    def _put_aside(self, database: sqlite3.Connection, job_id: str, reason: str) -> None:
        log_event(logger, logging.ERROR, "job put aside: its record cannot be read", job=job_id, reason=reason)
        aside = self._folder / f"{Path(job_id).name}{UNREADABLE}"
        aside.mkdir(mode=0o700, exist_ok=True)
        row = database.execute("SELECT record, result FROM jobs WHERE id = ?", (job_id,)).fetchone()
        for name, content in zip(("job.json", "result.json"), row, strict=True):
            if content is not None:
                (aside / name).write_bytes(content.encode() if isinstance(content, str) else content)
        if self._upload_path(job_id).exists():
            self._upload_path(job_id).replace(aside / "upload")
        database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def _insert(self, database: sqlite3.Connection, record: JobRecord, spooled: Sequence[Path]) -> None:
        try:
            for file, path in zip(spooled, self.paths(record), strict=True):
                shutil.move(file, path)
            database.execute("INSERT INTO jobs (id, record) VALUES (?, ?)", (record.id, _RECORD.dump_json(record)))
            database.commit()
        except (OSError, sqlite3.Error):
            self._drop_files(record.id)
            raise

    def _update(self, database: sqlite3.Connection, job_id: str, record: JobRecord | None) -> None:
        if record is None or record.is_over:
            self._drop_files(job_id)
        if record is None:
            database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
            database.execute("DELETE FROM turns WHERE session = ?", (job_id,))
            return
        database.execute("UPDATE jobs SET record = ? WHERE id = ?", (_RECORD.dump_json(record), job_id))
        if record.status != "completed" and not record.has_source:
            database.execute("UPDATE jobs SET result = NULL WHERE id = ? AND result IS NOT NULL", (job_id,))

    def _complete(self, database: sqlite3.Connection, record: JobRecord, transcript: Transcript) -> JobRecord:
        done = _insert_result(database, record, transcript)
        self._drop_files(record.id)
        return done


def _insert_result(database: sqlite3.Connection, record: JobRecord, transcript: Transcript) -> JobRecord:
    # The standard library's JSON keeps numbers that are none, which a transcript may hold.
    content = json.dumps(asdict(transcript), ensure_ascii=False).encode()
    kept = replace(record, result_bytes=len(content))
    row = _RECORD.dump_json(kept), content, record.id
    database.execute("UPDATE jobs SET record = ?, result = ? WHERE id = ?", row)
    database.commit()
    return kept


def _read_record(job_id: str, content: str | bytes, result_bytes: int | None) -> JobRecord:
    record = _RECORD.validate_json(content)
    if record.id != job_id:
        raise ValueError(f"it is the record of {record.id}")
    return replace(record, result_bytes=result_bytes or 0)


def _insert_turn(database: sqlite3.Connection, session: JobRecord, content: bytes) -> None:
    row = session.id, _RECORD.dump_json(session)
    database.execute("INSERT OR REPLACE INTO jobs (id, record) VALUES (?, ?)", row)
    if content:
        database.execute("INSERT INTO turns VALUES (?, ?)", (session.id, content))


def _load_turns(database: sqlite3.Connection, session_id: str) -> tuple[Segment, ...]:
    rows = database.execute("SELECT segments FROM turns WHERE session = ? ORDER BY rowid", (session_id,))
    try:
        return tuple(segment for (content,) in rows for segment in _SEGMENTS.validate_json(content))
    except ValidationError as error:
        log_event(logger, logging.ERROR, "transcript cannot be read", session=session_id, reason=str(error))
        raise VoiceStackError("The transcript of this session is damaged on the server's disk.") from None


def _load_result(database: sqlite3.Connection, job_id: str) -> Transcript:
    row = database.execute("SELECT result FROM jobs WHERE id = ?", (job_id,)).fetchone()
    try:
        return _TRANSCRIPT.validate_json(row[0] if row and row[0] else b"")
    except ValidationError as error:
        log_event(logger, logging.ERROR, "result cannot be read", job=job_id, reason=str(error))
        raise VoiceStackError("The result of this job is damaged on the server's disk; send the job again.") from None
