"""Nothing in a request becomes a path, an address to call, a word of a shell or a line of the log."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

SECRET = "the canary sings"
BREAKS = ("\n", "\r\n", "\x0b", "\x85", "\u2028")
SPEECH = "/v1/audio/speech"
TRANSCRIPTIONS = "/v1/audio/transcriptions"


class Trap:
    """What must not happen: a file is read or made, an address is called."""

    def __init__(self, folder: Path) -> None:
        self.canary, self.made = folder / "canary.txt", folder / "made"
        self.canary.write_text(SECRET)
        self.calls: list[object] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x.wav"
        threading.Thread(target=self._count_calls, daemon=True).start()

    def _count_calls(self) -> None:
        while True:
            try:
                connection, caller = self._listening.accept()
            except OSError:
                return
            self.calls.append(caller)
            connection.close()

    def names(self) -> list[str]:
        up = "../" * 12 + str(self.canary).lstrip("/")
        touch = f"touch {self.made}"
        forged = "".join(f"x{mark}FORGED INFO line{mark}x-forged: yes" for mark in BREAKS)
        return [up, self.url, f"$({touch}) `{touch}` | {touch}; {touch} #", forged, "\x00\u202e{0}%s%n"]

    def close(self) -> None:
        self._listening.close()

    def expect_unsprung(self) -> None:
        assert not self.made.exists(), "a word of a request was run by a shell"
        assert self.canary.read_text() == SECRET
        assert self.calls == [], "an address in a request was called"


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    trap = Trap(tmp_path)
    yield trap
    trap.close()


def expect_harmless(answer: httpx2.Response) -> None:
    assert answer.status_code < 500, answer.text
    assert answer.status_code < 300 or answer.json()["error"]["message"]
    assert SECRET not in answer.text
    assert "x-forged" not in answer.headers
    assert len(answer.content) < 100_000


def expect_clean_log(server: RunningServer, last_id: str) -> None:
    wait_until(lambda: last_id in server.log.read_text("utf-8"), 10, "the last request is logged")
    # Lines as the strictest reader sees them: split at every character that may break one.
    lines = server.log.read_text("utf-8").splitlines()
    assert [line for line in lines if line.lstrip().startswith(("FORGED", "x-forged"))] == []


def in_a_path(client: httpx2.Client, name: str, *templates: str) -> None:
    """The name where an id stands, as one segment of the path and as several."""
    for template in templates:
        method, _, path = template.partition(" ")
        for spelt in {quote(name, safe=""), quote(name, safe="/")}:
            expect_harmless(client.request(method, path.format(spelt)))


def test_names_sent_to_asr(fake_asr: RunningServer, trap: Trap) -> None:
    file = ("a.wav", tone(0.2))
    fields = (
        "model",
        "language",
        "languages[]",
        "response_format",
        "keywords[]",
        "webhook_url",
        "audio_track",
        "unknown",
    )
    with fake_asr.http() as client:
        for name in trap.names():
            in_a_path(
                client, name, "GET /v1/models/{}", "POST /v1/models/{}", "DELETE /v1/models/{}", "GET /v1/jobs/{}",
                "GET /v1/jobs/{}/result", "DELETE /v1/jobs/{}", "GET /v1/jobs/x/result?response_format={}", "GET /{}",
                "GET /v1/realtime/sessions/{}/transcript", "DELETE /v1/realtime/sessions/{}/transcript",
            )  # fmt: skip
            for field in fields:
                data = {"model": "whisper-1", "background": str(field == "webhook_url"), field: name}
                expect_harmless(client.post(TRANSCRIPTIONS, data=data, files={"file": file}))
            for route, query in (("/asr", {"output": name}), ("/asr", {"language": name}), ("/detect-language", {})):
                film = {"audio_file": file}
                expect_harmless(client.post(route, params={"video_file": name, **query}, files=film))
            expect_harmless(client.post(TRANSCRIPTIONS, data={"model": "fake"}, files={"file": (name, tone(0.2))}))
        client.get("/v1/models", headers={"x-request-id": "the-last-asr"})
    expect_clean_log(fake_asr, "the-last-asr")
    trap.expect_unsprung()
    fake_asr.expect_no_uploads()


def test_names_sent_to_tts(fake_tts: RunningServer, trap: Trap) -> None:
    with fake_tts.http() as client:
        for name in trap.names():
            in_a_path(
                client, name, "GET /v1/models/{}", "GET /v1/audio/voices/{}", "DELETE /v1/audio/voices/{}",
                "GET /v1/audio/voices/{}/preview", "GET /v1/audio/voices/alloy/preview?format={}",
                "GET /v1/audio/speech/{}/captions", "GET /v1/audio/speech/x/captions?format={}",
                "GET /v1/audio/voice_consents/{}", "GET /v1/audio/voice_consents?after={}",
                "GET /static-offline-docs/{}",
            )  # fmt: skip
            for field in ("model", "voice", "language", "response_format", "stream_format", "timestamps", "new"):
                body = {"model": "tts-1", "input": "Hi.", "voice": "alloy", field: name}
                expect_harmless(client.post(SPEECH, json=body))
            expect_harmless(client.post(SPEECH, json={"model": "tts-1", "input": "Hi.", "voice": {"id": name}}))
        client.get("/v1/models", headers={"x-request-id": "the-last-tts"})
    expect_clean_log(fake_tts, "the-last-tts")
    trap.expect_unsprung()


@pytest.mark.parametrize("header", ["x-request-id", "authorization", "x-forwarded-for", "origin", "if-none-match"])
def test_names_in_headers(fake_tts: RunningServer, trap: Trap, header: str) -> None:
    with fake_tts.http() as client:
        for name in trap.names():
            sendable = "".join(character for character in name if character >= " ")
            answer = client.get("/v1/models", headers={header.encode(): sendable.encode()})
            expect_harmless(answer)
            assert "FORGED" not in str(answer.headers)
        client.get("/v1/models", headers={"x-request-id": f"the-last-{header}"})
    expect_clean_log(fake_tts, f"the-last-{header}")
    trap.expect_unsprung()
