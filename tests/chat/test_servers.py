"""The two servers as a conversation uses them: ours, and those of somebody else, which know less or fail."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from chat.scripted_model import listening
from running_server import RunningServer, free_port
from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.errors import (
    AuthenticationError,
    InvalidRequestError,
    OverloadedError,
    TooManyRequestsError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.utils.audio.pcm import wav_header

CALLER = Caller("Bearer of-the-caller", "req-1")
VOICE = VoiceChoice("alloy")
TONE = (8000 * np.sin(np.arange(48_000) / 20)).astype("<i2").tobytes()
WAV = wav_header(48_000, 16_000) + TONE
HEARD = {"text": " Hello. ", "language": "german", "duration": 3.0}


@dataclass
class OtherServer:
    """Somebody else's: it gives the answers that a test has prepared, and keeps what it was asked."""

    url: str
    answers: deque[Response] = field(default_factory=deque)
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def _other() -> Iterator[OtherServer]:
    port, app = free_port(), FastAPI()
    other = OtherServer(f"http://127.0.0.1:{port}")

    @app.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        form = await request.form()
        fields = {name: value if isinstance(value, str) else str(value.filename) for name, value in form.items()}
        other.asked.append({**request.headers, **fields})
        return other.answers.popleft()

    @app.post("/v1/audio/speech")
    async def speak(request: Request) -> Response:
        other.asked.append({**request.headers, **{name: str(value) for name, value in (await request.json()).items()}})
        return other.answers.popleft()

    with listening(app, port):
        yield other


@pytest.fixture
def other(_other: OtherServer) -> OtherServer:
    _other.answers.clear()
    _other.asked.clear()
    return _other


@asynccontextmanager
async def opened(url: str, **settings: object) -> AsyncIterator[SpeechServers]:
    servers = SpeechServers(ChatSettings.read(asr_url=url, tts_url=url, **settings))
    try:
        yield servers
    finally:
        await servers.close()


async def fail(url: str, **settings: object) -> VoiceStackError:
    """What a transcription fails with."""
    async with opened(url, **settings) as servers:
        with pytest.raises(VoiceStackError) as caught:
            await servers.transcribe(WAV, CALLER)
    return caught.value


async def test_speech_is_heard_with_its_language_and_confidence(fake_asr: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    path.write_bytes(WAV)
    async with opened(fake_asr.url) as servers:
        for file in (WAV, path):
            heard = await servers.transcribe(file, CALLER, prompt="Bonn")
            assert (heard.text[:7], heard.language, heard.duration_s) == ("window ", "en", 3.0)
            assert heard.confidence == pytest.approx(np.exp(-0.1), abs=0.001)
        with pytest.raises(InvalidRequestError) as caught:
            await servers.transcribe(b"no sound", CALLER)
        assert (caught.value.status, caught.value.param) == (400, "file")


async def test_the_voice_is_told_what_is_set_and_says_what_it_ignores(fake_tts: RunningServer) -> None:
    async with opened(f"{fake_tts.url}/v1") as servers:
        ignored = set[str]()
        how = VoiceChoice("alloy", speed=2.0, instructions="Whisper.")
        sound = b"".join([part async for part in servers.speak("Ten letters here.", how, CALLER, ignored=ignored)])
        assert len(sound) / 48_000 == pytest.approx(0.06 * 17 / 2, abs=0.4)
        assert ignored == {"instructions"}
        with pytest.raises(InvalidRequestError) as caught:
            await anext(servers.speak("Hi.", VoiceChoice("nobody"), CALLER))
        assert caught.value.param == "voice"
        assert "nobody" in caught.value.message


async def test_confidence_is_that_of_all_segments_by_their_length(other: OtherServer) -> None:
    segments = [
        {"id": 0, "start": 0.0, "end": 1.0, "text": "a", "avg_logprob": -0.1},
        {"id": 1, "start": 1.0, "end": 4.0, "text": "b", "avg_logprob": -0.5},
    ]
    other.answers += [
        JSONResponse({**HEARD, "segments": segments}),
        JSONResponse({**HEARD, "text": "", "segments": []}),
        JSONResponse({**HEARD, "segments": [{"start": 0, "end": 3, "text": "a"}]}),
    ]
    async with opened(other.url) as servers:
        sure, silent, unknown = [await servers.transcribe(WAV, CALLER, language="de") for _ in range(3)]
    assert (sure.text, sure.language) == ("Hello.", "de")
    assert sure.confidence == pytest.approx(np.exp(-0.4))
    assert (silent.text, silent.language, silent.confidence) == ("", None, 0.0)
    assert unknown.confidence is None
    assert other.asked[0]["authorization"] == CALLER.authorization
    assert (other.asked[0]["x-request-id"], other.asked[0]["language"]) == ("req-1", "de")
    assert (other.asked[0]["file"], "prompt" in other.asked[0]) == ("speech.wav", False)


async def test_a_server_without_times_is_asked_for_the_text_and_only_once_for_more(other: OtherServer) -> None:
    error = {"message": "response_format 'verbose_json' is not compatible with model", "param": "response_format"}
    text = {"text": "Hi.", "usage": {"type": "duration", "seconds": 3}}
    other.answers += [JSONResponse({"error": error}, 400), JSONResponse(text), JSONResponse(text)]
    async with opened(other.url, asr_key="ours") as servers:
        heard = [await servers.transcribe(WAV, CALLER) for _ in range(2)]
    assert [(one.text, one.confidence, one.duration_s) for one in heard] == [("Hi.", None, 3.0)] * 2
    assert [asked["response_format"] for asked in other.asked] == ["verbose_json", "json", "json"]
    assert {asked["authorization"] for asked in other.asked} == {"Bearer ours"}


async def test_refusals_stay_and_failures_name_the_setting(
    other: OtherServer, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"error": {"message": "As it is said.", "type": "x", "param": "model", "code": "its_own"}}
    cases: list[tuple[int, dict[str, str], dict[str, str], type[VoiceStackError], int]] = [
        (422, {}, {}, InvalidRequestError, 400),
        (401, {}, {}, AuthenticationError, 401),
        (401, {}, {"asr_key": "ours"}, UpstreamError, 502),
        (429, {"retry-after": "7"}, {}, TooManyRequestsError, 429),
        (503, {"retry-after": "9"}, {}, OverloadedError, 503),
        (500, {}, {}, UpstreamError, 502),
        (302, {"location": "http://169.254.169.254/"}, {}, UpstreamError, 502),
    ]
    for status, headers, settings, kind, told_status in cases:
        other.answers.append(JSONResponse(body, status, headers))
        error = await fail(other.url, **settings)
        assert (type(error), error.status) == (kind, told_status)
        assert error.retry_after_s == (float(headers["retry-after"]) if "retry-after" in headers else None)
        if kind is UpstreamError:
            assert "CHAT_ASR_" in error.message
        else:
            assert (error.message, error.param, error.code) == ("As it is said.", "model", "its_own")
    other.answers += [Response("<h1>Not Found</h1>", 404), Response('{"said": "My words"}'), Response("My words")]
    nowhere = f"http://127.0.0.1:{free_port()}/secret"
    for url in (other.url, other.url, other.url, nowhere):
        error = await fail(url)
        assert isinstance(error, UpstreamError)
        assert "CHAT_ASR_URL" in error.message
        assert "127.0.0.1" not in error.message
        assert "secret" not in error.message
    assert "My words" not in caplog.text
    assert nowhere in caplog.text


async def test_samples_come_whole_and_a_file_is_no_sound(other: OtherServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"\1", b"\2\3", b"\4\5\6", b"\7\x08"):
            yield piece
            await asyncio.sleep(0.01)

    headers = {"x-ignored-fields": "emotion, a%2Cb"}
    other.answers += [StreamingResponse(pieces(), headers=headers), Response(b"RIFF" + TONE)]
    ignored = set[str]()
    async with opened(other.url) as servers:
        parts = [part async for part in servers.speak("Hi.", VOICE, CALLER, ignored=ignored)]
        assert b"".join(parts) == bytes(range(1, 9))
        assert all(len(part) % 2 == 0 for part in parts)
        with pytest.raises(UpstreamError, match="response_format=pcm"):
            await anext(servers.speak("Hi.", VOICE, CALLER))
    assert ignored == {"emotion", "a,b"}
    assert {"speed", "language", "instructions", "emotion"}.isdisjoint(other.asked[0])


async def test_a_kept_connection_that_is_closed_without_a_word_is_made_anew() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for is_first in (True, False):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            if is_first:
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"text": "Hi"}')
        writer.close()

    listener = await asyncio.start_server(answer_once, "127.0.0.1", port := free_port())
    async with listener, opened(f"http://127.0.0.1:{port}") as servers:
        for _ in range(3):
            assert (await servers.transcribe(WAV, CALLER)).text == "Hi"
