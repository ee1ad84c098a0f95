"""A Voice server that is killed at any moment of its turns has all messages that anybody was told of."""

import itertools
import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from chat.scripted_model import ScriptedModel, run_scripted_model
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
LIVES, TALKERS, TURNS = 12, 4, 50
REPLY = ("One moment. ", 0.03, "The lamp is on. ", 0.03, "And the door is closed. ", 0.03, "Good night.")
WHOLE = "".join(piece for piece in REPLY if isinstance(piece, str))


@dataclass
class Told:
    """What clients and the model were told, over all lives of the server: text and status by the id of the message."""

    replies: dict[str, tuple[str, str]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)


def talk(server: RunningServer, told: Told) -> None:
    """Say one thing after the other in a conversation of one's own, until the server is gone."""
    try:
        with server.http() as http:
            session = str(http.post("/v1/voice/sessions").json()["id"])
            told.sessions.add(session)
            while True:
                body = {"text": f"Number {next(told.numbers)}", "modalities": ["text"], "stream": True}
                with http.stream("POST", f"/v1/voice/sessions/{session}/messages", json=body) as answer:
                    for line in answer.iter_lines():
                        event = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
                        if event.get("type") == "done":
                            message = event["message"]
                            told.replies[message["id"]] = message["text"], message["status"]
    except httpx2.TransportError:
        pass


def expect_all(db: Path, told: Told, model: ScriptedModel) -> int:
    """All that was told is in the file; returns how many replies were cut off."""
    with closing(sqlite3.connect(db)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT id, role, text, status FROM voice_chat_messages").fetchall()
        sessions = {session for (session,) in database.execute("SELECT id FROM voice_chat_sessions")}
    assert told.sessions <= sessions
    assert {message: (text, status) for message, _, text, status in rows if message in told.replies} == told.replies
    asked = {str(request["messages"][-1]["content"]) for request in model.requests}
    assert asked <= {text for _, role, text, _ in rows if role == "user"}
    failed = [text for _, role, text, status in rows if (role, status) == ("assistant", "failed")]
    assert all(WHOLE.startswith(text) for text in failed)
    assert {status for *_, status in rows} <= {"completed", "failed"}
    return len(failed)


def test_what_was_told_outlives_kills_at_any_moment(start_server: StartServer, tmp_path: Path) -> None:
    db, told, chance, failed = tmp_path / "chat.db", Told(), random.Random(17), 0
    with run_scripted_model() as model:
        for _ in range(2000):
            model.say(*REPLY)
        for life in range(LIVES + 1):
            with start_server("chat", CHAT_DB=str(db), CHAT_LLM_URL=model.url, LOG_LEVEL="DEBUG") as server:
                failed = expect_all(db, told, model)
                if life == LIVES:
                    break
                talkers = [threading.Thread(target=talk, args=(server, told)) for _ in range(TALKERS)]
                for talker in talkers:
                    talker.start()
                time.sleep(chance.uniform(0.2, 0.8))
                server.process.kill()
                for talker in talkers:
                    talker.join()
                assert "Number " not in server.log.read_text("utf-8")  # nobody's words
    assert len(told.replies) >= TURNS
    assert failed >= LIVES
    print(
        f"{len(told.replies)} replies told, {len(model.requests)} questions asked, {failed} replies cut off: all there"
    )


def test_a_key_outlasts_the_server(start_server: StartServer, tmp_path: Path) -> None:
    settings = {"CHAT_DB": str(tmp_path / "chat.db")}
    whole, cut = ({"idempotency-key": name} for name in ("whole", "cut"))
    body = {"text": "Hello", "modalities": ["text"]}
    with run_scripted_model() as model:
        settings["CHAT_LLM_URL"] = model.url
        model.say("Once.")
        model.say("One moment. ", 600.0)
        with start_server("chat", **settings) as server, server.http() as http:
            session = http.post("/v1/voice/sessions").json()["id"]
            url = f"/v1/voice/sessions/{session}/messages"
            first = http.post(url, json=body, headers=whole).json()["message"]
            with http.stream("POST", url, json={**body, "stream": True}, headers=cut) as answer:
                next(line for line in answer.iter_lines() if '"text.delta"' in line)
                server.process.kill()
                server.process.wait()
        model.say("Now whole.")
        with start_server("chat", **settings) as server, server.http() as http:
            assert http.post(url, json=body, headers=whole).json()["message"] == first
            other = http.post(url, json={**body, "text": "Bye"}, headers=whole)
            assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")
            assert http.post(url, json=body, headers=cut).json()["message"]["text"] == "Now whole."
            assert http.post(url, json=body, headers=cut).json()["message"]["text"] == "Now whole."
            kept = http.get(url).json()["data"]
        assert len(model.requests) == 3
    assert [f"{message['role']} {message['status']}" for message in kept] == [
        "user completed", "assistant completed", "user completed", "assistant failed", "assistant completed",
    ]  # fmt: skip
