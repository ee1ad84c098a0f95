"""Visits to the TTS server: texts whose speech is known, since the server has said them once when nothing disturbed."""

import base64
import json
import random
from dataclasses import dataclass

import httpx2

from chaos.load import BrokenOffError, Visit, expect, fetch
from e2e.sound import duration_s

URL = "/v1/audio/speech"
FAKE_TTS = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_LOUDNESS_LUFS": "off"}
"""Not levelled: a voice would not be as loud while it is measured as it is later, and no two speeches the same."""
TEXTS = tuple(
    " ".join(f"Text {name} has sentence number {number}, which takes sleep=0.01 seconds." for number in range(count))
    for name, count in (("one", 1), ("two", 2), ("three", 3), ("four", 8))
)
LENGTH_TOLERANCE = 0.25
"""A real voice says nothing twice in the same time, for there is chance in it."""
CODEC_TOLERANCE_S = 0.15


def ask(text: str, **fields: object) -> dict[str, object]:
    """The JSON body of a request."""
    return {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm", **fields}


@dataclass(frozen=True)
class Speaking:
    """Visits for a server with `FAKE_TTS`.

    Attributes:
        known: The samples of each of `TEXTS`, streamed.
        patient: Those of a speech that is not streamed; it need not hurry with its first words.
    """

    known: dict[str, bytes]
    patient: dict[str, bytes]

    @classmethod
    def learn(cls, client: httpx2.Client) -> "Speaking":
        """Ask for each text once."""

        def samples(text: str, stream: bool) -> bytes:
            return client.post(URL, json=ask(text, cache=False, stream=stream)).raise_for_status().content

        return cls({text: samples(text, True) for text in TEXTS}, {text: samples(text, False) for text in TEXTS})

    def visits(self) -> dict[str, Visit]:
        return {
            "pcm": self._samples,
            "pcm anew": self._anew,
            "mp3": self._mp3,
            "speech events": self._events,
            "captions": self._captions,
            "tts mistake": _mistake,
            "tts overview": _overview,
        }

    def _check(self, text: str, samples: bytes, *, streamed: bool = True) -> None:
        right = (self.known if streamed else self.patient)[text]
        expect(samples == right, f"{len(samples)} bytes that are not the {len(right)} of {text!r}")

    async def _samples(self, client: httpx2.AsyncClient, rng: random.Random) -> None:
        text = rng.choice(TEXTS)
        self._check(text, (await fetch(client, "POST", URL, json=ask(text))).content)

    async def _anew(self, client: httpx2.AsyncClient, rng: random.Random) -> None:
        text = rng.choice(TEXTS)
        streamed = rng.random() < 0.5
        body = ask(text, cache=False, stream=streamed)
        self._check(text, (await fetch(client, "POST", URL, json=body)).content, streamed=streamed)

    async def _mp3(self, client: httpx2.AsyncClient, rng: random.Random) -> None:
        text = rng.choice(TEXTS)
        body = ask(text, cache=False, response_format="mp3")
        length_s, right_s = duration_s((await fetch(client, "POST", URL, json=body)).content), self.length_s(text)
        expect(abs(length_s - right_s) < CODEC_TOLERANCE_S, f"{length_s} s in place of {right_s} s")

    def length_s(self, text: str) -> float:
        """How long a text takes, in seconds; PCM has 24,000 samples of two bytes a second."""
        return len(self.known[text]) / 48_000

    async def _events(self, client: httpx2.AsyncClient, rng: random.Random) -> None:
        text = rng.choice(TEXTS)
        answer = await fetch(client, "POST", URL, json=ask(text, stream_format="sse"))
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        if "error" in events[-1]:
            raise BrokenOffError(events[-1]["error"]["message"])
        expect(events[-1]["type"] == "speech.audio.done", events[-1])
        self._check(text, b"".join(base64.b64decode(event["audio"]) for event in events[:-1]))

    async def _captions(self, client: httpx2.AsyncClient, rng: random.Random) -> None:
        text = rng.choice(TEXTS)
        answer = await fetch(client, "POST", URL, json=ask(text, timestamps="word"))
        self._check(text, answer.content)
        told = (await fetch(client, "GET", answer.headers["x-captions"])).json()
        expect(told["status"] == "completed", told["status"])
        expect(abs(told["duration"] - self.length_s(text)) < CODEC_TOLERANCE_S, told["duration"])


async def _mistake(client: httpx2.AsyncClient, rng: random.Random) -> None:
    wrong = rng.choice(({"speed": 9}, {"response_format": "tape"}, {"voice": "nobody"}, {"input": " "}))
    async with client.stream("POST", URL, json=ask("Hello.", **wrong)) as answer:
        body = await answer.aread()
    expect(answer.status_code in {400, 404} and json.loads(body)["error"]["param"] == next(iter(wrong)), body)


async def _overview(client: httpx2.AsyncClient, rng: random.Random) -> None:
    for path in rng.sample(("/health", "/status", "/v1/models", "/v1/audio/voices", "/openapi.json"), 3):
        await fetch(client, "GET", path)


def says(text: str, length_s: float) -> Visit:
    """A visit that wants a text spoken by a real voice, in about so many seconds."""

    async def visit(client: httpx2.AsyncClient, rng: random.Random) -> None:
        body = ask(text, cache=False, response_format=rng.choice(("mp3", "wav", "opus")))
        heard_s = duration_s((await fetch(client, "POST", URL, json=body)).content)
        expect(abs(heard_s / length_s - 1) < LENGTH_TOLERANCE, f"{heard_s} s in place of {length_s} s")

    return visit
