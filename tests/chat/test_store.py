"""What is kept of conversations: all that was told kept, through kills, and nothing that was deleted."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.chat.conversation import Message, Session
from voice_stack.chat.settings import ChatSettings
from voice_stack.chat.store import ConversationStore
from voice_stack.core.errors import NotFoundError, VoiceStackError
from voice_stack.core.ids import new_id

CALL = {"id": "call_1", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "conversations.db"


@asynccontextmanager
async def opened(db: Path, **settings: object) -> AsyncIterator[ConversationStore]:
    store = ConversationStore(ChatSettings.model_validate({"db": db, **settings}))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000].ljust(20_000, b"?"))


def new_session(**fields: object) -> Session:
    return replace(Session(new_id("sess"), time.time(), time.time()), **fields)


def new_message(session: Session, text: str = "", **fields: object) -> Message:
    return replace(Message(new_id("msg"), session.id, time.time(), "user", text), **fields)


async def test_all_comes_back_and_what_a_kill_cut_off_has_failed(db: Path) -> None:
    session = new_session(system="Be brief.", speed=1.5, tools=(CALL,), metadata={"a": "b"}, user_id="anna")
    heard = new_message(session, "Licht an!", confidence=0.9, language="de", duration_seconds=1.5)
    asked = new_message(session, "One \ud83d moment.", role="assistant", tool_calls=(CALL,), usage={"total_tokens": 9})
    done = new_message(session, "on", role="tool", tool_call_id="call_1")
    begun = new_message(session, role="assistant", status="in_progress", timings={"stt": 0.25})
    async with opened(db) as store:
        await store.add_session(session)
        await store.save_messages(heard)
        await store.save_messages(asked, done)
        await store.save_messages(begun)
        await store.save_messages(replace(begun, text="It is", spoken_chars=5))
        await store.update_session(session.id, {"state": "speaking", "voice": "nova", "system": None})
    async with opened(db) as store:
        kept = await store.list_messages(session.id, 10)
        assert kept.items == (
            heard,
            replace(asked, text="One \ufffd moment."),
            done,
            replace(begun, text="It is", spoken_chars=5, status="failed"),
        )
        assert await store.recent_messages(session.id, 2) == kept.items[-2:]
        found = await store.require_session(session.id)
        assert found.updated_at >= begun.created_at
        assert replace(found, updated_at=0) == replace(session, updated_at=0, voice="nova", system=None, state="idle")
    assert (mode_of(db), mode_of(db.parent)) == (0o600, 0o700)


async def test_messages_are_kept_all_or_none_among_many_that_write(db: Path) -> None:
    async with opened(db) as store:
        session, gone = new_session(), new_session()
        await store.add_session(session)

        async def talk(number: int) -> None:
            texts = [f"{number} a", f"{number} b"]
            await store.save_messages(*(new_message(session, text) for text in texts))
            with pytest.raises(NotFoundError):
                await store.save_messages(new_message(session, "torn"), new_message(gone, "torn"))

        await asyncio.gather(*map(talk, range(20)))
        texts = [message.text for message in (await store.list_messages(session.id, 100)).items]
        assert sorted(texts) == sorted(f"{number} {half}" for number in range(20) for half in "ab")
        assert all(first[:-2] == second[:-2] for first, second in zip(texts[::2], texts[1::2], strict=True))


async def test_of_what_is_deleted_no_byte_is_left(db: Path) -> None:
    async with opened(db) as store:
        session, other = new_session(), new_session()
        for one in (session, other):
            await store.add_session(one)
        await store.save_messages(new_message(session, "my secret word"), new_message(other, "a plain word"))
        await store.delete_session(session.id)
        content = b"".join(path.read_bytes() for path in db.parent.iterdir())
        assert b"a plain word" in content
        assert b"secret" not in content
        with pytest.raises(NotFoundError):
            await store.save_messages(new_message(session, "too late"))
        with pytest.raises(NotFoundError):
            await store.delete_session(session.id)


async def test_a_conversation_that_is_old_goes_at_the_start(db: Path) -> None:
    old, new = new_session(updated_at=time.time() - 3 * 86_400), new_session()
    async with opened(db) as store:
        await store.add_session(old)
        await store.add_session(new)
    async with opened(db, keep_days=2) as store:
        assert (await store.list_sessions(10)).items == (new,)


async def test_one_caller_name_is_one_session_however_many_claim_it(db: Path) -> None:
    async with opened(db) as store:
        wanted = [new_session(conversation_id="kitchen", user_id=user) for user in ("anna", "ben", None) * 5]
        claimed = await asyncio.gather(*map(store.claim_conversation, wanted))
        assert len({session.id for session in claimed}) == 3
        assert (await store.list_sessions(10, user_id="anna")).items == (claimed[0],)


async def test_a_damaged_file_is_put_aside(db: Path) -> None:
    async with opened(db) as store:
        await store.add_session(new_session())
    spoil(db)
    async with opened(db) as store:
        assert (await store.list_sessions(10)).items == ()
    assert db.with_name(f"{db.name}.unreadable").stat().st_size == 20_000


async def test_a_second_server_has_the_file_when_the_first_has_ended_and_programs_may_read_it(db: Path) -> None:
    async with opened(db) as store:
        session = new_session()
        await store.add_session(session)
        second = ConversationStore(ChatSettings(db=db))
        for refused in (second.open(), second.require_session(session.id)):
            with pytest.raises(VoiceStackError, match="CHAT_DB"):
                await refused
        with sqlite3.connect(db) as reader:
            assert reader.execute("SELECT id FROM voice_chat_sessions").fetchall() == [(session.id,)]
        reader.close()
    assert (await second.require_session(session.id)).id == session.id
    await second.close()


def test_a_file_of_a_newer_version_is_refused_untouched_and_the_server_ends(tmp_path: Path) -> None:
    db = tmp_path / "new.db"
    with sqlite3.connect(db) as database:
        database.executescript("CREATE TABLE t (a); PRAGMA user_version = 99")
    database.close()
    content = db.read_bytes()
    command = [sys.executable, "-m", "voice_stack", "chat", "--port", "0", "--db", str(db)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    told = ended.stdout + ended.stderr
    assert "newer version" in told
    assert "Traceback" not in told
    assert db.read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"new.db", ".new.db.lock"}
