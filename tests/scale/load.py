"""A mixed load: films, clips and speeches by the official SDK, each answer looked at."""

import asyncio
import io
import random
import wave
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx2
import numpy as np
from openai import APIError, AsyncOpenAI

from scale.balancers import Balancer
from scale.network import now_s

WINDOW_S = 1.6
"""Into such the server cuts longer sound."""
UNIT_S = 0.4
"""Of the engine's time: for a window of sound, and for a sentence."""
LONG_UNITS, LONG_SHARE = 4, 0.3
LAST_S = 2
"""So long before the end nothing long is begun, so that all replicas end at about the same time."""
BEFORE_S, AFTER_S = 1.5, 4
"""Of load before and after what happens."""
SENTENCE = f"Number {{number}} takes sleep={UNIT_S} seconds."
PCM_BYTES_PER_CHARACTER = 0.06 * 24_000 * 2


def _hum(windows: int) -> bytes:
    times = np.arange(round(windows * WINDOW_S * 8000)) / 8000
    samples = (8000 * np.sin(2 * np.pi * 220 * times)).astype("<i2")
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, 8000, 0, "NONE", ""))
            writer.writeframes(samples.tobytes())
        return file.getvalue()


FILM, CLIP = _hum(LONG_UNITS), _hum(1)


@dataclass
class Log:
    """What became of the requests.

    Attributes:
        done: Right answers by replica.
        failed: What went wrong, with the time since the start in seconds.
    """

    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    started_s: float = field(default_factory=now_s)

    def __str__(self) -> str:
        done = dict(sorted(self.done.items()))
        return f"{self.done.total()} done, {len(self.failed)} failed; {done} {self.failed[:5]}"


class Client:
    """One program that asks again and again, from an address of its own.

    Args:
        url: Of a balancer.
        address: From which it comes; also what makes its texts its own.
        end_s: When to stop, by `now_s`.
        retries: As the SDK does them; 0: each refusal counts.
    """

    def __init__(self, url: str, address: str, end_s: float, retries: int) -> None:
        transport = httpx2.AsyncHTTPTransport(local_address=address)
        http = httpx2.AsyncClient(transport=transport, timeout=120, trust_env=False)
        self._client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=retries, http_client=http)
        self._random, self._name, self._count = random.Random(address), f"{url[-6:-5]}, {address[-3:]}", 0
        self._end_s = end_s

    def _units(self) -> int:
        is_long = self._random.random() < LONG_SHARE and now_s() < self._end_s - LAST_S
        return LONG_UNITS if is_long else 1

    async def listen(self) -> str:
        """A film or a clip as text; returns the replica that heard it."""
        units = self._units()
        answer = await self._client.audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=("sound.wav", FILM if units > 1 else CLIP), prompt=f"sleep={UNIT_S}"
        )
        text = answer.parse().text
        assert text.split() == ["window", "1.6", "s."] * units, text
        return answer.headers["x-replica"]

    async def speak(self) -> str:
        """A sentence or a page read aloud, which no one else has asked for; returns the replica that spoke it."""
        self._count += 1
        numbers = (f"{self._name}, {self._count}, {number}" for number in range(self._units()))
        said = " ".join(SENTENCE.format(number=number) for number in numbers)
        answer = await self._client.audio.speech.with_raw_response.create(
            model="tts-1", voice="alloy", input=said, response_format="pcm"
        )
        assert len(answer.content) > 0.9 * len(said) * PCM_BYTES_PER_CHARACTER, (len(answer.content), said)
        return answer.headers["x-replica"]

    async def go_on(self, ask: Callable[[], Awaitable[str]], log: Log, is_over: asyncio.Event | None) -> None:
        """Ask until the end."""
        while now_s() < self._end_s or (is_over and not is_over.is_set()):
            try:
                log.done[await ask()] += 1
            except (APIError, AssertionError) as error:
                log.failed.append(f"{now_s() - log.started_s:.1f} s: {type(error).__name__} {error}")
                await asyncio.sleep(0.1)
        await self._client.close()


async def load(
    url: str, addresses: Sequence[str], duration_s: float, *, retries: int = 0, is_over: asyncio.Event | None = None
) -> dict[str, Log]:
    """Ask for transcriptions and for speech, each from half of the addresses, and wait for all answers.

    Args:
        url: Of a balancer.
        addresses: Of the clients.
        duration_s: How long they ask.
        retries: See `Client`.
        is_over: They ask until this is so as well.

    Returns:
        What became of the requests to the `asr` and the `tts` servers.
    """
    logs, end_s = {"asr": Log(), "tts": Log()}, now_s() + duration_s
    async with asyncio.TaskGroup() as group:
        for number, address in enumerate(addresses):
            client = Client(url, address, end_s, retries)
            kind, ask = ("asr", client.listen) if number % 2 else ("tts", client.speak)
            group.create_task(client.go_on(ask, logs[kind], is_over))
    return logs


async def expect_all_under_load(
    balancers: Sequence[Balancer], addresses: Sequence[str], happen: Callable[[], Awaitable[None]], *, retries: int
) -> None:
    """Let something happen while each balancer has its part of the clients; all of them get right answers.

    Args:
        balancers: Which are asked.
        addresses: Of the clients.
        happen: What happens.
        retries: That a client makes of a request before it counts as lost.
    """
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, balancer in enumerate(balancers):
            part = addresses[number :: len(balancers)]
            tasks.append(group.create_task(load(balancer.url, part, 0, retries=retries, is_over=is_over)))
        await asyncio.sleep(BEFORE_S)
        try:
            await happen()
            await asyncio.sleep(AFTER_S)
        finally:
            is_over.set()
    logs = [task.result() for task in tasks]
    told = [
        f"{one.name}, {kind}: {log}" for one, both in zip(balancers, logs, strict=True) for kind, log in both.items()
    ]
    print("", *told, sep="\n")
    assert all(log.done and not log.failed for both in logs for log in both.values()), told
