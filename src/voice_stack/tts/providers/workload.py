"""The work of a provider that speaks: a question for each clause, two of a speech at a time, the sound in order.

A clause is passed on when all of it is there. So one that breaks off, or that cannot be what was asked for, is asked
again as if nothing had been; and where that does not help either, the speech ends with an error between two clauses.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from voice_stack.core.engine.task import AsyncWorkload, Closing
from voice_stack.core.errors import InvalidRequestError, ProviderError
from voice_stack.core.jobs import Expected, Job, MeasuredWork
from voice_stack.core.provider_client import ProviderClient, WholeAnswer
from voice_stack.tts.providers.choice import SpeakingConfig, open_wire
from voice_stack.tts.providers.wire import SAMPLE_RATE, Utterance
from voice_stack.tts.request import Flush, LeftOut, Sound, SpeechRequest, speech_s
from voice_stack.tts.sound.finishing import Delivery, VoiceLevels
from voice_stack.tts.workload import LineReader, LineStream, finish_line
from voice_stack.utils.text.pronunciation import PronunciationFile

LANES = 256
"""Speeches at once: they only wait; how many questions a provider takes at once it says itself."""
CLAUSES_AT_ONCE = 2
"""One is heard, and the next is made: more would be work for nobody, when the listener leaves."""
FASTEST_CHARS_PER_S = 50.0
"""Nobody speaks so fast, at speed 1: what is shorter is not all of the clause."""
SLOWEST_S_PER_CHAR, LONGEST_PAUSE_S = 2.0, 30.0
"""What is longer is not the clause alone."""


def build_workload(config: SpeakingConfig) -> "SpeakingWorkload":
    """The work of a provider's model."""
    return SpeakingWorkload(config)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A line, with what the same voice says just before and after it."""

    line: Delivery
    before: str
    after: str


class SpeakingWorkload(AsyncWorkload):
    """See `AsyncWorkload`."""

    lanes = LANES

    def __init__(self, config: SpeakingConfig) -> None:
        provider, self._model = config.provided.provider, config.provided.model
        self._client, self._wire = ProviderClient(provider), open_wire(provider)
        self._reader = LineReader(self._wire.can(self._model), PronunciationFile(config.pronunciations))
        self._levels = VoiceLevels(config.loudness_lufs)

    async def load(self) -> None:
        """Nothing: whether the provider answers shows with the first question, and costs no other one before it."""

    async def close(self) -> None:
        """See `AsyncWorkload`."""
        await self._client.close()

    async def run(self, job: Job) -> AsyncGenerator[object, None]:
        """See `AsyncWorkload`."""
        request = job.request
        assert isinstance(request, SpeechRequest)
        yield Expected(job.id, speech_s(request))
        samples = 0
        async with aclosing(self._sounds(self._cut(request))) as sounds:
            async for sound in sounds:
                assert isinstance(sound, Sound)
                samples += sound.samples.size
                yield sound
        characters = sum(len(passage.text) for passage in request.passages)
        yield Closing(MeasuredWork(audio_out_s=samples / SAMPLE_RATE, characters_in=characters))

    async def follow(self, job: Job, fed: AsyncGenerator[object, None]) -> AsyncGenerator[object, None]:
        """See `AsyncWorkload`."""
        request, text = job.request, _Text(fed)
        assert isinstance(request, SpeechRequest)
        assert request.over_time is not None
        stream = self._reader.follow(request.passages[0], request.over_time)
        samples = 0
        async with aclosing(self._sounds(text.turns(stream))) as sounds:
            async for sound in sounds:
                samples += sound.samples.size if isinstance(sound, Sound) else 0
                yield sound
        yield LeftOut(stream.left_out)
        yield Closing(MeasuredWork(audio_out_s=samples / SAMPLE_RATE, characters_in=text.characters))

    async def _cut(self, request: SpeechRequest) -> "AsyncGenerator[_Turn, None]":
        """The turns of a text that is there; cut in a thread, for a long sentence takes some milliseconds."""
        turns = _in_context(self._reader.lines(request))
        while (turn := await asyncio.to_thread(next, turns, None)) is not None:
            yield turn

    async def _sounds(self, turns: "AsyncGenerator[_Turn | Flush, None]") -> AsyncGenerator[Sound | Flush, None]:
        """The sounds of turns in order, each asked for while the one before it is heard; flushes between them."""
        room, asked = asyncio.Semaphore(CLAUSES_AT_ONCE), asyncio.Queue[asyncio.Task[Sound] | Flush | None]()
        under_way: set[asyncio.Task[Sound]] = set()

        async def ask() -> None:
            async with aclosing(turns):
                async for turn in turns:
                    if isinstance(turn, Flush):
                        asked.put_nowait(turn)
                        continue
                    await room.acquire()
                    under_way.add(task := asyncio.create_task(self._speak(turn)))
                    asked.put_nowait(task)

        asking = asyncio.create_task(ask())
        asking.add_done_callback(lambda _asking: asked.put_nowait(None))
        try:
            while (given := await asked.get()) is not None:
                yield given if isinstance(given, Flush) else await given
                if not isinstance(given, Flush):
                    under_way.discard(given)
                    room.release()
            await asking  # what was wrong with the text
        finally:
            for task in (asking, *under_way):
                task.cancel()
            await asyncio.gather(asking, *under_way, return_exceptions=True)

    async def _speak(self, turn: _Turn) -> Sound:
        line = turn.line
        if not line.clause.text:
            return next(finish_line(line, (), self._levels, SAMPLE_RATE))
        answer = await self._ask(turn)
        try:
            return await asyncio.to_thread(self._finish, line, answer)
        except ProviderError as error:
            if error.again_s is None:
                raise
        return await asyncio.to_thread(self._finish, line, await self._ask(turn))

    async def _ask(self, turn: _Turn, *, is_adapted: bool = False) -> WholeAnswer:
        options, text = turn.line.options, turn.line.clause.text
        utterance = Utterance(
            text, options.voice.name, turn.before, turn.after, options.language, options.speed, options.instructions
        )
        question = self._wire.question(self._model, utterance)
        longest_s = LONGEST_PAUSE_S + SLOWEST_S_PER_CHAR * len(text) / options.speed
        # In base64, and with some JSON for each letter.
        bounded = replace(question, max_bytes=round(longest_s * SAMPLE_RATE * 2 * 4 / 3) + 1000 * len(text))
        try:
            return await self._client.fetch_whole(bounded)
        except InvalidRequestError as error:
            if is_adapted or not self._wire.adapts(error):
                raise
        return await self._ask(turn, is_adapted=True)

    def _finish(self, line: Delivery, answer: WholeAnswer) -> Sound:
        """The sound of a line, trimmed, as loud and as fast as it should be; some milliseconds, so in a thread.

        Raises:
            ProviderError: The answer cannot be the clause.
        """
        spoken = self._wire.hear(answer.headers, answer.content)
        letters = sum(map(str.isalnum, line.clause.text))
        spoken_s, least_s = spoken.samples.size / SAMPLE_RATE, letters / FASTEST_CHARS_PER_S / line.options.speed
        if spoken_s < least_s or not spoken.samples.any():
            provider = self._client.provider.name
            raise ProviderError(
                f"The provider {provider} answered {spoken_s:.2f} s of sound for {letters} letters.", again_s=0.0
            )
        (sound,) = finish_line(line, [spoken], self._levels, SAMPLE_RATE)
        return sound


class _Text:
    """A text that is still being written; `characters` have come so far."""

    def __init__(self, fed: AsyncGenerator[object, None]) -> None:
        self._fed = fed
        self.characters = 0

    async def turns(self, stream: LineStream) -> AsyncGenerator[_Turn | Flush, None]:
        """The turns that are sure, and flushes behind what they are for; of what follows nobody knows."""
        before = ""
        async with aclosing(self._fed) as fed:
            async for piece in fed:
                assert isinstance(piece, str | Flush)
                self.characters += len(piece) if isinstance(piece, str) else 0
                for line in await asyncio.to_thread(list, stream.take(piece)):
                    yield _Turn(line, before, "")
                    before = line.clause.text
                if isinstance(piece, Flush):
                    yield piece
        for line in await asyncio.to_thread(list, stream.finish()):
            yield _Turn(line, before, "")
            before = line.clause.text


def _in_context(lines: Iterator[Delivery]) -> Iterator[_Turn]:
    """The lines, each with those of the same voice beside it; looks one line ahead."""
    before: Delivery | None = None
    line = next(lines, None)
    while line is not None:
        after = next(lines, None)
        beside = [one.clause.text if one and one.options.voice == line.options.voice else "" for one in (before, after)]
        yield _Turn(line, *beside)
        before, line = line, after
