"""Speech requests over plain HTTP, and what comes back."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from running_server import RunningServer

# Levelled, a voice would not be as loud while it is measured as it is later: then no two speeches are the same bytes.
FAKE = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_LOUDNESS_LUFS": "off"}
LIGHTS = "Yes, lights on."


def body(text: str, **fields: object) -> dict[str, object]:
    return {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm", **fields}


def speak(server: RunningServer, text: str, headers: dict[str, str] | None = None, **fields: object) -> httpx2.Response:
    with server.http() as client:
        return client.post("/v1/audio/speech", json=body(text, **fields), headers=headers)


def sentences(count: int, order: str = "", *, words: str = "takes its time") -> str:
    """A text of so many sentences, each of which gives the fake engine an order."""
    return " ".join(f"Sentence number {index} of this book {words} {order}." for index in range(count))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.speech"))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


@dataclass(frozen=True)
class Events:
    """What an event stream said."""

    audio: bytes
    characters: list[int]
    last: dict[str, Any]

    @property
    def file(self) -> bytes:
        """The audio with the head that states its length."""
        head = self.last.get("exact_head")
        return base64.b64decode(head["data"]) + self.audio[head["replaces"] :] if head else self.audio


def read_events(text: str) -> Events:
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]
    deltas = [event for event in events if event.get("type") == "speech.audio.delta"]
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    return Events(audio, [event["characters"] for event in deltas if "characters" in event], events[-1])
