"""`python -m benchmarks.providers`: what a provider's answer costs more than the provider took, both ways.

A stand-in on this machine, in a process of its own, answers with the delays of a service far away: asked directly and
through the servers, in turns.
"""

import asyncio
import io
import multiprocessing
import socket
import threading
import time
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import click
import httpx2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from benchmarks.report import Figure, percentile_95, show
from benchmarks.running import Servers, run_servers

TITLE = "provider"
BAR_S = 0.02
ROUNDS, AT_ONCE = 20, 100
FIRST_BYTE_S, PACE = 0.2, 5.0
"""A service's first byte, and how many times as fast as one listens it speaks from there on."""
THINKING_S = 0.4
"""For a transcript."""
S_PER_CHAR, RATE = 0.06, 24_000
ONE_CLAUSE = "It is one clause of forty letters or more."
SENTENCES = f"{ONE_CLAUSE} And then there is another one behind it, which nobody has to wait for."
KEY = "made-up"  # pragma: allowlist secret


def _tone(text: str) -> bytes:
    count = int(len(text) * S_PER_CHAR * RATE)
    sound: bytes = np.round(8000 * np.sin(2 * np.pi * 220 / RATE * np.arange(count))).astype("<i2").tobytes()
    return sound


def _build() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/audio/speech")
    async def speak(request: Request) -> Response:
        sound = _tone((await request.json())["input"])

        async def pieces() -> AsyncIterator[bytes]:
            await asyncio.sleep(FIRST_BYTE_S)
            for start in range(0, len(sound), piece := RATE // 2):
                yield sound[start : start + piece]
                await asyncio.sleep(len(sound[start : start + piece]) / 2 / RATE / PACE)

        return StreamingResponse(pieces(), media_type="audio/pcm")

    @app.post("/v1/audio/transcriptions")
    async def listen(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(THINKING_S)
        segment = {"id": 0, "start": 0.0, "end": 2.0, "text": " Hi there.", "tokens": [], "temperature": 0.0,
                   "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0, "seek": 0}  # fmt: skip
        return JSONResponse(
            {"task": "transcribe", "language": "english", "duration": 2.0, "text": "Hi there.", "segments": [segment]}
        )

    @app.get("/v1/audio/voices")
    async def voices() -> dict[str, object]:
        return {"voices": ["alloy"]}

    return app


def _serve(listening: socket.socket) -> None:
    config = uvicorn.Config(_build(), log_level="critical", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _run_stand_in() -> Iterator[str]:
    """Its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(listening,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()


def measure() -> list[Figure]:
    """The cost of one request at a time, and of a hundred at once."""
    with _run_stand_in() as url:
        settings = {f"{server}_PROVIDERS": "openai/*" for server in ("ASR", "TTS")}
        settings |= {"PROVIDER_OPENAI_URL": f"{url}/v1", "PROVIDER_OPENAI_KEY": KEY, "OFFLINE": "false"}
        settings |= {"ASR_PRELOAD": "false", "TTS_PRELOAD": "false"}
        with run_servers(**settings, TTS_CACHE_MB="0") as servers, httpx2.Client(trust_env=False, timeout=60) as client:
            return _measure_speech(client, servers, url) + _measure_listening(client, servers, url)


def _measure_speech(client: httpx2.Client, servers: Servers, url: str) -> list[Figure]:
    def speak(base: str, text: str, **fields: object) -> tuple[float, float]:
        """Seconds to the first byte of sound, and to the last."""
        body = {"model": "openai/tts-1" if base != url else "tts-1", "voice": "alloy", "input": text, **fields}
        began = time.perf_counter()
        with client.stream("POST", f"{base}/v1/audio/speech", json={**body, "response_format": "pcm"}) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            first_s = time.perf_counter() - began
            for _ in pieces:
                pass
        assert answer.status_code == 200
        return first_s, time.perf_counter() - began

    tts = servers.urls["tts"]
    whole = _alternate(lambda: speak(tts, ONE_CLAUSE)[1], lambda: speak(url, ONE_CLAUSE)[1])
    first = _alternate(lambda: speak(tts, SENTENCES)[0], lambda: speak(url, SENTENCES)[0])
    return [
        Figure(f"{TITLE}: speech of one clause, beyond the provider's own time", "s", whole, bar=BAR_S),
        Figure(f"{TITLE}: first sound of two sentences, beyond the provider's first byte", "s", first),
        *_measure_crowd("speech", servers, "tts", lambda: speak(tts, ONE_CLAUSE)[1], lambda: speak(url, ONE_CLAUSE)[1]),
    ]


def _measure_listening(client: httpx2.Client, servers: Servers, url: str) -> list[Figure]:
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(_tone("x" * 33)[: 2 * 2 * 16_000])

    def listen(base: str) -> float:
        form = {"model": "openai/whisper-1" if base != url else "whisper-1", "response_format": "verbose_json"}
        began = time.perf_counter()
        answer = client.post(
            f"{base}/v1/audio/transcriptions", data=form, files={"file": ("a.wav", recording.getvalue())}
        )
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - began

    asr = servers.urls["asr"]
    whole = _alternate(lambda: listen(asr), lambda: listen(url))
    return [
        Figure(f"{TITLE}: a transcript of 2 s, beyond the provider's own time", "s", whole, bar=BAR_S),
        *_measure_crowd("a transcript", servers, "asr", lambda: listen(asr), lambda: listen(url)),
    ]


def _alternate(through: Callable[[], float], direct: Callable[[], float]) -> tuple[float, ...]:
    """How much longer it takes through the server; the first round warms up."""
    pairs = [(through(), direct()) for _ in range(ROUNDS + 1)][1:]
    return tuple(ours - theirs for ours, theirs in pairs)


def _measure_crowd(
    what: str, servers: Servers, server: str, through: Callable[[], float], direct: Callable[[], float]
) -> list[Figure]:
    """A hundred requests at once: how much longer they take, and the threads of the API process meanwhile."""
    process = servers.api_processes[server]
    before, most, is_over = process.num_threads(), [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            most[0] = max(most[0], process.num_threads())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ours = _crowd(through)
    is_over.set()
    watcher.join()
    theirs = _crowd(direct)
    name = f"{TITLE}: {what}, {AT_ONCE} at once"
    return [
        Figure(f"{name}, median", "s", tuple(ours), tuple(theirs)),
        Figure(f"{name}, slowest in twenty", "s", (percentile_95(ours),), (percentile_95(theirs),)),
        Figure(f"{name}, threads of the server more than before", "", (float(most[0] - before),), bar=16.0),
    ]


def _crowd(ask: Callable[[], float]) -> list[float]:
    took: list[float] = []
    threads = [threading.Thread(target=lambda: took.append(ask())) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == AT_ONCE
    return took


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Ask a stand-in, directly and through the servers; takes two minutes."""
    show(measure(), markdown=markdown)


if __name__ == "__main__":
    main()
