"""What Home Assistant's integration sends, in its order, with the protocol's own library; it knows nothing of ours."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

RATE = 16_000
CHUNK_BYTES = 2048
PATIENCE_S = 60.0


@dataclass
class Answer:
    """What came on one connection, in its order, and when each event did, in seconds."""

    events: list[Event] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        """The types, runs of one type once."""
        types = [event.type for event in self.events]
        return [kind for kind, before in zip(types, [None, *types], strict=False) if kind != before]

    @property
    def pcm(self) -> bytes:
        return b"".join(event.payload or b"" for event in self.events)

    @property
    def error(self) -> Error:
        return next(Error.from_event(event) for event in self.events if Error.is_type(event.type))

    @property
    def transcript(self) -> Transcript:
        return next(Transcript.from_event(event) for event in self.events if Transcript.is_type(event.type))

    @property
    def shown(self) -> str:
        """The words that were told while they were spoken."""
        return "".join(event.data["text"] for event in self.events if event.type == "transcript-chunk")


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[AsyncTcpClient]:
    """A connection; whatever is waited for on it comes in a minute."""
    async with asyncio.timeout(PATIENCE_S), AsyncTcpClient("127.0.0.1", port) as client:
        yield client


async def read_until(client: AsyncTcpClient, *last: str, into: Answer | None = None) -> Answer:
    """Events up to the first of some types, or the end of the connection; `into`: for who looks at them meanwhile."""
    answer, loop = into or Answer(), asyncio.get_running_loop()
    while (event := await client.read_event()) is not None:
        answer.events.append(event)
        answer.at_s.append(loop.time())
        if event.type in last:
            break
    return answer


async def ask_info(port: int) -> Info:
    """What a server is, as it is asked every 30 seconds."""
    async with connected(port) as client:
        await client.write_event(Describe().event())
        return Info.from_event((await read_until(client, "info")).events[-1])


async def speak(port: int, text: str, voice: SynthesizeVoice | None = None, text_format: str | None = None) -> Answer:
    """A text that is there as a whole; Home Assistant waits for `audio-stop` or the end of the connection."""
    async with connected(port) as client:
        await client.write_event(Synthesize(text, voice, text_format).event())
        return await read_until(client, "audio-stop")


async def speak_stream(port: int, pieces: Iterable[str | float], voice: SynthesizeVoice | None = None) -> Answer:
    """A text as a language model writes it, with pauses in seconds; ends with `synthesize-stopped` alone."""
    async with connected(port) as client:
        await client.write_event(SynthesizeStart(voice).event())
        reading = asyncio.create_task(read_until(client, SynthesizeStopped().event().type))
        text = ""
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                await client.write_event(SynthesizeChunk(piece).event())
                text += piece
        await client.write_event(Synthesize(text, voice).event())
        await client.write_event(SynthesizeStop().event())
        return await reading


async def send_sound(client: AsyncTcpClient, pcm: bytes, chunk_bytes: int = CHUNK_BYTES, pace: float = 0.0) -> None:
    """Sound without an end.

    Args:
        client: The connection.
        pcm: 16-bit samples at 16 kHz.
        chunk_bytes: Of an event.
        pace: 1: as it would be spoken; 0: at once.
    """
    await client.write_event(AudioStart(RATE, 2, 1).event())
    for start in range(0, len(pcm), chunk_bytes):
        chunk = pcm[start : start + chunk_bytes]
        await client.write_event(AudioChunk(RATE, 2, 1, chunk).event())
        await asyncio.sleep(pace * len(chunk) / 2 / RATE)


async def listen(port: int, pcm: bytes, asked: Transcribe, chunk_bytes: int = CHUNK_BYTES, pace: float = 0.0) -> Answer:
    """A command that is spoken."""
    async with connected(port) as client:
        reading = asyncio.create_task(read_until(client, "transcript-stop", "error"))
        await client.write_event(asked.event())
        await send_sound(client, pcm, chunk_bytes, pace)
        await client.write_event(AudioStop().event())
        return await reading
