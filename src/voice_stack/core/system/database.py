"""What a server keeps in SQLite: one file of one process, whole transactions, put aside when it is damaged."""

import asyncio
import errno
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import explain_unkept

logger = logging.getLogger(__name__)

UNREADABLE = ".unreadable"
"""Ends the name of what is damaged: it waits for the operator."""
# The lock mode spares the shared memory, which other file systems than local ones do not have. What was deleted is
# gone: its bytes are overwritten, and its room is the disk's again.
_PRAGMAS = ("locking_mode = EXCLUSIVE", "auto_vacuum = FULL", "journal_mode = WAL", "secure_delete = ON")
_READING = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """One SQLite file; its work is done by one thread, in the order in which it was asked for.

    Args:
        path: Of the file, made when first needed. Its folder belongs to one process, which has the lock `.lock` in it.
        migrations: SQL from each version of the schema to the next; the first makes it.
        what: Is kept in it: `jobs`; for messages.
        setting: That names the folder.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, what: str, setting: str) -> None:
        self.path = path
        self._migrations, self._what, self._setting = migrations, what, setting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._lock = FileLock(path.parent / ".lock", timeout=0)
        self._connection: sqlite3.Connection | None = None

    @property
    def aside(self) -> Path:
        """Where a damaged file is put."""
        return self.path.with_name(self.path.name + UNREADABLE)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work in one transaction, which is undone if it raises.

        Raises:
            StorageFullError: The disk is full.
            VoiceStackError: Another process has the folder, or it cannot be used.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, lambda database: work(database, *args, **kwargs))

    async def close(self) -> None:
        """Finish what is being written; the folder is free for another process then."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)
        except sqlite3.Error as error:
            number = errno.ENOSPC if _is_unwritten(error) else errno.EIO
            raise self._explain(OSError(number, str(error))) from error
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> VoiceStackError:
        logger.error("%s are not kept in %s: %s", self._what, self.path.parent, error)
        return explain_unkept(error, self._what, self._setting)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire()
        except Timeout:
            raise VoiceStackError(
                f"Another server keeps its {self._what} in the same folder: give each its own {self._setting}.",
                code=f"{self._what}_dir_in_use",
            ) from None
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if _code(error) & 0xFF not in _DAMAGED:
                raise
            log_event(logger, logging.ERROR, "database put aside: it is damaged", file=self.aside, reason=str(error))
        # The log first: it must never be taken for that of the new file.
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists():
            log.replace(f"{self.aside}-wal")
        self.path.replace(self.aside)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)
        connection = sqlite3.connect(self.path)
        try:
            self._prepare(connection)
        except (sqlite3.Error, VoiceStackError):
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if (problem := _ask(connection, "quick_check(1)")) != "ok":
            raise sqlite3.DatabaseError(problem)
        version = int(_ask(connection, "user_version"))
        if version > len(self._migrations):
            raise VoiceStackError(f"A newer version of this server wrote the {self._what} ({self._setting}).")
        for number, script in enumerate(self._migrations[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release(force=True)


def _ask(connection: sqlite3.Connection, pragma: str) -> str:
    return str(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_unwritten(error: sqlite3.Error) -> bool:
    """Whether there was no room: for the data, or in whatever else SQLite writes, cuts and makes sure of meanwhile."""
    code = _code(error)
    return code == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and code not in _READING)


def _code(error: sqlite3.Error) -> int:
    """SQLite's code; that of damage where the error is ours."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
