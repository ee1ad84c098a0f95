"""What a live session heard, fetched while it goes on, afterwards, and after a restart."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

from piper_speech import RATE, speak
from running_server import RunningServer, wait_until

FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake"}
Start = Callable[..., AbstractContextManager[RunningServer]]


class Session:
    """A session that commits each text itself."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.id: str = json.loads(socket.recv(10))["session"]["id"]
        sound = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": None}
        self.send("session.update", session={"type": "transcription", "audio": {"input": sound}})

    def send(self, kind: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def append(self, data: bytes) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())

    def say(self, text: str) -> str:
        """Speak a text; returns what was understood."""
        self.append((speak(text) * 30_000).astype("<i2").tobytes())
        self.send("input_audio_buffer.commit")
        while True:
            event = json.loads(self.socket.recv(30))
            if event["type"] == "conversation.item.input_audio_transcription.completed":
                understood: str = event["transcript"]
                return understood
            assert event["type"].rpartition(".")[2] not in {"error", "failed"}, str(event)


@contextmanager
def session(server: RunningServer) -> Iterator[Session]:
    with connect(f"ws://127.0.0.1:{server.port}/v1/realtime?intent=transcription") as socket:
        yield Session(socket)


def fetch(server: RunningServer, session_id: str, response_format: str = "json", status: int = 200) -> str:
    with server.http() as http:
        answer = http.get(f"/v1/realtime/sessions/{session_id}/transcript?response_format={response_format}")
    assert answer.status_code == status, answer.text
    return answer.text


def test_each_turn_is_there_when_it_is_told(asr_server: RunningServer) -> None:
    with session(asr_server) as live:
        assert json.loads(fetch(asr_server, live.id))["text"] == ""
        first = live.say("The museum opens in the morning.")
        assert json.loads(fetch(asr_server, live.id))["text"] == first == "The museum opens in the morning."
        second = live.say("Tickets are sold at the door.")
        body = json.loads(fetch(asr_server, live.id, "verbose_json"))
    assert body["text"] == f"{first} {second}"
    assert [part["text"].strip() for part in body["segments"]] == [first, second]
    assert "".join(word["word"] for word in body["words"]) == f"{first}{second}".replace(" ", "")
    assert body["words"][-1]["end"] <= body["duration"]
    assert json.loads(fetch(asr_server, live.id, "verbose_json")) == body
    for name in ("text", "srt", "vtt", "tsv", "jsonl", "lrc"):
        assert "Tickets are sold" in fetch(asr_server, live.id, name)
    assert "srt" in json.loads(fetch(asr_server, live.id, "docx", 400))["error"]["message"]


def test_it_is_removed_by_hand_and_of_a_session_that_goes_on_nothing_more_is_kept(asr_server: RunningServer) -> None:
    with session(asr_server) as live, asr_server.http() as http:
        live.say("The museum opens in the morning.")
        path = f"/v1/realtime/sessions/{live.id}/transcript"
        assert http.delete(path).json()["deleted"] is True
        live.say("Tickets are sold at the door.")
        assert http.delete(path).status_code == 404
        fetch(asr_server, live.id, status=404)


def test_it_needs_a_key_where_jobs_do(start_server: Start) -> None:
    with start_server("asr", **FAKE, API_KEYS="vs-test-key-0123456789") as server:
        fetch(server, "sess_0", status=401)


def test_a_turn_that_fails_is_told_of(start_server: Start) -> None:
    with start_server("asr", **FAKE) as server, session(server) as live:
        live.say("The museum opens in the morning.")
        heard = {"transcription": {"prompt": "fail"}}
        live.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
        with pytest.raises(AssertionError, match="told to fail"):
            live.say("Tickets are sold at the door.")
        with server.http() as http:
            answer = http.get(f"/v1/realtime/sessions/{live.id}/transcript")
    assert answer.json()["text"].count("window") == 1
    assert answer.headers["x-warnings"] == "turns that failed or could not be kept: 1"


def test_nobody_is_worked_for_who_leaves_where_nothing_is_kept(start_server: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with start_server("asr", **FAKE, ASR_MAX_JOBS="0") as server:
        with session(server) as live:
            heard = {"transcription": {"prompt": f"until={gate}"}}
            live.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
            live.append((speak("The museum opens in the morning.") * 30_000).astype("<i2").tobytes())
        wait_until(lambda: "path=/v1/realtime status=101" in server.log.read_text(), 5, "the session is over")
        gate.touch()
        wait_until(lambda: server.count_jobs() == (0, 0), 10, "its job is gone")


def test_a_full_disk_loses_turns_and_says_so(start_server: Start) -> None:
    lost = "turns that failed or could not be kept: 1"
    with start_server("asr", **FAKE) as server, session(server) as live, server.http() as http:

        def ask() -> httpx2.Response:
            return http.get(f"/v1/realtime/sessions/{live.id}/transcript")

        live.say("The museum opens in the morning.")
        wait_until(lambda: ask().json()["text"].count("window") == 1, 5, "the turn is on disk")
        with server.file_limit(4096):
            live.say("Tickets are sold at the door.")
            wait_until(lambda: ask().headers.get("x-warnings") == lost, 5, "the turn is lost")
        live.say("The museum closes in the evening.")
        assert ask().json()["text"].count("window") == 2
        assert ask().headers["x-warnings"] == lost
