"""Times of a transcription server, taken over HTTP as its users see them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from benchmarks.speech import TIMEOUT_S, Clip


@dataclass(frozen=True, slots=True)
class Answer:
    """One transcription: its text, and the seconds from the request's first byte to the answer's last."""

    text: str
    time_s: float


@dataclass(frozen=True, slots=True)
class TranscriptionServer:
    """A server under test.

    Attributes:
        url: Without `/v1`.
        model: As the server calls it.
        language: Of the clips; empty: the server has to find it.
    """

    url: str
    model: str = "whisper-1"
    language: str = "en"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with connections of its own."""
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=TIMEOUT_S) as client:
            yield client

    def _fields(self, **more: str) -> dict[str, str]:
        language = {"language": self.language} if self.language else {}
        return {"model": self.model, "response_format": "json", **language, **more}

    async def transcribe(self, client: httpx2.AsyncClient, clip: Clip) -> Answer:
        """One clip.

        Raises:
            httpx2.HTTPError: No answer, or an error.
        """
        files = {"file": (clip.path.name, clip.path.read_bytes(), "audio/wav")}
        started = time.perf_counter()
        answer = await client.post("/v1/audio/transcriptions", data=self._fields(), files=files)
        time_s = time.perf_counter() - started
        answer.raise_for_status()
        return Answer(answer.json()["text"].strip(), time_s)

    async def first_text_s(self, client: httpx2.AsyncClient, clip: Clip) -> float:
        """Seconds until the first text of a streamed transcription, upload included.

        Raises:
            httpx2.HTTPError: No answer, an error, or no text.
        """
        files = {"file": (clip.path.name, clip.path.read_bytes(), "audio/wav")}
        started = time.perf_counter()
        request = client.stream("POST", "/v1/audio/transcriptions", data=self._fields(stream="true"), files=files)
        async with request as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: {") and json.loads(line[6:]).get("type") == "transcript.text.delta":
                    return time.perf_counter() - started
        raise httpx2.ReadError("the stream ended without text")


async def one_by_one(server: TranscriptionServer, clips: Sequence[Clip]) -> list[Answer]:
    """One client, one clip after the other."""
    async with server.connect() as client:
        return [await server.transcribe(client, clip) for clip in clips]


async def many_clients(server: TranscriptionServer, clips: Sequence[Clip], clients: int) -> tuple[float, list[Answer]]:
    """Several clients share the clips; returns the seconds it took in all, and each answer."""
    waiting = list(clips)
    answers: list[Answer] = []

    async def work() -> None:
        async with server.connect() as client:
            while waiting:
                answers.append(await server.transcribe(client, waiting.pop()))

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return time.perf_counter() - started, answers


async def beside_long(
    server: TranscriptionServer, clips: Sequence[Clip], long: Clip, *, pause_s: float = 0.5
) -> tuple[Answer, list[Answer]]:
    """Short clips, now and then, while a long file is being transcribed; returns the long answer and the short ones."""
    async with server.connect() as client, server.connect() as other:
        job = asyncio.create_task(server.transcribe(other, long))
        await asyncio.sleep(2.0)
        answers: list[Answer] = []
        for clip in clips:
            if job.done():
                break
            answers.append(await server.transcribe(client, clip))
            await asyncio.sleep(pause_s)
        return await job, answers


async def first_text(server: TranscriptionServer, long: Clip) -> float:
    """Seconds until the first text of a long file."""
    async with server.connect() as client:
        return await server.first_text_s(client, long)
