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

from voice_stack.core.errors import StorageFullError, VoiceStackError
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import explain_unkept

logger = logging.getLogger(__name__)

TOO_NEW = "written_by_newer_version"
"""Code of the error for a file that this version does not know."""
UNREADABLE = ".unreadable"
"""Ends the name of what is damaged: it waits for the operator."""
# What was deleted is gone: its bytes are overwritten, and its room is the disk's again.
_PRAGMAS = ("auto_vacuum = FULL", "journal_mode = WAL", "secure_delete = ON")
_READING = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
P = ParamSpec("P")
T = TypeVar("T")


class DatabaseFile:
    """One SQLite file, which one process has; opened by a thread that alone uses what it gets.

    Args:
        path: Of the file, made when it is opened.
        migrations: SQL from each version of the schema to the next; the first makes it.
        what: Is kept in it: `jobs`; for messages.
        setting: That names it or its folder.
        lock: Held by the process that has it.
        pragmas: Of the connection, beside those that all have.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], *, what: str, setting: str, lock: Path, pragmas: Sequence[str]
    ) -> None:
        self.path = path
        self._migrations, self._what, self._setting, self._pragmas = migrations, what, setting, pragmas
        self._lock = FileLock(lock, timeout=0, thread_local=False)

    @property
    def aside(self) -> Path:
        """Where a damaged file is put."""
        return self.path.with_name(self.path.name + UNREADABLE)

    def open(self) -> sqlite3.Connection:
        """Connect to it, with the schema of this version; a damaged one is put aside.

        Raises:
            VoiceStackError: Another process has it, or a newer version of this server wrote it: it is left as it is.
            sqlite3.Error, OSError: It cannot be used; `explain` says so to clients.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire()
        except Timeout:
            raise VoiceStackError(
                f"Another server keeps its {self._what} in the same place: give each its own {self._setting}.",
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

    def release(self) -> None:
        """Let another process have it, when its connection is closed."""
        self._lock.release(force=True)

    def explain(self, error: sqlite3.Error | OSError) -> VoiceStackError:
        """What a client is told of what SQLite or the system says; the log tells the operator where."""
        logger.error("%s are not kept in %s: %s", self._what, self.path.parent, error)
        if isinstance(error, OSError):
            return explain_unkept(error, self._what, self._setting)
        if _code(error) & 0xFF == sqlite3.SQLITE_READONLY:
            return StorageFullError(f"The server cannot write its {self._what} ({self._setting}): {error}.")
        number = errno.ENOSPC if _is_unwritten(error) else errno.EIO
        return explain_unkept(OSError(number, str(error)), self._what, self._setting)

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
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        version = int(_ask(connection, "user_version"))
        if version > len(self._migrations):
            message = f"A newer version of this server wrote the {self._what} ({self._setting})."
            raise VoiceStackError(message, code=TOO_NEW)
        if (problem := _ask(connection, "quick_check(1)")) != "ok":
            raise sqlite3.DatabaseError(problem)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        for number, script in enumerate(self._migrations[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")


class Database:
    """One SQLite file; its work is done by one thread, in the order in which it was asked for.

    Args:
        path: Of the file, made when first needed. Its folder belongs to one process, which has the lock `.lock` in it.
        migrations: SQL from each version of the schema to the next; the first makes it.
        what: Is kept in it: `jobs`; for messages.
        setting: That names the folder.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, what: str, setting: str) -> None:
        # The lock mode spares the shared memory, which other file systems than local ones do not have.
        pragmas = ("locking_mode = EXCLUSIVE",)
        lock = path.parent / ".lock"
        self._file = DatabaseFile(path, migrations, what=what, setting=setting, lock=lock, pragmas=pragmas)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._connection: sqlite3.Connection | None = None

    @property
    def aside(self) -> Path:
        """Where a damaged file is put."""
        return self._file.aside

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
                self._connection = self._file.open()
            with self._connection:
                return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            raise self._file.explain(error) from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._file.release()


def _ask(connection: sqlite3.Connection, pragma: str) -> str:
    return str(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_unwritten(error: sqlite3.Error) -> bool:
    """Whether there was no room: for the data, or in whatever else SQLite writes, cuts and makes sure of meanwhile."""
    code = _code(error)
    return code == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and code not in _READING)


def _code(error: sqlite3.Error) -> int:
    """SQLite's code; that of damage where the error is ours."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
