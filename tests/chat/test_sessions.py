"""Conversations over HTTP: made, listed, changed and deleted."""

import json
import sqlite3
from collections.abc import Iterator

import httpx2
import pytest

from chat.scripted_model import ScriptedModel
from running_server import RunningServer, wait_until

TOOL = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object"}}}
SETTINGS: dict[str, object] = {
    "system": "Sé breve.",
    "role": "cook",
    "voice": "nova",
    "model": "small",
    "language": "es-MX",
    "speed": 1.25,
    "instructions": "softly",
    "emotion": "calm",
    "emotion_strength": 0.5,
    "tools": [TOOL],
    "metadata": {"room": "kitchen"},
    "conversation_id": "dinner",
    "user_id": "anna",
}


@pytest.fixture
def http(chat_server: RunningServer) -> Iterator[httpx2.Client]:
    with chat_server.http() as client:
        yield client


def create(http: httpx2.Client, **fields: object) -> dict[str, object]:
    answer = http.post("/v1/voice/sessions", json=fields)
    assert answer.status_code == 201, answer.text
    session: dict[str, object] = answer.json()
    return session


def test_a_session_is_what_it_was_set_up_with_until_it_is_changed(http: httpx2.Client) -> None:
    session = create(http, **SETTINGS)
    url = f"/v1/voice/sessions/{session['id']}"
    assert SETTINGS.items() <= session.items()
    assert http.get(url).json() == session

    again = http.post("/v1/voice/sessions", json={"conversation_id": "dinner", "user_id": "anna"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conversation_exists")

    changed = http.patch(
        url, json={"voice": {"id": "echo"}, "speed": None, "tools": None, "metadata": {"b": "c"}, "x": 1}
    )
    assert changed.headers["x-ignored-fields"] == "x"
    expected = session | {"voice": "echo", "speed": 1.0, "tools": [], "metadata": {"b": "c"}}
    assert changed.json() | {"updated_at": 0} == expected | {"updated_at": 0}

    assert http.delete(url).json() == {"id": session["id"], "object": "voice.session.deleted", "deleted": True}
    for gone in (http.get(url), http.patch(url, json={}), http.delete(url), http.get(f"{url}/messages")):
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")


def test_lists_are_pages(http: httpx2.Client) -> None:
    bare = http.post("/v1/voice/sessions")
    assert (bare.status_code, bare.json()["voice"], bare.json()["speed"]) == (201, None, 1.0)
    made = [create(http, user_id="pages")["id"] for _ in range(3)]
    ask = {"user_id": "pages", "limit": "2"}
    first = http.get("/v1/voice/sessions", params=ask).json()
    assert [session["id"] for session in first["data"]] == made[:0:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[2], made[1], True)
    last = http.get("/v1/voice/sessions", params={**ask, "after": first["last_id"]}).json()
    assert ([session["id"] for session in last["data"]], last["has_more"]) == (made[:1], False)
    oldest = http.get("/v1/voice/sessions", params={**ask, "order": "asc"}).json()
    assert [session["id"] for session in oldest["data"]] == made[:2]

    messages = http.get(f"/v1/voice/sessions/{made[0]}/messages").json()
    assert messages == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    missing = http.get(f"/v1/voice/sessions/{made[0]}/messages/msg_x")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "message_not_found")


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("speed", 5),
        ("speed", True),
        ("emotion_strength", 1.5),
        ("language", "klingon"),
        ("voice", ""),
        ("system", "x" * 100_001),
        ("tools", [{"type": "function", "function": {}}]),
        ("metadata", {"a": 1}),
        ("conversation_id", ""),
        ("role", 7),
    ],
)
def test_what_does_not_fit_is_named(http: httpx2.Client, param: str, value: object) -> None:
    refused = http.post("/v1/voice/sessions", json={param: value})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_bodies_and_questions_that_mean_nothing_cost_a_4xx(http: httpx2.Client) -> None:
    url = f"/v1/voice/sessions/{create(http)['id']}"
    assert http.patch(url, content=b"[1]").status_code == 400
    assert http.patch(url).status_code == 400
    endless = json.dumps({"tools": [{**TOOL, "strict": 0}]}).replace(": 0", ": 1e999")
    assert http.patch(url, content=endless).status_code == 400
    assert http.post("/v1/voice/sessions", content=b'{"system": "' + b"x" * (1 << 20) + b'"}').status_code == 413
    for question in ("limit=0", "limit=101", "after=sess_x", "order=up"):
        assert http.get(f"/v1/voice/sessions?{question}").status_code == 400
    assert http.get(f"{url}/messages?after=msg_x").status_code == 400
    assert http.get("/v1/voice/sessions/%00/messages/..%2f").status_code == 404


def test_a_full_disk_is_said_and_over_when_there_is_room_again(http: httpx2.Client, chat_server: RunningServer) -> None:
    session = create(http)
    with chat_server.file_limit(4096):
        full = http.post("/v1/voice/sessions", json={"system": "x" * 50_000})
        assert (full.status_code, full.json()["error"]["code"]) == (507, "storage_full")
        assert http.get(f"/v1/voice/sessions/{session['id']}").json() == session
    create(http)


def test_a_table_tells_the_models_of_the_tts_server(
    http: httpx2.Client, chat_server: RunningServer, fake_tts: RunningServer
) -> None:
    create(http)
    with fake_tts.http() as tts:
        names = {str(model["id"]) for model in tts.get("/v1/models").json()["data"]}

    def kept() -> set[str]:
        with sqlite3.connect(chat_server.log.parent / "chat.db") as database:
            return {name for (name,) in database.execute("SELECT id FROM tts_models WHERE status = 'ready'")}

    wait_until(lambda: kept() == names, 10, "the models are in the table")


def test_a_conversation_that_is_deleted_says_no_more(http: httpx2.Client, model: ScriptedModel) -> None:
    url = f"/v1/voice/sessions/{create(http)['id']}"
    model.say("One moment, ", *[0.1] * 100, "please.")
    with http.stream("POST", f"{url}/messages", json={"text": "Tell me.", "stream": True}) as answer:
        events = answer.iter_lines()
        assert any("One moment" in line for line in events)
        assert http.delete(url).status_code == 200
        assert not any("please" in line for line in events)
    wait_until(lambda: model.cut == 1, 10, "the model is let go")
    assert http.get(f"{url}/messages").status_code == 404


def test_the_same_question_after_the_same_words_is_answered_by_what_is_kept(
    http: httpx2.Client, model: ScriptedModel
) -> None:
    def ask(url: str, text: str, **headers: str) -> tuple[str, str]:
        answer = http.post(f"{url}/messages", json={"text": text, "modalities": ["text"]}, headers=headers)
        return answer.json()["message"]["text"], answer.headers["x-cache"]

    first, second = (f"/v1/voice/sessions/{create(http, role='quiz')['id']}" for _ in range(2))
    model.say("Blue.")
    model.say("Green.")
    model.say("Red.")
    assert ask(first, "A colour?") == ("Blue.", "miss")
    assert ask(second, "A colour?") == ("Blue.", "hit")
    assert ask(first, "A colour?") == ("Green.", "miss")
    assert ask(second, "A colour?", **{"cache-control": "no-cache"}) == ("Red.", "miss")
    assert len(model.requests) == 3


def test_a_kept_reply_is_said_in_the_mood_in_which_it_was_written(http: httpx2.Client, model: ScriptedModel) -> None:
    def ask() -> tuple[list[tuple[str, str | None]], str]:
        url = f"/v1/voice/sessions/{create(http, role='moods')['id']}/messages"
        events = http.post(url, json={"text": "And the news?", "stream": True}).text.splitlines()
        told = [json.loads(line.removeprefix("data: ")) for line in events if line.startswith("data: {")]
        said = [(event["text"], event.get("emotion")) for event in told if event["type"] == "sentence"]
        assert http.get(url).json()["data"][-1].items() >= told[-1]["message"].items()
        return said, told[-1]["message"]["text"]

    model.say('<expr type="expression" label="happy"/>The sun', " is out. Good day.")
    first = ask()
    assert first == ([("The sun is out.", "happy"), ("Good day.", None)], "The sun is out. Good day.")
    assert ask() == first
    assert len(model.requests) == 1


def test_a_conversation_names_the_replica_that_holds_it(chat_server: RunningServer) -> None:
    with chat_server.http() as client:
        answer = client.post("/v1/voice/sessions", json={"system": "Be brief."})
        session_id = answer.json()["id"]
        assert (answer.headers["x-replica"], session_id[:8]) == ("r3", "sess_r3_")
        assert client.get(f"/v1/voice/sessions/{session_id}").json()["system"] == "Be brief."
        elsewhere = client.post(f"/v1/voice/sessions/{session_id.replace('r3', 'r5')}/messages", json={"text": "Hi"})
        assert elsewhere.status_code == 404
        assert "of replica 'r5', and this is replica 'r3'" in elsewhere.json()["error"]["message"]
