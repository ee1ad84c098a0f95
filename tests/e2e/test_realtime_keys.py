"""Who may open a Realtime socket: keys and short-lived secrets, in a header and as a subprotocol; JavaScript's SDK."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from openai import AuthenticationError, OpenAI
from openai.types.realtime import ClientSecretCreateResponse
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from core.http.sockets.doors import ask_refusal, open_socket
from e2e.realtime import encode, live
from running_server import RunningServer, wait_until
from voice_stack.core.http.keys import KeyFile, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
KEY = "sk-of-the-house"
PATH = "/v1/realtime?intent=transcription"
JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="module")
def locked(start_server: StartServer) -> Iterator[RunningServer]:
    """A server that asks for a key."""
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", API_KEYS=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def client(locked: RunningServer) -> Iterator[OpenAI]:
    with locked.openai(KEY) as client:
        yield client


def offer(key: str) -> tuple[str, ...]:
    return ("realtime", f"openai-insecure-api-key.{key}")


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def begin(server: RunningServer, headers: dict[str, str], offered: tuple[str, ...] = ()) -> dict[str, object]:
    """The session that a socket begins with."""
    with open_socket(server.port, PATH, headers, offered) as socket:
        assert socket.subprotocol == ("realtime" if offered else None)
        session: dict[str, object] = json.loads(socket.recv())["session"]
        return session


def test_a_socket_asks_for_the_key_before_the_upgrade(locked: RunningServer) -> None:
    for headers, offered in ((bearer(KEY), ()), ({}, offer(KEY))):
        assert begin(locked, headers, offered)["type"] == "transcription"
    for headers, offered in (
        ({}, ()), ({}, ("realtime",)), (bearer("sk-wrong"), ()), ({}, offer("sk-wrong")), (bearer("ek_wrong"), ()),
        ({}, offer("ek_AAAA.0123")), ({}, offer("ek_")),
    ):  # fmt: skip
        status, answered, told = ask_refusal(locked.port, PATH, headers, offered)
        assert (status, told["code"], answered["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
    # What could be no session anyway is told to who may ask.
    for query, code in (("model=gpt-realtime", "model_not_found"), ("call_id=rtc_1", "unsupported_value")):
        status, _, told = ask_refusal(locked.port, f"/v1/realtime?{query}", bearer(KEY))
        assert (status, told["code"]) == (404 if code == "model_not_found" else 400, code)


async def test_a_secret_opens_sockets_and_nothing_else_until_it_expires(locked: RunningServer, client: OpenAI) -> None:
    heard = {"transcription": {"model": "whisper-1", "language": "de"}, "turn_detection": None}
    granted = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 600},
        session={"type": "transcription", "audio": {"input": heard}},  # type: ignore[arg-type]
    )
    TypeAdapter(ClientSecretCreateResponse).validate_python(granted.model_dump())
    assert 595 <= granted.expires_at - time.time() <= 601
    secret = granted.value
    for headers, offered in ((bearer(secret), ()), ({}, offer(secret)), ({}, offer(secret))):
        session = begin(locked, headers, offered)
        sound = session["audio"]["input"]  # type: ignore[index]
        assert (sound["transcription"], sound["turn_detection"]) == (heard["transcription"], None)
    async with live(locked, key=secret) as session_with_sdk:
        assert (await session_with_sdk.set(transcription={"language": "en"}))["transcription"]["language"] == "en"
    with locked.openai(secret) as other:
        for ask in (
            lambda: other.realtime.client_secrets.create(),
            lambda: other.models.list(),
            lambda: other.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF")),
        ):
            with pytest.raises(AuthenticationError):
                ask()
    short = client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 10}).value
    assert begin(locked, {}, offer(short))["type"] == "transcription"
    touched = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    assert ask_refusal(locked.port, PATH, {}, offer(touched))[0] == 401
    assert secret not in locked.log.read_text()
    with locked.http() as plain:
        older = plain.post("/v1/realtime/transcription_sessions", json={}, headers=bearer(KEY)).json()
        assert begin(locked, {}, offer(older["client_secret"]["value"]))["type"] == "transcription"
        assert plain.post("/v1/realtime/client_secrets", json={}).status_code == 401


def test_javascript_s_sdk_by_header_and_by_subprotocol(
    locked: RunningServer, spoken: Callable[[str], bytes], tmp_path: Path
) -> None:
    assert (JS / "node_modules" / "ws").is_dir(), "a package is missing: npm install --prefix tests/js"
    sound = tmp_path / "sound.pcm"
    sound.write_bytes(encode(spoken("Then lock the front door.")))
    command = ["node", "listen.mjs", f"{locked.url}/v1", KEY, str(sound)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["node"]["protocol"], seen["web"]["protocol"]) == ("", "realtime")
    for one in seen.values():
        assert one["text"].startswith("window")
        assert [(error["code"], error["event_id"]) for error in one["errors"]] == [
            ("input_audio_buffer_commit_empty", "early")
        ]
        assert one["types"][:3] == ["session.created", "session.updated", "error"]


def test_a_secret_counts_for_the_key_it_was_made_with(start_server: StartServer, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, key = make_key("page", ["asr"], jobs_at_once=1)
    file.add(key)
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "API_KEYS_FILE": str(file.path)}
    with start_server("asr", **settings) as server, server.openai(text) as client:
        secret = client.realtime.client_secrets.create().value
        with open_socket(server.port, PATH, {}, offer(secret)):
            assert ask_refusal(server.port, PATH, {}, offer(secret))[2]["code"] == "too_many_open_requests"
        wait_until(lambda: "key=page" in server.log.read_text(), 10, "the log")
        file.remove("page")
        wait_until(lambda: _is_refused(server, secret), 10, "revoked")


def _is_refused(server: RunningServer, secret: str) -> bool:
    try:
        with open_socket(server.port, PATH, {}, offer(secret)):
            return False
    except InvalidStatus as error:
        return error.response.status_code == 401
