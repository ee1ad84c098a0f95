"""`python -m benchmarks.conversation`: from the end of a spoken question to the first sound of the answer.

A small language model on one thread writes, the default model listens, the default voice speaks, all on this machine.
The Voice server's own share is measured with a model that writes one sentence at a steady pace: then a turn has one
speech, and the TTS server tells how long that took to begin.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import click
import httpx2
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.report import Figure, percentile_95, show
from benchmarks.running import Servers, find_free_port, run_servers
from benchmarks.small_model import run_small_model
from benchmarks.speech import TIMEOUT_S

QUESTIONS = (
    "What is the capital of France?",
    "Can you tell me a short story about a dog?",
    "How do I boil an egg?",
    "Why is the sky blue?",
)
OPTIONS = '{"max_tokens": 80, "temperature": 0}'
KEEPING_NOTHING = {"CHAT_LLM_OPTIONS": OPTIONS, "CHAT_CACHE": "off", "TTS_CACHE_MB": "0"}
"""Each round is answered and spoken anew, with the same words."""
ROUNDS, OWN_ROUNDS = 3, 4
FIRST_SOUND_BAR_S, OWN_BAR_S = 0.9, 0.03
SENTENCE = "Well, that is question number {} that somebody has asked me about it today."
WORD_S = 0.015
STAGES = ("stt", "first_token", "first_sentence", "first_audio", "done")
TITLE = "conversation"


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer.

    Attributes:
        first_sound_s: From the request with the question to the first sound at the client.
        timings: As the Voice server tells them: `stt`, and the others since the model was asked.
        tts_s: Sum over the turn's speeches: from the head of the request to the first byte, as the TTS server says.
    """

    first_sound_s: float
    timings: Mapping[str, float]
    tts_s: float


def measure() -> list[Figure]:
    """The loop with a real model, and the Voice server's own share of it."""
    with run_small_model() as model, run_servers(CHAT_LLM_URL=model.url, **KEEPING_NOTHING) as servers:
        turns = _talk(servers, ROUNDS)
    first_sound = tuple(turn.first_sound_s for turn in turns)
    figures = [
        Figure(f"{TITLE}: from the end of a question to the first sound", "s", first_sound, bar=FIRST_SOUND_BAR_S)
    ]
    for stage in STAGES:
        values = tuple(turn.timings[stage] for turn in turns)
        since = "" if stage == "stt" else ", since the language model was asked"
        figures.append(Figure(f"{TITLE}: {stage}{since}", "s", values))
    with _one_sentence_model() as url, run_servers(CHAT_LLM_URL=url, **KEEPING_NOTHING) as servers:
        turns = _talk(servers, OWN_ROUNDS)
    own = [turn.first_sound_s - turn.timings["stt"] - turn.timings["first_sentence"] - turn.tts_s for turn in turns]
    name = f"{TITLE}: of that the Voice server's own"
    figures.append(Figure(name, "s", tuple(own), bar=OWN_BAR_S))
    return [*figures, Figure(f"{name}, 95th percentile", "s", (percentile_95(own),), bar=OWN_BAR_S)]


def _talk(servers: Servers, rounds: int) -> list[Turn]:
    """The questions again and again, each in a conversation of its own; the first round warms up."""
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        questions = [_speak(client, servers.urls["tts"], text) for text in QUESTIONS]
        turns = [_ask(client, servers, question) for _ in range(rounds + 1) for question in questions]
    return turns[len(questions) :]


def _speak(client: httpx2.Client, tts_url: str, text: str) -> bytes:
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
    return client.post(f"{tts_url}/v1/audio/speech", json=body).raise_for_status().content


def _ask(client: httpx2.Client, servers: Servers, question: bytes) -> Turn:
    sessions = f"{servers.urls['chat']}/v1/voice/sessions"
    session = client.post(sessions, json={}).raise_for_status().json()["id"]
    before_s = _first_bytes_s(client, servers.urls["tts"])
    begun, first_sound_s = time.perf_counter(), 0.0
    files = {"file": ("question.wav", question)}
    with client.stream("POST", f"{sessions}/{session}/messages", data={"stream": "true"}, files=files) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            if not first_sound_s and '"audio.delta"' in line:
                first_sound_s = time.perf_counter() - begun
            event = json.loads(line.removeprefix("data: "))
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if event["type"] == "done":
                timings = event["message"]["timings"]
    return Turn(first_sound_s, timings, _first_bytes_s(client, servers.urls["tts"]) - before_s)


def _first_bytes_s(client: httpx2.Client, tts_url: str) -> float:
    name = "voice_stack_http_time_to_first_byte_seconds_sum"
    families = text_string_to_metric_families(client.get(f"{tts_url}/metrics").raise_for_status().text)
    samples = (sample for family in families for sample in family.samples)
    return sum(s.value for s in samples if s.name == name and s.labels["route"] == "/v1/audio/speech")


@contextmanager
def _one_sentence_model() -> Iterator[str]:
    """A language model that always says the same but for a number, so that it is spoken anew."""
    app, port, numbers = FastAPI(), find_free_port(), count(100)

    async def write(words: Sequence[str]) -> AsyncIterator[str]:
        for word in words:
            await asyncio.sleep(WORD_S)
            chunk = {"choices": [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}]}
            yield f"data: {json.dumps(chunk)}\n\n"
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n"

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": "steady", "object": "model"}]}

    @app.post("/v1/chat/completions")
    async def complete() -> StreamingResponse:
        return StreamingResponse(write(SENTENCE.format(next(numbers)).split()), media_type="text/event-stream")

    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Talk with a small model; takes two minutes."""
    show(measure(), markdown=markdown)


if __name__ == "__main__":
    main()
