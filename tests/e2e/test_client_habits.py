"""What real clients send that the book does not have: each is understood, or told what would be."""

import json
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2
import pytest

from e2e.sound import tone
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
TRANSCRIPTIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/speech"
SOUND = tone(1.0)
HEARD = "window 1.0 s."


@pytest.mark.parametrize("named", ["auto", "Auto", "und", "detect", "auto-detect", ""])
def test_language_that_is_to_be_found(fake_asr: RunningServer, fake_tts: RunningServer, named: str) -> None:
    with fake_asr.http() as asr, fake_tts.http() as tts:
        fields = {"model": "whisper-1", "language": named, "languages[]": named, "response_format": "verbose_json"}
        heard = asr.post(TRANSCRIPTIONS, data=fields, files={"file": ("a.wav", SOUND)})
        film = asr.post(f"/asr?output=json&language={named}", files={"audio_file": ("a.wav", SOUND)})
        spoken = tts.post(SPEECH, json={"model": "tts-1", "input": "Hello.", "language": named})
    assert (heard.status_code, heard.json()["language"]) == (200, "english")
    assert json.loads(film.text)["language"] == "en"
    assert spoken.status_code == 200


def test_a_file_without_a_name_is_a_file(fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    with fake_asr.http() as client:
        parts = {"file": (None, SOUND, "audio/ogg")}
        answer = client.post(TRANSCRIPTIONS, data={"model": "whisper-1"}, files=parts)
        film = client.post("/asr?output=txt", files={"audio_file": (None, SOUND)})
    assert answer.json()["text"] == film.text.strip() == HEARD
    with fake_tts.http() as client:
        refused = client.post("/v1/audio/voices", data={"name": "Eve"}, files={"audio_sample": (None, "voice.wav")})
        heard = client.post("/v1/audio/voices", data={"name": "Eve"}, files={"audio_sample": (None, bytes(3000))})
    assert "audio_sample" in refused.json()["error"]["message"]
    assert heard.json()["error"]["message"] != refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("//v1/audio/transcriptions", TRANSCRIPTIONS),
        ("/audio/transcriptions", TRANSCRIPTIONS),
        ("/v1/audio/transcriptions/", TRANSCRIPTIONS),
        ("/v1/v1//audio/transcriptions", TRANSCRIPTIONS),
        ("/api/v1/audio/transcriptions", TRANSCRIPTIONS),
        ("/v1/asr", "/asr"),
        ("/models/base", "/v1/models/base"),
        ("/v1/audio/transcription", "/docs"),
    ],
)
def test_an_address_that_is_nearly_right(fake_asr: RunningServer, path: str, meant: str) -> None:
    with fake_asr.http() as client:
        answer = client.post(str(client.base_url).rstrip("/") + path, files={"file": ("a.wav", SOUND)})
    assert answer.status_code == 404
    message = answer.json()["error"]["message"]
    assert message.endswith(f"Did you mean {meant}?") or meant == "/docs" in message


@pytest.mark.parametrize("query", ["voices/alloy/preview?format=mp3", "captions"])
def test_heads_and_ranges(fake_tts: RunningServer, query: str) -> None:
    with fake_tts.http() as client:
        if query == "captions":
            body = {"model": "tts-1", "input": "Hello there.", "timestamps": "word", "response_format": "wav"}
            query = client.post(SPEECH, json=body).headers["x-captions"].removeprefix("/v1/audio/")
        url = f"/v1/audio/{query}"
        whole, head = client.get(url), client.head(url)
        size = len(whole.content)
        assert (head.status_code, head.content, head.headers["accept-ranges"]) == (200, b"", "bytes")
        assert int(head.headers["content-length"]) == int(whole.headers["content-length"]) == size
        assert head.headers["content-type"] == whole.headers["content-type"]
        parts = {"0-1": (0, 2), "5-": (5, size), "-4": (size - 4, size), f"2-{size + 9}": (2, size)}
        for asked, (start, end) in parts.items():
            part = client.get(url, headers={"range": f"bytes={asked}"})
            assert (part.status_code, part.content) == (206, whole.content[start:end])
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        for odd in ("bytes=3-2", "bytes=-", "lines=0-1", "bytes=0-1,4-5"):
            assert client.get(url, headers={"range": odd}).status_code == 200
        behind = client.get(url, headers={"range": f"bytes={size}-"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{size}")
    assert behind.json()["error"]["type"] == "invalid_request_error"


def test_proxies_are_told_not_to_gather_streams(fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    with fake_asr.http() as asr, fake_tts.http() as tts:
        spoken = tts.post(SPEECH, json={"model": "tts-1", "input": "Hi. You.", "stream_format": "sse"})
        heard = asr.post(TRANSCRIPTIONS, data={"model": "whisper-1", "stream": "true"}, files={"file": ("a", SOUND)})
    assert spoken.headers["x-accel-buffering"] == heard.headers["x-accel-buffering"] == "no"


def test_bazarrs_route_heeds_or_names_what_it_is_sent(fake_asr: RunningServer) -> None:
    query = "output=txt&diarize=false&min_speakers=2&hotwords=Voice+Stack&model=fake"
    with fake_asr.http() as client:
        answer = client.post(f"/asr?{query}", data={"best_of": "5"}, files={"audio_file": ("a.wav", SOUND)})
        unknown = client.post("/asr?model=whispr-9", files={"audio_file": ("a.wav", SOUND)})
        found = client.post("/detect-language?beam=2", files={"audio_file": ("a.wav", SOUND)})
    assert answer.text.strip() == HEARD
    assert answer.headers["x-ignored-fields"] == "best_of"
    assert found.headers["x-ignored-fields"] == "beam"
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_of_http_1_0_gets_no_chunks(fake_tts: RunningServer, stream: bool) -> None:
    body = json.dumps({"model": "tts-1", "input": "Hello. " * 50, "response_format": "pcm", "stream": stream}).encode()
    head = f"POST {SPEECH} HTTP/1.0\r\nContent-Type: application/json\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fake_tts.port), 30) as sock:
        sock.sendall(head.encode() + body)
        data = b"".join(iter(lambda: sock.recv(65_536), b""))
    told, _, sound = data.partition(b"\r\n\r\n")
    assert b" 200 " in told
    assert b"chunked" not in told.lower()
    with fake_tts.http() as client:
        assert sound == client.post(SPEECH, content=body, headers={"content-type": "application/json"}).content


@pytest.mark.parametrize("origin", ["app://obsidian.md", "capacitor://localhost", "null", "file://"])
def test_web_views_are_told_what_lets_them_in(fake_asr: RunningServer, origin: str) -> None:
    def ask(client: httpx2.Client) -> httpx2.Response:
        files = {"file": ("a.wav", SOUND)}
        return client.post(TRANSCRIPTIONS, data={"model": "whisper-1"}, files=files, headers={"origin": origin})

    with fake_asr.http() as client:
        refused = ask(client)
    assert refused.status_code == 403
    assert f"add {origin} to CORS_ORIGINS" in refused.json()["error"]["message"]


def test_origins_of_web_views_can_be_allowed(start_server: StartServer) -> None:
    origins = ("app://obsidian.md", "null", "file://")
    with (
        start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", CORS_ORIGINS=",".join(origins)) as server,
        server.http() as client,
    ):
        for origin in origins:
            answer = client.get("/v1/models", headers={"origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
        assert client.get("/v1/models", headers={"origin": "app://other"}).status_code == 403
        assert server.log.read_text().count("every web page that somebody here opens") == 2
