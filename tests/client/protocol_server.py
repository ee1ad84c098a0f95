"""A real HTTP server that speaks the API's protocol, its failures included, and both clients behind one face."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.datastructures import UploadFile

from voice_stack.client import AsyncVoiceStackClient, VoiceStackClient
from voice_stack.client.async_client import AsyncJobs

VERBOSE_TRANSCRIPT = {
    "task": "transcribe",
    "language": "german",
    "duration": 2.5,
    "text": "Guten Tag.",
    "segments": [
        {"id": 0, "seek": 0, "start": 0.5, "end": 2.0, "text": " Guten Tag.", "tokens": [1], "temperature": 0.0}
        | {"avg_logprob": -0.25, "compression_ratio": 1.1, "no_speech_prob": 0.01}
    ],
    "words": [{"word": "Guten", "start": 0.5, "end": 1.0}, {"word": "Tag.", "start": 1.0, "end": 2.0}],
}
SRT = "1\n00:00:00,500 --> 00:00:02,000\nGuten Tag.\n\n"
AUDIO = bytes(range(256)) * 40


@dataclass(frozen=True)
class Received:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    form: list[tuple[str, str]] = field(default_factory=list)
    filename: str | None = None
    content_type: str | None = None
    content: bytes = b""
    json: object = None


async def _receive(request: Request) -> Received:
    headers, path = dict(request.headers), request.url.path
    kind = headers.get("content-type", "")
    if kind == "application/json":
        return Received(path, headers, json=await request.json())
    if not kind.startswith("multipart/form-data"):
        return Received(path, headers)
    async with request.form() as form:
        texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        file = form["file"]
        assert isinstance(file, UploadFile)
        return Received(path, headers, texts, file.filename, file.content_type, await file.read())


def _transcription(received: Received) -> Response:
    if dict(received.form)["response_format"] == "srt":
        return PlainTextResponse(SRT)
    return JSONResponse(VERBOSE_TRANSCRIPT)


_ANSWERS: dict[str, Callable[[Received], Response]] = {
    "/v1/audio/transcriptions": _transcription,
    "/v1/audio/translations": lambda _: JSONResponse(VERBOSE_TRANSCRIPT | {"language": "english", "text": "Good day."}),
    "/v1/audio/speech": lambda _: Response(AUDIO, media_type="audio/mpeg"),
    "/v1/audio/voices": lambda _: JSONResponse({"voices": [{"id": "amy", "name": "Amy", "language": "en"}]}),
    "/v1/models": lambda _: JSONResponse(
        {"object": "list", "data": [{"id": "base", "object": "model", "created": 5, "owned_by": "us"}]}
    ),
    "/health": lambda _: JSONResponse({"status": "ok", "version": "1.2.3"}),
}


class ProtocolServer:
    """Gives the answers in `script` first, then what a working server would say; notes every request."""

    def __init__(self) -> None:
        self.script: deque[Response] = deque()
        self.received: list[Received] = []
        self.delay_s = 0.0
        self.uploaded_bytes = 0
        self.app = FastAPI()
        self.app.add_api_route("/count/audio/transcriptions", self.count, methods=["POST"])
        self.app.add_api_websocket_route("/v1/audio/speech/stream", self.talk)
        self.talks: list[dict[str, object]] = []
        self.app.add_api_route("/{path:path}", self.answer, methods=["GET", "POST"])
        self.url = ""

    async def answer(self, request: Request) -> Response:
        """Play the next scripted answer, or the usual one."""
        self.received.append(await _receive(request))
        response = self.script.popleft() if self.script else _ANSWERS[request.url.path](self.received[-1])
        await asyncio.sleep(self.delay_s)
        response.headers.setdefault("x-request-id", request.headers.get("x-request-id", "req_server"))
        return response

    async def talk(self, socket: WebSocket) -> None:
        """Give each piece of text back as sound; a piece `fail` fails, and `leave` breaks the connection off."""
        await socket.accept()
        while (message := await socket.receive_json())["type"] != "end":
            self.talks.append(message | {"key": socket.headers.get("authorization")})
            match message.get("delta"):
                case None:
                    await socket.send_json({"type": "started", "sample_rate": 24_000})
                case "fail":
                    await socket.send_json({"type": "error", "error": {"message": "too long", "param": "text"}})
                case "leave":
                    await socket.close(1011)
                    return
                case str(delta):
                    await socket.send_bytes(delta.encode())
        await socket.send_json({"type": "done", "reason": "complete"})

    async def count(self, request: Request) -> Response:
        """Take an upload of any size without keeping it."""
        async for chunk in request.stream():
            self.uploaded_bytes += len(chunk)
        return JSONResponse(VERBOSE_TRANSCRIPT)


@contextmanager
def running_server(port: int = 0, script: Iterable[Response] = ()) -> Iterator[ProtocolServer]:
    """The server on a free port of this machine, or on one that is known to be free."""
    server = ProtocolServer()
    server.script.extend(script)
    uvicorn_server = uvicorn.Server(uvicorn.Config(server.app, port=port, log_level="critical"))
    thread = threading.Thread(target=uvicorn_server.run)
    thread.start()
    try:
        while not uvicorn_server.started:
            time.sleep(0.01)
        port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        uvicorn_server.should_exit = True
        thread.join()


def cut_off(*chunks: bytes, media_type: str = "audio/mpeg") -> Response:
    """An answer whose connection breaks after some chunks."""

    def body() -> Iterator[bytes]:
        yield from chunks
        raise ConnectionAbortedError

    return StreamingResponse(body(), media_type=media_type)


def held_back(first: bytes, rest: bytes, gate: threading.Event, media_type: str) -> Response:
    """An answer whose second part waits for the gate, 10 seconds at most."""

    def body() -> Iterator[bytes]:
        yield first
        gate.wait(10)
        yield rest

    return StreamingResponse(body(), media_type=media_type)


def error(status: int, message: str = "no", headers: dict[str, str] | None = None, **fields: str | None) -> Response:
    """An answer in OpenAI's error envelope, to be retried at once if at all."""
    body = {"error": {"message": message, "type": None, "param": None, "code": None} | fields}
    return JSONResponse(body, status, {"retry-after-ms": "5"} | (headers or {}))


class _Blocking:
    """An asynchronous client that is called like the synchronous one."""

    def __init__(self, client: AsyncVoiceStackClient | AsyncJobs, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    @property
    def jobs(self) -> "_Blocking":
        """The part for background jobs."""
        assert isinstance(self._client, AsyncVoiceStackClient)
        return _Blocking(self._client.jobs, self._runner)

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._client, name)

        def call(*args: object, **options: object) -> object:
            result = method(*args, **options)
            return self._pulled(result) if isinstance(result, AsyncGenerator) else self._runner.run(result)

        return call

    def _pulled(self, items: AsyncGenerator[object, None]) -> Iterator[object]:
        async def pull() -> object:
            return await anext(items, self)

        while (item := self._runner.run(pull())) is not self:
            yield item


@contextmanager
def connected(kind: str, asr_url: str, tts_url: str, **options: object) -> Iterator[VoiceStackClient]:
    """A client of either kind, with the face of the synchronous one."""
    if kind == "sync":
        with VoiceStackClient(asr_url, tts_url, **options) as client:  # type: ignore[arg-type]
            yield client
        return
    # A factory keeps the runner from becoming the thread's event loop.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        async_client = AsyncVoiceStackClient(asr_url, tts_url, **options)  # type: ignore[arg-type]
        yield cast("VoiceStackClient", _Blocking(async_client, runner))
        runner.run(async_client.aclose())
