"""Providers that speak, without their models: their wires over HTTP, a tone for every letter, and faults on demand.

What they send is what the official SDKs take, and they take what these send: `test_speaking_wires.py` holds them to it.
A voice has a pitch of its own, so that it is heard who speaks, and a clause the length of its letters, so that it is
heard how much of it there is.
"""

import asyncio
import base64
import json
import math
import threading
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from running_server import wait_until
from voice_stack.utils.audio.pcm import wav_header

RATE = 24_000
S_PER_CHAR = 0.06
EDGE_S = 0.1
"""Silence around each clause, as these services have it."""
KEY = "made-up-key-0123456789"  # pragma: allowlist secret
ELEVENLABS_VOICES = {"21m00Tcm4TlvDq8ikWAM": "Rachel", "EXAVITQu4vr4xnSDxMaL": "Sarah - Mature, Reassuring"}
DEEPGRAM_VOICES = ("aura-2-thalia-en", "aura-2-luna-en", "aura-2-celeste-es")
OPENAI_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "verse")


@dataclass(frozen=True)
class Asked:
    """One question that came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, object]

    @property
    def text(self) -> str:
        return str(self.body.get("input", self.body.get("text", "")))


@dataclass
class SpeakingStandIn:
    """What was asked, and what is to go wrong.

    Attributes:
        faults: Part of a text -> what happens to the questions with it, one after another; when they are used up, all
            is well. `cut`: the connection breaks in the middle; `short`: a clean end there; `odd`: half a sample is
            missing; `less`: half of the sound with the times of all of it; `empty`; `page`: HTML; `wav`: a file; `401`,
            `429`, `500`...
        answers: So many questions are answered, those behind them wait.
        at_once: So many are under way.
        has_samples: Whether the one with OpenAI's API sends bare samples, as Groq does not.
        lists_voices: Whether the one with OpenAI's API does, as many do and OpenAI does not.
    """

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    answers: float = math.inf
    at_once: int = 0
    lists_voices: bool = True
    has_samples: bool = True

    def spoken(self) -> list[Asked]:
        """The questions for sound, in the order they came."""
        return [one for one in self.asked if one.text]

    def next_fault(self, text: str, only: str = "") -> str:
        """What goes wrong with this question, or whether that does."""
        waiting = next((waiting for part, waiting in self.faults.items() if waiting and part in text), [])
        return waiting.pop(0) if waiting and only in {"", waiting[0]} else ""


def tone(text: str, voice: str, speed: float = 1.0) -> bytes:
    """16-bit samples: a tone of the voice's own pitch, as long as the text, in silence."""
    pitch_hz = 200 + zlib.crc32(voice.encode()) % 400
    count = int(len(text) * S_PER_CHAR / speed * RATE)
    wave = np.round(8000 * np.sin(2 * np.pi * pitch_hz / RATE * np.arange(count))).astype("<i2")
    edge = np.zeros(int(EDGE_S * RATE), "<i2")
    return np.concatenate([edge, wave, edge]).tobytes()


async def _send(stand_in: SpeakingStandIn, sound: bytes, fault: str) -> AsyncIterator[bytes]:
    """The answer in pieces."""
    number = len(stand_in.spoken())
    stand_in.at_once += 1
    try:
        while number > stand_in.answers:  # noqa: ASYNC110 - another thread says when
            await asyncio.sleep(0.01)
        pieces = range(0, len(sound), piece := max(len(sound) // 10, 1001))
        for place, start in enumerate(pieces):
            if place == len(pieces) // 2:
                if fault == "cut":
                    raise ConnectionAbortedError("cut on purpose")
                if fault == "short":
                    return
            yield sound[start : start + piece]
    finally:
        stand_in.at_once -= 1


def _answer(stand_in: SpeakingStandIn, asked: Asked, content: bytes, kind: str, errors: dict[str, object]) -> Response:
    fault = stand_in.next_fault(asked.text)
    if fault.isdecimal():
        return JSONResponse(errors, int(fault), {"retry-after": "0"} if fault == "429" else None)
    if fault == "page":
        return Response("<html>Welcome</html>", media_type="text/html")
    if fault == "wav":
        content, kind = wav_header(len(content) // 2, RATE) + content, "audio/wav"
    content = {"odd": content[:-1], "empty": b""}.get(fault, content)
    return StreamingResponse(_send(stand_in, content, fault), media_type=kind)


async def _receive(stand_in: SpeakingStandIn, request: Request) -> Asked:
    content = await request.body()
    body = json.loads(content) if content else {}
    asked = Asked(request.url.path, dict(request.query_params), dict(request.headers), body)
    stand_in.asked.append(asked)
    return asked


def _build(stand_in: SpeakingStandIn) -> FastAPI:
    app = FastAPI()
    _add_openai(app, stand_in)
    _add_elevenlabs(app, stand_in)
    _add_deepgram(app, stand_in)
    return app


def _add_openai(app: FastAPI, stand_in: SpeakingStandIn) -> None:
    @app.post("/v1/audio/speech")
    async def speak(request: Request) -> Response:
        asked = await _receive(stand_in, request)
        error = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            message = f"Incorrect API key provided: {asked.headers.get('authorization', '')[7:]}."
            return JSONResponse({"error": {**error, "message": message, "code": "invalid_api_key"}}, 401)
        voice = asked.body["voice"]
        if isinstance(voice, str) and voice not in OPENAI_VOICES:
            message = f"Input should be {', '.join(map(repr, OPENAI_VOICES))}"
            return JSONResponse({"error": {**error, "message": message, "param": "voice"}}, 400)
        if asked.body["response_format"] == "pcm" and not stand_in.has_samples:
            return JSONResponse({"error": {**error, "message": "`response_format` must be one of [wav]"}}, 400)
        speed = asked.body.get("speed", 1.0)
        assert isinstance(speed, int | float)
        sound, kind = tone(asked.text, str(voice), speed), "audio/pcm"
        if asked.body["response_format"] == "wav":
            sound, kind = wav_header(None, RATE) + sound, "audio/wav"
        return _answer(stand_in, asked, sound, kind, {"error": error})

    @app.get("/v1/audio/voices")
    async def voices(request: Request) -> Response:
        await _receive(stand_in, request)
        if not stand_in.lists_voices:
            return JSONResponse({"detail": "Not Found"}, 404)
        return JSONResponse({"voices": [{"id": name, "name": name.title()} for name in OPENAI_VOICES]})


def _add_elevenlabs(app: FastAPI, stand_in: SpeakingStandIn) -> None:
    @app.post("/v1/text-to-speech/{voice_id}/with-timestamps")
    async def speak(request: Request, voice_id: str) -> Response:
        asked = await _receive(stand_in, request)
        if asked.headers.get("xi-api-key") != KEY:
            return JSONResponse({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}, 401)
        if voice_id not in ELEVENLABS_VOICES:
            return JSONResponse({"detail": {"status": "voice_not_found", "message": "A voice was not found."}}, 404)
        assert asked.query["output_format"] == f"pcm_{RATE}"
        settings = asked.body.get("voice_settings", {})
        speed = settings.get("speed", 1.0) if isinstance(settings, dict) else 1.0
        letter_s = S_PER_CHAR / speed
        starts_s = [round(EDGE_S + letter_s * place, 3) for place in range(len(asked.text))]
        alignment = {
            "characters": list(asked.text),
            "character_start_times_seconds": starts_s,
            "character_end_times_seconds": [round(start_s + letter_s, 3) for start_s in starts_s],
        }
        whole = tone(asked.text, voice_id, speed)
        lacks_half = stand_in.next_fault(asked.text, "less")
        sound = base64.b64encode(whole[: len(whole) // 4 * 2] if lacks_half else whole).decode()
        content = json.dumps({"audio_base64": sound, "alignment": alignment, "normalized_alignment": alignment})
        error = {"detail": {"status": "system_busy", "message": "The system is busy."}}
        return _answer(stand_in, asked, content.encode(), "application/json", error)

    @app.get("/v2/voices")
    async def voices(request: Request) -> Response:
        """A voice on each page."""
        asked = await _receive(stand_in, request)
        page = int(asked.query.get("next_page_token", "0"))
        ids = list(ELEVENLABS_VOICES)
        labels = {"language": "en", "accent": "american", "gender": "female"}
        voice = {"voice_id": ids[page], "name": ELEVENLABS_VOICES[ids[page]], "category": "premade", "labels": labels}
        more = page + 1 < len(ids)
        token = str(page + 1) if more else None
        return JSONResponse({"voices": [voice], "has_more": more, "total_count": len(ids), "next_page_token": token})


def _add_deepgram(app: FastAPI, stand_in: SpeakingStandIn) -> None:
    @app.post("/v1/speak")
    async def speak(request: Request) -> Response:
        asked = await _receive(stand_in, request)
        if asked.headers.get("authorization") != f"Token {KEY}":
            return JSONResponse({"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials.", "request_id": "r"}, 401)
        wanted = {name: asked.query[name] for name in ("encoding", "container", "sample_rate")}
        assert wanted == {"encoding": "linear16", "container": "none", "sample_rate": str(RATE)}
        error: dict[str, object] = {"err_code": "RATE", "err_msg": "Not now.", "request_id": "r"}
        kind = f"audio/l16;rate={RATE};channels=1"
        return _answer(stand_in, asked, tone(asked.text, asked.query["model"]), kind, error)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        await _receive(stand_in, request)
        listed = [
            {"name": name.split("-")[2], "canonical_name": name, "architecture": "aura-2", "languages": [name[-2:]],
             "version": "2025-04-15.0", "uuid": "u", "metadata": {"accent": "American", "tags": ["feminine"]}}
            for name in DEEPGRAM_VOICES
        ]  # fmt: skip
        return JSONResponse({"stt": [], "tts": listed})


@contextmanager
def run_speaking_stand_in() -> Iterator[SpeakingStandIn]:
    """All three at one address, while the context lasts."""
    stand_in = SpeakingStandIn()
    config = uvicorn.Config(_build(stand_in), host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 20, "start of the stand-in")
        stand_in.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield stand_in
    finally:
        server.should_exit = True
        thread.join(10)
