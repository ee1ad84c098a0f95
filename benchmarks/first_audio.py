"""How long a listener waits for the first sound, alone and among others."""

import asyncio
import json
import time

import httpx2
from websockets.asyncio.client import connect

from benchmarks.libraries import Library
from benchmarks.report import Figure
from benchmarks.speaking_server import SpeakingServer, at_once, vary
from benchmarks.speech import PARAGRAPH, TIMEOUT_S

FORMATS = ("mp3", "pcm")
CLIENTS = 4
ALONE_BAR = 1.2
CROWD_BAR = 2.0
SPOKEN, WORD_S = 3, 0.08
FIRST_SENTENCE = PARAGRAPH.partition(".")[0] + "."


def measure(server: SpeakingServer, rounds: int) -> list[Figure]:
    """First audio byte over HTTP against the bare library's first sentence, in turn, models warm."""
    library = server.library
    bare: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in FORMATS}
    crowd: list[float] = []
    # The first round warms up and is not counted.
    for _ in range(rounds + 1):
        bare.append(_first_sentence_s(library))
        for name in FORMATS:
            alone[name].append(server.first_byte_s(vary(PARAGRAPH), name))
            server.await_idle()
        _, waits = at_once(lambda text: server.first_byte_s(text, "mp3"), [vary(PARAGRAPH) for _ in range(CLIENTS)])
        crowd += waits
        server.await_idle()
    title, reference = f"{library.name}: first audio of a 60-word paragraph", tuple(bare[1:])
    against = "over HTTP / first sentence by itself"
    return [
        *(Figure(f"{title}, {n}: {against}", "s", tuple(alone[n][1:]), reference, ALONE_BAR) for n in FORMATS),
        Figure(f"{title}, mp3, {CLIENTS} clients: {against}", "s", tuple(crowd[CLIENTS:]), reference, CROWD_BAR),
    ]


def _first_sentence_s(library: Library) -> float:
    started = time.perf_counter()
    next(library.speak(FIRST_SENTENCE, library.voices[0]))
    return time.perf_counter() - started


def measure_over_time(url: str) -> list[Figure]:
    """The first sound of a text that is still being written, and the time of one that comes at once."""
    texts = [vary(PARAGRAPH) for _ in range(2 * SPOKEN + 2)]  # the first two warm up
    shorts = [text.partition("The large")[0] for text in texts[: SPOKEN + 1]]
    first_s = [asyncio.run(_speak_over_time(url, vary(text), WORD_S))[0] for text in shorts]
    whole_s, usual_s = list[float](), list[float]()
    with httpx2.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        for text in texts[SPOKEN + 1 :]:
            whole_s.append(asyncio.run(_speak_over_time(url, text, 0.0))[1])
            begun = time.perf_counter()
            body = {"model": "tts-1", "voice": "alloy", "input": vary(text), "response_format": "pcm"}
            client.post("/v1/audio/speech", json=body).raise_for_status()
            usual_s.append(time.perf_counter() - begun)
    name = "speech over time"
    return [
        Figure(f"{name}: first sound after the first sentence is over", "s", tuple(first_s[1:]), bar=0.1),
        Figure(f"{name}: 60 words at once / by a request", "s", tuple(whole_s[1:]), tuple(usual_s[1:]), 1.05),
    ]


async def _speak_over_time(url: str, text: str, word_s: float) -> tuple[float, float]:
    """From the word after the first sentence to the first sound, and from the first word to the last sound."""
    words, sent_s, first_s = text.split(), list[float](), 0.0
    sure = 1 + next(number for number, word in enumerate(words) if word.endswith("."))
    async with connect(f"{url.replace('http', 'ws', 1)}/v1/audio/speech/stream", proxy=None, max_size=None) as socket:
        start = {"type": "start", "model": "tts-1", "voice": "alloy", "response_format": "pcm"}
        await socket.send(json.dumps(start))

        async def write() -> None:
            for word in words:
                await socket.send(json.dumps({"type": "text", "delta": f"{word} "}))
                sent_s.append(time.perf_counter())
                await asyncio.sleep(word_s)
            await socket.send(json.dumps({"type": "end"}))

        writing = asyncio.create_task(write())
        async for message in socket:
            if isinstance(message, bytes):
                first_s = first_s or time.perf_counter()
            elif json.loads(message)["type"] in {"done", "error"}:
                break
        await writing
    return first_s - sent_s[sure], time.perf_counter() - sent_s[0]
