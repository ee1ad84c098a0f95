"""Sockets of OpenAI's SDK on a server, each frame of which is held against the SDK's own types."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from asr.live.sessions import check, kinds
from e2e.sound import transcode
from running_server import RunningServer

TIMEOUT_S = 60.0
RATE = 24_000
CODECS = {"audio/pcm": ("s16le", "pcm_s16le"), "audio/pcmu": ("mulaw", "pcm_mulaw"), "audio/pcma": ("alaw", "pcm_alaw")}
Event = dict[str, Any]


def encode(wav: bytes, kind: str = "audio/pcm", rate: int = RATE) -> bytes:
    """A sound file as the wire has it."""
    return transcode(wav, *CODECS[kind], rate if kind == "audio/pcm" else 8000, "mono")


def quiet(duration_s: float, rate: int = RATE) -> bytes:
    """Silence as PCM."""
    return bytes(2 * round(duration_s * rate))


class Live:
    """One session.

    Args:
        connection: Of the SDK.
        is_typed: Its events are those of the SDK's types.

    Attributes:
        events: All that came.
    """

    def __init__(self, connection: AsyncRealtimeConnection, *, is_typed: bool) -> None:
        self.connection, self.is_typed, self.events = connection, is_typed, list[Event]()

    async def send(self, kind: str, /, **fields: object) -> None:
        await self.connection._connection.send(json.dumps({"type": kind, **fields}))

    async def update(self, **session: object) -> Event:
        """What is shown after a change of the session."""
        await self.send("session.update", session={"type": "transcription", **session})
        shown: Event = (await self.wait_for("session.updated"))["session"]
        return shown

    async def set(self, **sound: object) -> Event:
        """The same of `audio.input`."""
        shown: Event = (await self.update(audio={"input": sound}))["audio"]["input"]
        return shown

    async def say(self, sound: bytes, step: int = 4800, bytes_per_s: int = 0) -> None:
        """Send sound in pieces, at the speed of speech if it is told how many bytes that is."""
        begun = time.monotonic()
        for at in range(0, len(sound), step):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(sound[at : at + step]).decode())
            if bytes_per_s:
                await asyncio.sleep(begun + (at + step) / bytes_per_s - time.monotonic())

    async def next(self) -> Event:
        """The next event."""
        async with asyncio.timeout(TIMEOUT_S):
            event = json.loads(await self.connection.recv_bytes())
        rate = ((((event.get("session") or {}).get("audio") or {}).get("input") or {}).get("format") or {}).get("rate")
        if self.is_typed and rate in {None, RATE}:  # other rates are an extension
            check([event])
        self.events.append(event)
        return event

    async def wait_for(self, suffix: str, count: int = 1) -> Event:
        """The last of so many events whose type ends so, from here on."""
        while True:
            event = await self.next()
            count -= event["type"].endswith(suffix)
            if not count:
                return event

    async def drain(self) -> list[Event]:
        """What still comes, up to the answer to an event that follows all others."""
        await self.send("input_audio_buffer.clear")
        await self.wait_for("input_audio_buffer.cleared")
        return self.events

    def of(self, suffix: str) -> list[Event]:
        """The events whose type ends so."""
        return [event for event in self.events if event["type"].endswith(suffix)]

    @property
    def texts(self) -> list[str]:
        """Of the turns that completed."""
        return [event["transcript"] for event in self.of(".completed")]

    @property
    def kinds(self) -> list[str]:
        """See `asr.live.sessions.kinds`."""
        return kinds(self.events)


@asynccontextmanager
async def live(
    server: RunningServer,
    query: Mapping[str, str] | None = None,
    key: str = "unused",
    *,
    is_typed: bool = True,
    **options: Any,
) -> AsyncGenerator[Live]:
    """A session that has told that it is open."""
    asked = {"intent": "transcription"} if query is None else dict(query)
    async with (
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key) as client,
        client.realtime.connect(extra_query=asked, **options) as connection,
    ):
        session = Live(connection, is_typed=is_typed)
        await session.wait_for("session.created")
        yield session
