"""A TTS server as a listener meets it: the first byte, the whole answer, many listeners at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import httpx2

from benchmarks.libraries import Library
from benchmarks.speech import TIMEOUT_S

_numbers = count(100)


@dataclass(frozen=True, slots=True)
class SpeakingServer:
    """A running TTS server.

    Attributes:
        url: Its base URL.
        library: Whose model speaks there.
    """

    url: str
    library: Library

    def first_byte_s(self, text: str, audio_format: str) -> float:
        """Seconds until the first byte of an answer, whose listener then leaves."""
        with self._ask(text, audio_format) as answer:
            chunks = (chunk for chunk in answer() if chunk)
            started = time.perf_counter()
            next(chunks)
            return time.perf_counter() - started

    def whole_s(self, text: str, audio_format: str = "mp3") -> float:
        """Seconds until the last byte of an answer."""
        with self._ask(text, audio_format) as answer:
            started = time.perf_counter()
            for _ in answer():
                pass
            return time.perf_counter() - started

    def speak(self, text: str, voice: str) -> bytes:
        """A whole speech as a WAV file."""
        body = {**self._body(text, "wav"), "voice": voice, "stream": False}
        with self._client() as client:
            answer = client.post("/v1/audio/speech", json=body)
        answer.raise_for_status()
        return answer.content

    def await_idle(self) -> None:
        """Wait until nothing is spoken any more."""
        with self._client() as client:
            while any(e["jobs_running"] or e["jobs_waiting"] for e in client.get("/status").json()["engines"]):
                time.sleep(0.02)

    def _client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, trust_env=False, timeout=TIMEOUT_S)

    def _body(self, text: str, audio_format: str) -> dict[str, object]:
        voice = self.library.voices[0]
        return {"model": self.library.model, "voice": voice, "input": text, "response_format": audio_format}

    @contextmanager
    def _ask(self, text: str, audio_format: str) -> Iterator[Callable[[], Iterator[bytes]]]:
        """Get ready to ask; the call sends the request and gives the answer's chunks."""
        body = self._body(text, audio_format)
        with self._client() as client:

            def send() -> Iterator[bytes]:
                with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                    answer.raise_for_status()
                    yield from answer.iter_raw()

            yield send


def vary(text: str) -> str:
    """The text with another last word each time, so that no answer can come from a cache."""
    return f"{text.rstrip()} Number {next(_numbers)}."


def at_once(measure: Callable[[str], float], texts: Sequence[str]) -> tuple[float, list[float]]:
    """Measure several listeners who ask at the same time.

    Returns:
        Seconds for all together, and what each measured.
    """
    with ThreadPoolExecutor(len(texts)) as listeners:
        started = time.perf_counter()
        measured = list(listeners.map(measure, texts))
        return time.perf_counter() - started, measured
