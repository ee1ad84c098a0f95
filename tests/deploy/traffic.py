"""Every kind of traffic that the dashboard shows: good, bad, given up, repeated, and an engine that dies."""

from collections.abc import Callable

import httpx2
from fastapi import Response

from chat.scripted_model import ScriptedModel
from running_server import RunningServer, wait_until

Ask = Callable[[httpx2.Client], httpx2.Response]


def hear(client: httpx2.Client, wav: bytes, prompt: str = "", **options: float) -> httpx2.Response:
    """Transcribe on the fake engine, which obeys the prompt."""
    form = {"model": "whisper-1", "prompt": prompt}
    return client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", wav)}, **options)


def use_asr(server: RunningServer, wav: bytes) -> None:
    """A transcription, an unknown model, a failure, a crash, a client that leaves, a film sent twice, rest."""
    with server.http() as client:
        assert hear(client, wav).status_code == 200
        assert hear(client, wav, "fail").status_code == 500
        assert client.get("/v1/models/none").status_code == 404
        assert hear(client, wav, "crash").status_code == 500
        try:
            hear(client, wav, "sleep=3", timeout=1.0)
        except httpx2.TimeoutException:
            pass
        else:
            raise AssertionError("the client should have left")
        for _ in range(2):
            film = client.post("/asr?output=srt&encode=false", files={"audio_file": ("film", wav[44:])})
            assert film.status_code == 200
        wait_until(lambda: server.count_jobs() == (0, 0), 60, "the work that nobody waits for ends")
        wait_until(lambda: server.engine_pid() is None, 60, "the idle engine ends")


def use_tts(server: RunningServer) -> None:
    """A speech twice: made, then found."""
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there. This is spoken twice."}
    with server.http() as client:
        for _ in range(2):
            assert client.post("/v1/audio/speech", json=body).status_code == 200


def use_chat(server: RunningServer, model: ScriptedModel) -> None:
    """A message that is answered and spoken, and one to a model that fails."""
    model.say("That is fine. Come again.")
    model.replies.append(Response(status_code=500))
    with server.http() as client:
        session = client.post("/v1/voice/sessions", json={}).json()["id"]
        for status in (200, 502):
            answer = client.post(f"/v1/voice/sessions/{session}/messages", json={"text": "Hello."})
            assert answer.status_code == status, answer.text
