"""A conversation as a client has it, and what is said in one."""

import io
import wave
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

LAMP = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object"}}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "lamp", "arguments": '{"on": true}'}}


@dataclass
class Conversation:
    """A session of the Voice server, as a client has it."""

    http: httpx2.Client
    url: str

    def post(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        return self.http.post(f"{self.url}/messages", json=fields, headers=headers)

    def say(self, text: str, **fields: Any) -> dict[str, Any]:
        answer = self.post(text=text, **fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def messages(self) -> list[dict[str, Any]]:
        return list(self.http.get(f"{self.url}/messages").json()["data"])

    def statuses(self) -> list[str]:
        return [f"{message['role']} {message['status']}" for message in self.messages()]

    def interrupt(self, audio_end_ms: int) -> dict[str, Any]:
        answer = self.http.post(f"{self.url}/interrupt", json={"audio_end_ms": audio_end_ms})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def wav(duration_s: float, volume: int = 9000) -> bytes:
    """A tone; the ASR server of the tests hears words in all that is no silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        tone = volume * np.sin(np.arange(round(duration_s * 16_000)) / 5)
        writer.writeframes(tone.astype("<i2").tobytes())
    return file.getvalue()
