"""Clients of older voice services: their own client and their tests, their ports, and our clients for their routes."""

import asyncio
import base64
import io
import os
import socket
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi.responses import JSONResponse

from chat.older_client import OlderClient
from chat.scripted_model import ScriptedModel
from cli.commands import assert_one_line, run
from conftest import StartServer
from running_server import RunningServer, free_port
from voice_stack.chat.older import KEPT_BYTES, KEPT_S, KeptSpeech, KeptSpeeches
from voice_stack.client import AsyncVoiceServiceClient, ServerError, VoiceServiceClient
from voice_stack.core.errors import NotFoundError

TEXT = "Hello, this is how it sounds."


def a_second(of: bytes = b"\0\x20\0\xe0") -> bytes:
    """A WAV file as people write them by hand: its first size is 0."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(of * (32_000 // len(of)))
    return file.getvalue()[:4] + bytes(4) + file.getvalue()[8:]


def seconds_of(file: str | io.BytesIO) -> float:
    with wave.open(file) as reader:
        return reader.getnframes() / reader.getframerate()


def port_of(server: RunningServer) -> int:
    with server.http() as client:
        (port,) = client.get("/status").json()["further_ports"]
    return int(port)


def test_the_client_that_users_have(chat_server: RunningServer, tmp_path: Path) -> None:
    recording = tmp_path / "a recording.wav"
    recording.write_bytes(a_second())

    async def use() -> None:
        async with OlderClient(f"http://127.0.0.1:{port_of(chat_server)}") as client:
            health = await client.health_check()
            assert health["status"] == "healthy"
            assert health["server"] == "chat"
            assert health["services"]["stt"] == {"engine": "fake", "initialized": True}
            assert health["services"]["tts"] == {"engine": "fake", "initialized": True}
            heard = await client.speech_to_text(recording)
            assert list(heard)[:3] == ["text", "confidence", "processing_time_seconds"]
            assert heard["text"] == "window 1.0 s."
            assert 0.85 < heard["confidence"] < 0.95
            spoken = await client.text_to_speech(TEXT, output_dir=tmp_path / "made")
            assert str(UUID(spoken["audio_file_id"], version=4)) == spoken["audio_file_id"]
            assert seconds_of(spoken["local_audio_path"]) == pytest.approx(spoken["duration_seconds"], abs=0.002)
            voices = await client.list_voices()
            assert spoken["voice_used"] == voices["default"]
            assert voices["voices"][voices["default"]].keys() == {"name", "language", "engine"}
            with pytest.raises(RuntimeError, match=r"400 .*no-such-voice.* there are .*alloy"):
                await client.text_to_speech(TEXT, "no-such-voice", output_dir=tmp_path)

    asyncio.run(use())


def test_what_the_tests_of_older_services_ask(chat_server: RunningServer) -> None:
    with chat_server.http() as client:
        assert {"service", "python_version", "engines", "endpoints"} <= client.get("/").json().keys()
        refused = client.post("/voice/tts", json={"text": ""})
        assert refused.status_code == 400
        assert refused.json()["detail"] == refused.json()["error"]["message"]
        assert client.post("/voice/tts", json={"text": "A" * 6000}).status_code == 400
        assert client.post("/voice/tts", json={"text": "A" * 900_000}).status_code == 400
        no_sound = {"audio_file": ("test.txt", b"not audio data", "text/plain")}
        assert client.post("/voice/stt", files=no_sound).status_code == 400
        assert client.post("/voice/stt", content=b"").status_code == 400
        silence = client.post("/voice/stt", files={"audio_file": ("test.wav", a_second(b"\0\0"), "audio/wav")})
        assert (silence.status_code, silence.json()["text"], silence.json()["confidence"]) == (200, "", 0.0)
        missing = client.get("/voice/audio/nonexistent-id")
        assert (missing.status_code, "detail" in missing.json()) == (404, True)
        spoken = client.post("/voice/tts", json={"text": TEXT, "format": "mp3", "colour": "red"})
        assert spoken.headers["x-ignored-fields"] == "colour"
        file = client.get(f"/voice/audio/{spoken.json()['audio_file_id']}")
        assert file.headers["content-type"] == "audio/mpeg"
        assert file.headers["content-disposition"].endswith('.mp3"')


@pytest.mark.parametrize("name", ["file", "audio", ""])
def test_a_recording_comes_by_any_name_or_as_the_body(chat_server: RunningServer, name: str) -> None:
    with chat_server.http() as client:
        sent = {"files": {name: ("a.wav", a_second())}} if name else {"content": a_second()}
        heard = client.post("/transcribe", **sent).json()  # type: ignore[arg-type]
        assert heard["segments"] == [{"start": 0.0, "end": 1.0, "text": "window 1.0 s."}]
        assert (heard["duration"], heard["language"]) == (1.0, "en")
        verbose = client.post("/voice/stt?verbose=true", **sent).json()  # type: ignore[arg-type]
        assert verbose["segments"] == heard["segments"]


def test_synthesize_gives_the_sound_or_json(chat_server: RunningServer) -> None:
    asked = {"text": TEXT, "voice": "Default", "language": "en", "speed": 1.5}
    with chat_server.http() as client:
        sound = client.post("/synthesize", json=asked, headers={"accept": "application/json, text/plain, */*"})
        assert (sound.headers["content-type"], sound.headers["x-voice-used"]) == ("audio/wav", "alloy")
        told = client.post("/synthesize", json=asked, headers={"accept": "application/json"}).json()
        audio = base64.b64decode(told["audio_base64"])
        assert audio == client.get(f"/voice/audio/{told['audio_file_id']}").content
        assert seconds_of(io.BytesIO(audio)) == pytest.approx(told["duration_seconds"], abs=0.002)


def test_a_turn_in_one_call(chat_server: RunningServer, model: ScriptedModel) -> None:
    names = {"conversation_id": "kitchen", "user_id": f"{uuid4()}"}
    with chat_server.http() as client:
        model.say("Response <th", "ink>a thought</think> text.")
        spoken = {**names, "analyst_role": "cook", "format": "wav", "colour": "red"}
        answer = client.post("/api/voice/chat", data=spoken, files={"audio": ("a.webm", a_second())})
        first = answer.json()
        assert answer.headers["x-ignored-fields"] == "colour"
        assert (first["user_transcript"], first["assistant_thinking"]) == ("window 1.0 s.", "a thought")
        assert first["assistant_text"].split() == ["Response", "text."]
        assert seconds_of(io.BytesIO(base64.b64decode(first["assistant_audio"]))) > 0.5
        assert 0.85 < first["stt_confidence"] < 0.95
        assert [first[f"{stage}_error"] for stage in ("stt", "chat", "tts")] == [None] * 3
        assert first["total_cost_usd"] == 0.0

        second = client.post("/api/voice/text", json={**names, "text": "Go on."}).json()
        assert (second["session_id"], second["stt_confidence"]) == (first["session_id"], 1.0)
        assert (second["assistant_text"], second["audio_format"]) == ("You said: Go on.", "mp3")
        heard = [message["content"] for message in model.requests[-1]["messages"]]  # type: ignore[attr-defined]
        assert heard[1:] == ["window 1.0 s.", first["assistant_text"], "Go on."]
        other = client.post("/api/voice/text", json={"text": "Hello."}).json()
        assert other["session_id"] != first["session_id"]


def test_what_fails_in_a_turn_stands_in_its_answer(chat_server: RunningServer, model: ScriptedModel) -> None:
    with chat_server.http() as client:
        unheard = client.post("/api/voice/chat", files={"audio": b"no sound at all"})
        assert (unheard.status_code, unheard.json()["assistant_text"]) == (200, "")
        assert unheard.json()["stt_error"]
        model.replies.append(JSONResponse({"error": {"message": "out of memory"}}, 500))
        unanswered = client.post("/api/voice/chat", files={"audio": a_second()}).json()
        assert (unanswered["user_transcript"], unanswered["assistant_audio"]) == ("window 1.0 s.", None)
        assert unanswered["chat_error"]
        model.say("To speak this will fail now.")
        unspoken = client.post("/api/voice/text", json={"text": "Speak."}).json()
        assert (unspoken["assistant_text"], unspoken["assistant_audio"]) == ("To speak this will fail now.", None)
        assert unspoken["tts_error"]
        for refused in ({"text": " "}, {"text": "a", "format": "mp4"}, {}):
            assert client.post("/api/voice/text", json=refused).status_code == 400
        assert client.post("/api/voice/chat", data={"user_id": "a"}, files={"audio": b""}).status_code == 400


def test_our_clients_for_their_routes(chat_server: RunningServer, tmp_path: Path) -> None:
    recording = tmp_path / "a.wav"
    recording.write_bytes(a_second())
    with VoiceServiceClient(chat_server.url) as client:
        assert client.health_check()["status"] == "healthy"
        assert client.transcribe_audio(recording) == "window 1.0 s."
        assert client.synthesize_speech(TEXT, output_dir=tmp_path / "made").parent == tmp_path / "made"
        assert "alloy" in str(client.list_voices()["voices"])

    async def use() -> None:
        async with AsyncVoiceServiceClient(chat_server.url) as client:
            assert (await client.speech_to_text(recording))["text"] == "window 1.0 s."
            spoken = await client.text_to_speech(TEXT, output_dir=tmp_path)
            assert seconds_of(str(spoken["local_audio_path"])) > 1

    asyncio.run(use())


class SomebodyElses(BaseHTTPRequestHandler):
    """A TTS server of others: no voice list, no cache, and each time another speech."""

    spoken = 0

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        SomebodyElses.spoken += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = a_second(bytes([self.spoken, 1]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def others_tts() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SomebodyElses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_without_a_server_and_with_one_of_others(start_server: StartServer, others_tts: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with start_server("chat", CHAT_ASR_URL=nowhere, CHAT_TTS_URL=others_tts) as server, server.http() as client:
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
        assert [one["initialized"] for one in health.json()["services"].values()] == [False, True]
        assert client.get("/healthz").status_code == 200
        with VoiceServiceClient(server.url) as ours, pytest.raises(ServerError, match="stt"):
            ours.health_check()
        heard = client.post("/voice/stt", content=a_second())
        assert (heard.status_code, "CHAT_ASR_URL" in heard.json()["detail"]) == (502, True)
        assert client.get("/voices").status_code == 502
        spoken = client.post("/voice/tts", json={"text": TEXT}).json()
        files = {client.get(f"/voice/audio/{spoken['audio_file_id']}").content for _ in range(2)}
        assert (len(files), spoken["duration_seconds"], SomebodyElses.spoken) == (1, 1.0, 1)


async def test_kept_speech_has_a_lifetime_and_a_bound() -> None:
    now_s = 0.0
    kept = KeptSpeeches(lambda: now_s)
    first = await kept.keep(KeptSpeech({"input": TEXT}, "wav"))
    now_s = KEPT_S
    assert (await kept.find(first)).format == "wav"
    second = await kept.keep(KeptSpeech({"input": TEXT}, "wav", bytes(KEPT_BYTES - 10_000)))
    now_s += 1
    with pytest.raises(NotFoundError):
        await kept.find(first)
    third = await kept.keep(KeptSpeech({"input": TEXT}, "wav", bytes(20_000)))
    assert await kept.find(third)
    with pytest.raises(NotFoundError):
        await kept.find(second)


def test_the_server_listens_on_further_ports_and_says_so(chat_server: RunningServer) -> None:
    port = port_of(chat_server)
    assert httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json()["server"] == "chat"
    environment = os.environ | {"HOME": str(chat_server.log.parent), "COLUMNS": "300"}
    shown = run(environment, "status", "--chat-url", chat_server.url).stdout
    assert f"also on port {port}" in shown


def test_a_further_port_that_is_taken_is_named(chat_server: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = os.environ | {"HOME": str(chat_server.log.parent), "CHAT_PORT": "0", "VOICE_PORTS": f"{port}"}
        assert_one_line(run(environment, "chat"), f"port {port} on 127.0.0.1 is in use", "VOICE_PORTS=...")
