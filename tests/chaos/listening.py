"""Visits to the ASR server: each asks for something whose answer is known, and checks it."""

import asyncio
import json
import random
import re
from collections.abc import Sequence
from functools import cache

import httpx2

from chaos.load import BrokenOffError, RefusedError, Visit, expect, fetch
from e2e.sound import tone

URL = "/v1/audio/transcriptions"
FAKE_ASR = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
"""Windows of two seconds, silence counts as speech: the engine says how long each window was."""
LENGTHS_S = (0.5, 1.0, 2.0, 7.0, 20.0)
WINDOW_TOLERANCE_S = 0.06
"""Each window's length is told with one digit."""
MAX_POLLS = 600
_sound = cache(tone)


def form(length_s: float, **fields: str) -> dict[str, object]:
    """A form with a sound."""
    return {"data": {"model": "whisper-1", **fields}, "files": {"file": ("a.wav", _sound(length_s))}}


def check_windows(text: str, length_s: float) -> None:
    """The windows that were heard are as long as the sound, together."""
    heard = [float(number) for number in re.findall(r"(?:window|translated) (\d+\.\d) s\.", text)]
    expect(abs(sum(heard) - length_s) <= WINDOW_TOLERANCE_S * len(heard), f"{length_s} s were heard as {text!r}")


def _order(rng: random.Random) -> str:
    return rng.choice(("", "", "sleep=0.02", f"sleep=0.05 {rng.random()}"))


async def _plain(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    answer = await fetch(client, "POST", URL, **form(length_s, prompt=_order(rng)))
    check_windows(answer.json()["text"], length_s)


async def _verbose(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word", "prompt": _order(rng)}
    told = (await fetch(client, "POST", URL, **form(length_s, **fields))).json()
    check_windows(told["text"], length_s)
    expect(abs(told["duration"] - length_s) < 0.01, told["duration"])
    ends = [word["end"] for word in told["words"]]
    expect(ends == sorted(ends) and ends[-1] <= length_s + 0.01, ends)


async def _subtitles(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    answer = await fetch(client, "POST", URL, **form(length_s, response_format="srt", prompt=_order(rng)))
    check_windows(" ".join(line for line in answer.text.splitlines() if not re.match(r"\d+$|\d\d:", line)), length_s)


async def _stream(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    answer = await fetch(client, "POST", URL, **form(length_s, stream="true", prompt=_order(rng)))
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    if "error" in events[-1]:
        raise BrokenOffError(events[-1]["error"]["message"])
    expect(events[-1]["type"] == "transcript.text.done", events[-1])
    expect(events[-1]["text"] == "".join(event["delta"] for event in events[:-1]).strip(), events)
    check_windows(events[-1]["text"], length_s)


async def _translation(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    answer = await fetch(client, "POST", "/v1/audio/translations", **form(length_s, prompt=_order(rng)))
    expect("translated" in answer.text, answer.text)
    check_windows(answer.json()["text"], length_s)


async def _background(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    job = (await fetch(client, "POST", URL, **form(length_s, background="true", prompt=_order(rng)))).json()
    where = f"/v1/jobs/{job['id']}"
    for _ in range(MAX_POLLS):
        job = (await fetch(client, "GET", where)).json()
        if job["status"] not in {"queued", "running"}:
            break
        await asyncio.sleep(0.1)
    if job["status"] == "failed":
        # A job whose end finds no room says so as an upload would.
        status = 507 if job["error"]["code"] == "storage_full" else 500
        raise RefusedError(status, job["error"]["code"], job["error"]["message"])
    expect(job["status"] == "completed", job)
    check_windows((await fetch(client, "GET", f"{where}/result")).json()["text"], length_s)
    await fetch(client, "DELETE", where)


async def _bazarr(client: httpx2.AsyncClient, rng: random.Random) -> None:
    length_s = rng.choice(LENGTHS_S)
    # A film of its own each time: equal ones are answered from memory.
    film = _sound(length_s) + rng.randbytes(16)
    query = {"task": "transcribe", "language": "en", "output": "txt", "encode": "true"}
    answer = await fetch(client, "POST", "/asr", params=query, files={"audio_file": ("film.wav", film)})
    check_windows(answer.text, length_s)


async def _language(client: httpx2.AsyncClient, rng: random.Random) -> None:
    film = _sound(2.0) + rng.randbytes(16)
    query = {"encode": "true"}
    answer = await fetch(client, "POST", "/detect-language", params=query, files={"audio_file": ("film.wav", film)})
    expect(answer.json()["language_code"] == "en", answer.text)


async def _mistake(client: httpx2.AsyncClient, rng: random.Random) -> None:
    wrong = rng.choice(({"temperature": "7"}, {"response_format": "tape"}, {"language": "xx"}))
    async with client.stream("POST", URL, **form(0.5, **wrong)) as answer:  # type: ignore[arg-type]
        body = await answer.aread()
    expect(answer.status_code == 400 and json.loads(body)["error"]["param"] == next(iter(wrong)), body)


async def _overview(client: httpx2.AsyncClient, rng: random.Random) -> None:
    for path in rng.sample(("/health", "/status", "/v1/models", "/v1/jobs", "/openapi.json"), 3):
        await fetch(client, "GET", path)


LISTENING: dict[str, Visit] = {
    "json": _plain,
    "verbose_json": _verbose,
    "srt": _subtitles,
    "stream": _stream,
    "translation": _translation,
    "background job": _background,
    "bazarr": _bazarr,
    "detect-language": _language,
    "asr mistake": _mistake,
    "asr overview": _overview,
}
"""For a server with `FAKE_ASR`."""


def hears(sound: bytes, words: Sequence[str]) -> Visit:
    """A visit that wants to find these words in a real transcription of a sound."""

    async def visit(client: httpx2.AsyncClient, _rng: random.Random) -> None:
        files = {"file": ("a.wav", sound)}
        answer = await fetch(client, "POST", URL, data={"model": "whisper-1", "language": "en"}, files=files)
        expect(all(word in answer.json()["text"].lower() for word in words), answer.text)

    return visit
