"""Stand-ins for providers that hear: OpenAI's, ElevenLabs' and Deepgram's wires, as their SDKs use them.

They decode what they are sent, and hear one word in each half second of it: "One two. Three four." and so on. What they
were asked is kept; `next_answers` is given in place of an answer of their own.
"""

import asyncio
import io
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import av
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from running_server import free_port, wait_until

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORD_S = 0.5


@dataclass(frozen=True)
class Asked:
    """A request: its path, its headers, its fields or parameters, and the length of its sound."""

    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, list[str]]
    sound_s: float
    size: int
    media_type: str


def decode_s(content: bytes) -> float:
    """The length of a file, decoded to its end."""
    with av.open(io.BytesIO(content)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def words_of(sound_s: float) -> list[tuple[str, float, float]]:
    """What is heard: words with the marks of sentences, and their times."""
    words = []
    for number in range(int(sound_s / WORD_S + 1e-6)):
        word = NUMBERS[number % 10]
        text = f"{word}." if number % 2 else word.capitalize()
        words.append((text, number * WORD_S, (number + 0.9) * WORD_S))
    return words


@dataclass
class HearingStandIn:
    """All three at one address."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    next_answers: deque[Response] = field(default_factory=deque)
    delay_s: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    left: int = 0

    @property
    def last(self) -> Asked:
        """The last request."""
        return self.asked[-1]

    async def openai(self, request: Request) -> Response:
        """`/v1/audio/transcriptions` and `/v1/audio/translations`."""
        prepared = self._take_prepared()
        fields, content, media_type = await _read_form(request)
        sound_s = await self._take(request, fields, content, media_type)
        if prepared:
            return prepared
        words, model, form = words_of(sound_s), fields["model"][0], fields["response_format"][0]
        text = " ".join(word for word, _, _ in words)
        if form == "json":
            logprobs = [{"token": f" {word}", "logprob": -0.25} for word, _, _ in words]
            body: dict[str, object] = {"text": text, "usage": {"type": "tokens"}}
            return JSONResponse(body | ({"logprobs": logprobs} if "include[]" in fields else {}))
        halves = [words[at : at + 2] for at in range(0, len(words), 2)]
        if form == "diarized_json":
            assert "diarize" in model
            segments = [
                {"type": "transcript.text.segment", "id": f"seg_{n}", "speaker": "AB"[n % 2]}
                | {"start": half[0][1], "end": half[-1][2], "text": " ".join(word for word, _, _ in half)}
                for n, half in enumerate(halves)
            ]
            told = "\n".join(f"{part['speaker']}: {part['text']}" for part in segments)
            return JSONResponse({"task": "transcribe", "duration": sound_s, "text": told, "segments": segments})
        segments = [
            {"id": n, "seek": 0, "start": half[0][1], "end": half[-1][2], "tokens": [50364, n], "temperature": 0.0}
            | {"text": " " + " ".join(word for word, _, _ in half)}
            | {"avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01}
            for n, half in enumerate(halves)
        ]
        body = {"task": "transcribe", "language": "english", "duration": sound_s, "text": text, "segments": segments}
        if "word" in fields.get("timestamp_granularities[]", ()):  # bare, as OpenAI has them
            body["words"] = [{"word": word.strip("."), "start": start, "end": end} for word, start, end in words]
        return JSONResponse(body)

    async def elevenlabs(self, request: Request) -> Response:
        """`/v1/speech-to-text`."""
        prepared = self._take_prepared()
        fields, content, media_type = await _read_form(request)
        sound_s = await self._take(request, fields, content, media_type)
        if prepared:
            return prepared
        speaks = fields.get("diarize") == ["true"]
        words: list[dict[str, object]] = []
        for number, (text, start, end) in enumerate(words_of(sound_s)):
            who = f"speaker_{number // 2 % 2}" if speaks else None
            if words:
                words.append({"text": " ", "start": start - 0.05, "end": start, "type": "spacing", "speaker_id": who})
            words.append({"text": text, "start": start, "end": end, "type": "word", "logprob": -0.1, "speaker_id": who})
        text = "".join(str(word["text"]) for word in words)
        body = {"language_code": "eng", "language_probability": 0.98, "text": text, "words": words}
        return JSONResponse({**body, "transcription_id": "t1"})

    async def deepgram(self, request: Request) -> Response:
        """`/v1/listen`."""
        prepared = self._take_prepared()
        fields: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            fields.setdefault(name, []).append(value)
        content = await request.body()
        sound_s = await self._take(request, fields, content, request.headers["content-type"])
        if prepared:
            return prepared
        words = [
            {"word": text.strip(".").lower(), "punctuated_word": text, "start": start, "end": end, "confidence": 0.9}
            | ({"speaker": number // 2 % 2, "speaker_confidence": 0.8} if fields.get("diarize") == ["true"] else {})
            for number, (text, start, end) in enumerate(words_of(sound_s))
        ]
        best = {"transcript": " ".join(str(word["punctuated_word"]) for word in words), "confidence": 0.9}
        channel: dict[str, object] = {"alternatives": [{**best, "words": words}]}
        channel |= {"detected_language": "en", "language_confidence": 0.97} if "detect_language" in fields else {}
        told = {"transaction_key": "deprecated", "request_id": "r1", "sha256": "0" * 64, "channels": 1}
        told |= {"created": "2026-11-29T00:00:00.000Z", "duration": sound_s, "models": ["m1"]}
        info = {"m1": {"name": "general-nova-3", "version": "1", "arch": "nova-3"}}
        return JSONResponse({"metadata": {**told, "model_info": info}, "results": {"channels": [channel]}})

    async def models(self, _request: Request) -> Response:
        """What a key is tried with."""
        return self.next_answers.popleft() if self.next_answers else JSONResponse({"object": "list", "data": []})

    def _take_prepared(self) -> Response | None:
        """At once: who leaves takes no answer that is for the next."""
        return self.next_answers.popleft() if self.next_answers else None

    async def _take(self, request: Request, fields: Mapping[str, list[str]], content: bytes, media_type: str) -> float:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            began_at = time.monotonic()
            while time.monotonic() - began_at < self.delay_s:
                await asyncio.sleep(0.02)
                if await request.is_disconnected():
                    self.left += 1
                    return 0.0
            try:
                sound_s = await asyncio.to_thread(decode_s, content)
            except av.FFmpegError:  # an SDK sent what is no sound: only the wire is tried
                sound_s = 2.0
        finally:
            self.at_once -= 1
        self.asked.append(Asked(request.url.path, dict(request.headers), fields, sound_s, len(content), media_type))
        return sound_s


async def _read_form(request: Request) -> tuple[dict[str, list[str]], bytes, str]:
    fields: dict[str, list[str]] = {}
    content, media_type = b"", ""
    async with request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                content, media_type = await value.read(), value.content_type or ""
            else:
                fields.setdefault(name, []).append(value)
    return fields, content, media_type


@contextmanager
def hearing_stand_in() -> Iterator[HearingStandIn]:
    """A stand-in that listens, in a thread."""
    port = free_port()
    stand_in = HearingStandIn(f"http://127.0.0.1:{port}")
    routes = [
        Route("/v1/audio/transcriptions", stand_in.openai, methods=["POST"]),
        Route("/v1/audio/translations", stand_in.openai, methods=["POST"]),
        Route("/v1/speech-to-text", stand_in.elevenlabs, methods=["POST"]),
        Route("/v1/listen", stand_in.deepgram, methods=["POST"]),
        Route("/v1/models", stand_in.models),
        Route("/v1/projects", stand_in.models),
    ]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 10, "the stand-in listens")
        yield stand_in
    finally:
        server.should_exit = True
        thread.join(10)


if __name__ == "__main__":
    with hearing_stand_in() as running:
        print(running.url, flush=True)
        while True:
            time.sleep(60)
