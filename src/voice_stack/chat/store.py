"""Conversations as they are kept: one SQLite file, each change committed when the call that makes it returns.

Each change is one statement of SQL, and so one transaction: nothing of another task comes in between, a task that is
cancelled leaves no half of it, and a server that is killed has all that it was told is kept.
"""
# ruff: noqa: S608 - names of tables and columns are our own, and all values are bound

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import aiosqlite

from voice_stack.chat.conversation import Message, Session
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.tables import (
    CONFIGURABLE,
    MESSAGE_COLUMNS,
    MIGRATIONS,
    TtsModel,
    Value,
    pack_json,
    pack_message,
    pack_session,
    read_message,
    read_session,
)
from voice_stack.core.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ShuttingDownError,
    VoiceStackError,
)
from voice_stack.core.ids import tell_other_replica
from voice_stack.core.logging import log_event
from voice_stack.core.system.database import DatabaseFile

T = TypeVar("T")
Order = Literal["asc", "desc"]
logger = logging.getLogger(__name__)

_DAY_S = 86_400.0
_ROWS_AT_ONCE = 64
# Of a power cut the last messages may be the victims, never the file; everything else, a killed server too, none.
_PRAGMAS = ("synchronous = NORMAL", "foreign_keys = ON")
_ADD_SESSION = (
    "INSERT INTO voice_chat_sessions (id, conversation_id, user_id, state, started_at, updated_at, config) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"
)
_FIND_CONVERSATION = (
    "SELECT * FROM voice_chat_sessions WHERE conversation_id = ? AND coalesce(user_id, '') = coalesce(?, '')"
)
_COLUMNS = tuple(MESSAGE_COLUMNS.values())
_ADD_MESSAGES = f"INSERT INTO voice_chat_messages (conversation_id, {', '.join(_COLUMNS)}) VALUES "
_MESSAGE_ROW = f"((SELECT conversation_id FROM voice_chat_sessions WHERE id = ?), {', '.join('?' for _ in _COLUMNS)})"
_OR_REPLACE = " ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _COLUMNS if name not in {"id", "session_id", "created_at"}
)
_TOLD = ("status", "error_message", "voices", "last_verified_date", "updated_at")
_SAVE_TTS_MODEL = (
    f"INSERT INTO tts_models (id, model_name, created_at, {', '.join(_TOLD)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _TOLD)}"
)
_TELL_CUT_OFF = "UPDATE voice_chat_messages SET status = 'failed' WHERE status = 'in_progress' RETURNING id"
_REST = (
    "UPDATE voice_chat_sessions SET state = 'idle' WHERE state IN ('listening', 'processing', 'thinking', 'speaking')"
)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and whether there is more behind."""

    items: tuple[T, ...]
    has_more: bool


class ConversationStore:
    """Sessions and their messages; lives on the event loop, between `open` and `close`.

    All methods raise StorageFullError where the disk has no room or cannot be written, and other VoiceStackErrors
    where the file cannot be used.
    """

    def __init__(self, settings: ChatSettings) -> None:
        path = settings.db.expanduser().absolute()
        lock = path.with_name(f".{path.name}.lock")
        self._file = DatabaseFile(
            path, MIGRATIONS, what="conversations", setting="CHAT_DB", lock=lock, pragmas=_PRAGMAS
        )
        self._keep_s, self._replica = settings.keep_days * _DAY_S, settings.replica_name
        self._connection: aiosqlite.Connection | None = None
        self._refusal: VoiceStackError | None = None
        self._opening = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file; replies that a killed server was giving are failed.

        Raises:
            VoiceStackError: Another server has the file, a newer version wrote it, or it cannot be used.
        """
        self._refusal = None
        try:
            # Its thread keeps the process alive until it is closed.
            self._connection = await aiosqlite.Connection(self._open_file, _ROWS_AT_ONCE)
            self._check_open()
            await self._run(_TELL_CUT_OFF)
            await self._run(_REST)
            await self._sweep()
        except VoiceStackError as error:
            self._refusal = error
            await self._let_go()
            raise
        except BaseException:
            await self._let_go()
            raise
        if self._keep_s and self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep_daily())

    async def close(self) -> None:
        """Finish what is being written; another server may have the file then."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._refusal = None
        await self._let_go()

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        self._file.release()

    async def add_session(self, session: Session) -> None:
        """Keep a new session.

        Raises:
            ConflictError: There is one for its conversation and user already.
        """
        if not await self._run(_ADD_SESSION, pack_session(session)):
            raise ConflictError(
                f"conversation_id={(session.conversation_id or '')[:100]!r} has a session already, with that user_id: "
                "go on with it, GET it with both in the query.",
                param="conversation_id",
                code="conversation_exists",
            )

    async def claim_conversation(self, session: Session) -> Session:
        """The session of a session's `conversation_id` and `user_id`; if there is none, it is kept as that."""
        await self._run(_ADD_SESSION, pack_session(session))
        rows = await self._run(_FIND_CONVERSATION, (session.conversation_id, session.user_id))
        if not rows:
            raise self._no_session(session.id)
        return read_session(rows[0])

    async def require_session(self, session_id: str) -> Session:
        """The session of an id.

        Raises:
            NotFoundError: There is none.
        """
        rows = await self._run("SELECT * FROM voice_chat_sessions WHERE id = ?", (session_id,))
        if not rows:
            raise self._no_session(session_id)
        return read_session(rows[0])

    async def list_sessions(
        self,
        limit: int,
        after: str | None = None,
        *,
        order: Order = "desc",
        conversation_id: str | None = None,
        user_id: str | None = None,
    ) -> Page[Session]:
        """Sessions by when they were made, the newest first; `after` is the last one of the page before.

        Raises:
            InvalidRequestError: There is no session `after`.
        """
        named = {"conversation_id": conversation_id, "user_id": user_id}
        wanted = {column: value for column, value in named.items() if value is not None}
        rows = await self._list("voice_chat_sessions", wanted, limit, after, order)
        return Page(tuple(read_session(row) for row in rows[:limit]), len(rows) > limit)

    async def update_session(self, session_id: str, changes: Mapping[str, object]) -> Session:
        """Change attributes of a session, and no others; None resets one.

        Raises:
            NotFoundError: There is no such session.
        """
        sets, values = ["updated_at = ?"], list[Value]([time.time()])
        if "state" in changes:
            sets.append("state = ?")
            values.append(str(changes["state"]))
        if config := [(name, value) for name, value in changes.items() if name in CONFIGURABLE]:
            places = ", ".join(f"'$.{name}', json(?)" for name, _ in config)
            sets.append(f"config = json_set(config, {places})")
            values.extend(pack_json(value) for _, value in config)
        statement = f"UPDATE voice_chat_sessions SET {', '.join(sets)} WHERE id = ? RETURNING *"
        rows = await self._run(statement, (*values, session_id))
        if not rows:
            raise self._no_session(session_id)
        return read_session(rows[0])

    async def delete_session(self, session_id: str) -> None:
        """Remove a session and its messages: their bytes are overwritten.

        Raises:
            NotFoundError: There is no such session.
        """
        if not await self._delete("id = ?", session_id):
            raise self._no_session(session_id)

    async def save_messages(self, *messages: Message) -> None:
        """Keep messages of one session, all or none; one that is there already, by its id, is replaced.

        Raises:
            NotFoundError: There is no such session, any more.
        """
        values = tuple(value for message in messages for value in (message.session_id, *pack_message(message)))
        rows = ", ".join(_MESSAGE_ROW for _ in messages)
        try:
            await self._run(f"{_ADD_MESSAGES}{rows}{_OR_REPLACE}", values)
        except sqlite3.IntegrityError:
            raise self._no_session(messages[0].session_id) from None

    async def require_message(self, session_id: str, message_id: str) -> Message:
        """A message of a session.

        Raises:
            NotFoundError: There is no such session, or no such message in it.
        """
        if (message := await self.find_message(session_id, message_id)) is None:
            await self.require_session(session_id)
            problem = f"There is no message {message_id[:60]!r} in this session."
            raise NotFoundError(problem, param="message_id", code="message_not_found")
        return message

    async def find_message(self, session_id: str, message_id: str) -> Message | None:
        """A message of a session; None: there is none."""
        statement = "SELECT * FROM voice_chat_messages WHERE session_id = ? AND id = ?"
        rows = await self._run(statement, (session_id, message_id))
        return read_message(rows[0]) if rows else None

    async def list_messages(
        self, session_id: str, limit: int, after: str | None = None, *, order: Order = "asc"
    ) -> Page[Message]:
        """Messages of a session, the oldest first; `after` is the last one of the page before.

        Raises:
            NotFoundError: There is no such session.
            InvalidRequestError: There is no message `after` in it.
        """
        rows = await self._list("voice_chat_messages", {"session_id": session_id}, limit, after, order)
        if not rows:
            await self.require_session(session_id)
        return Page(tuple(read_message(row) for row in rows[:limit]), len(rows) > limit)

    async def recent_messages(self, session_id: str, limit: int) -> tuple[Message, ...]:
        """The last messages of a session, the oldest of them first.

        Raises:
            NotFoundError: There is no such session.
        """
        newest = await self.list_messages(session_id, limit, order="desc")
        return newest.items[::-1]

    async def save_tts_models(self, models: Sequence[TtsModel]) -> None:
        """Keep what the TTS server says of its models, in place of what it said before."""
        now = time.time()
        for model in models:
            told = ("error" if model.error else "ready", model.error, pack_json(model.voices), now, now)
            await self._run(_SAVE_TTS_MODEL, (model.name, model.name, now, *told))
        await self._run("DELETE FROM tts_models WHERE updated_at < ?", (now,))

    async def _list(
        self, table: str, wanted: Mapping[str, str], limit: int, after: str | None, order: Order
    ) -> list[sqlite3.Row]:
        """A row more than the limit, if there is one."""
        where, values = "".join(f" AND {column} = ?" for column in wanted), list[Value](wanted.values())
        if after is not None:
            found = await self._run(f"SELECT seq FROM {table} WHERE id = ?{where}", (after, *values))
            if not found:
                raise InvalidRequestError(f"after={after[:100]!r}: there is nothing of that id here", param="after")
            where += f" AND seq {'>' if order == 'asc' else '<'} ?"
            values.append(found[0]["seq"])
        statement = f"SELECT * FROM {table} WHERE true{where} ORDER BY seq {order} LIMIT ?"
        return await self._run(statement, (*values, limit + 1))

    async def _delete(self, condition: str, value: Value) -> int:
        rows = await self._run(f"DELETE FROM voice_chat_sessions WHERE {condition} RETURNING id", (value,))
        if rows:  # what was deleted would go on standing in the log
            await self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(rows)

    async def _sweep(self) -> None:
        if self._keep_s and (count := await self._delete("updated_at < ?", time.time() - self._keep_s)):
            log_event(logger, logging.INFO, "old conversations deleted", sessions=count)

    async def _sweep_daily(self) -> None:
        while True:
            await asyncio.sleep(_DAY_S)
            with contextlib.suppress(VoiceStackError):  # it has been logged, and tomorrow is another day
                await self._sweep()

    async def _run(self, statement: str, values: Sequence[Value] = ()) -> list[sqlite3.Row]:
        if self._connection is None:
            await self._open_again()
        assert self._connection is not None
        try:
            return list(await self._connection.execute_fetchall(statement, values))
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._file.explain(error) from error

    async def _open_again(self) -> None:
        """Open the file that could not be opened before: what was in the way may have gone."""
        async with self._opening:
            if self._connection is None:
                if self._refusal is None:
                    raise ShuttingDownError("the server is stopping")
                await self.open()

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _open_file(self) -> sqlite3.Connection:
        try:
            connection = self._file.open()
        except (VoiceStackError, sqlite3.Error, OSError) as error:
            # aiosqlite's thread outlives the event loop, and fails at it, where there is no connection to be closed.
            self._refusal = error if isinstance(error, VoiceStackError) else self._file.explain(error)
            return sqlite3.connect(":memory:")
        connection.isolation_level = None  # each statement is a transaction
        connection.row_factory = sqlite3.Row
        return connection

    def _no_session(self, session_id: str) -> NotFoundError:
        gone = f"There is no session {session_id[:80]!r}: it never was, or was deleted."
        place = tell_other_replica(session_id, self._replica)
        return NotFoundError(gone + place, param="session_id", code="session_not_found")
