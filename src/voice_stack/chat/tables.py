"""The tables of the conversations, and how what is kept becomes rows and again what it was.

voice_chat_sessions    a conversation each; `config` is what it was set up with, as JSON
voice_chat_messages    what was said in it; goes with it
tts_models             what the TTS server said last of its models; that server has the truth

Names of tables and columns are those of older voice services, whose programs read them; `org_id`, `total_stt_tokens`
and the columns of `tts_models` that the TTS server tells nobody stay empty.
"""
# ruff: noqa: S608 - no value comes into it

import json
import sqlite3
from dataclasses import dataclass, fields

from pydantic import TypeAdapter

from voice_stack.chat.conversation import Message, Session

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_SPOKEN = "total_tts_characters = total_tts_characters + new.spoken_chars"
_HEARD = "total_audio_seconds = total_audio_seconds + iif(new.role = 'user', coalesce(new.duration_seconds, 0), 0)"

MIGRATIONS = (
    f"""
    CREATE TABLE voice_chat_sessions (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation_id TEXT,
        org_id TEXT,
        user_id TEXT,
        config TEXT NOT NULL,
        state TEXT NOT NULL,
        total_audio_seconds REAL NOT NULL DEFAULT 0,
        total_stt_tokens INTEGER NOT NULL DEFAULT 0,
        total_tts_characters INTEGER NOT NULL DEFAULT 0,
        started_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        ended_at REAL
    ) STRICT;
    CREATE UNIQUE INDEX voice_chat_session_of ON voice_chat_sessions (conversation_id, coalesce(user_id, ''))
        WHERE conversation_id IS NOT NULL;
    CREATE INDEX voice_chat_session_age ON voice_chat_sessions (updated_at);

    CREATE TABLE voice_chat_messages (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES voice_chat_sessions (id) ON DELETE CASCADE,
        conversation_id TEXT,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        reasoning TEXT NOT NULL,
        status TEXT NOT NULL,
        tool_calls TEXT NOT NULL,
        tool_call_id TEXT,
        stt_confidence REAL,
        language TEXT,
        duration_seconds REAL,
        timings TEXT NOT NULL,
        usage TEXT NOT NULL,
        spoken_chars INTEGER NOT NULL,
        tts_error TEXT,
        created_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX voice_chat_message_of ON voice_chat_messages (session_id, seq);
    CREATE INDEX voice_chat_message_unfinished ON voice_chat_messages (status) WHERE status = 'in_progress';
    CREATE TRIGGER voice_chat_message_added AFTER INSERT ON voice_chat_messages BEGIN
        UPDATE voice_chat_sessions SET updated_at = {_NOW}, {_HEARD}, {_SPOKEN} WHERE id = new.session_id;
    END;
    CREATE TRIGGER voice_chat_message_changed AFTER UPDATE ON voice_chat_messages BEGIN
        UPDATE voice_chat_sessions SET updated_at = {_NOW}, {_SPOKEN} - old.spoken_chars WHERE id = new.session_id;
    END;

    CREATE TABLE tts_models (
        id TEXT PRIMARY KEY,
        hf_repo TEXT UNIQUE,
        model_name TEXT NOT NULL,
        expected_sha TEXT,
        actual_sha TEXT,
        local_path TEXT,
        status TEXT NOT NULL,
        file_size_bytes INTEGER,
        download_date REAL,
        last_verified_date REAL,
        error_message TEXT,
        voices TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT
    """,
)


@dataclass(frozen=True, slots=True)
class TtsModel:
    """A model of the TTS server.

    Attributes:
        name: As requests name it.
        voices: Their ids.
        error: Why it cannot speak.
    """

    name: str
    voices: tuple[str, ...] = ()
    error: str | None = None


_OWN_COLUMNS = ("id", "conversation_id", "user_id", "state", "created_at", "updated_at")
CONFIGURABLE = frozenset(field.name for field in fields(Session)) - frozenset(_OWN_COLUMNS)
"""Attributes of a session that are in `config`."""
MESSAGE_COLUMNS = {
    **{field.name: field.name for field in fields(Message)},
    "confidence": "stt_confidence",
}
"""Attribute -> column."""
_JSON = frozenset({"tool_calls", "timings", "usage"})
_SESSION = TypeAdapter(Session)
_MESSAGE = TypeAdapter(Message)
Value = str | float | None


def pack_json(value: object) -> str:
    """A value as JSON that is text: no half of a surrogate pair in it."""
    return _mend(json.dumps(value, ensure_ascii=False, default=dict))


def pack_session(session: Session) -> tuple[Value, ...]:
    """The values of `id, conversation_id, user_id, state, started_at, updated_at, config`."""
    own = (session.id, session.conversation_id, session.user_id, session.state, session.created_at, session.updated_at)
    return *own, pack_json({name: getattr(session, name) for name in CONFIGURABLE})


def read_session(row: sqlite3.Row) -> Session:
    """A session of its row; what is null in `config` is as in a session that says nothing of it."""
    config: dict[str, object] = json.loads(row["config"])
    told = {name: value for name, value in config.items() if value is not None and name in CONFIGURABLE}
    own = {name: row[name] for name in _OWN_COLUMNS if name != "created_at"}
    return _SESSION.validate_python({**told, **own, "created_at": row["started_at"]})


def pack_message(message: Message) -> tuple[Value, ...]:
    """The values of `MESSAGE_COLUMNS`."""
    values = ((name, getattr(message, name)) for name in MESSAGE_COLUMNS)
    return tuple(
        pack_json(value) if name in _JSON else _mend(value) if isinstance(value, str) else value
        for name, value in values
    )


def read_message(row: sqlite3.Row) -> Message:
    """A message of its row."""
    values = {name: row[column] for name, column in MESSAGE_COLUMNS.items()}
    return _MESSAGE.validate_python(values | {name: json.loads(values[name]) for name in _JSON})


def _mend(text: str) -> str:
    """Text as SQLite takes it: a language model that is cut anywhere may leave half a surrogate pair."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
