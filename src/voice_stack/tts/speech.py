"""A speech: a job for each speaker, their sounds encoded as they come, and what makes two speeches the same."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
import numpy as np
import soxr
from numpy.typing import NDArray

from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.core.system.files import digest_file
from voice_stack.tts.cache.entry import SpeechFacts, SpeechPiece
from voice_stack.tts.captions.sentences import describe_sound
from voice_stack.tts.providers import SpeakingConfig
from voice_stack.tts.request import Flush, LeftOut, Sound, SpeechRequest, TtsWorkerConfig, speech_s
from voice_stack.tts.schemas import MAX_INPUT_CHARS, SpeechBody
from voice_stack.utils.audio.codecs import ExactHead
from voice_stack.utils.audio.encode import Encoder, open_encoder


@dataclass(frozen=True, slots=True)
class Turn:
    """What one engine speaks without a break, and what speaks it where that engine cannot.

    Attributes:
        unheeded: Fields of what was asked for that change nothing in it.
    """

    engine: EngineSpec
    request: SpeechRequest
    substitute: Substitute | None = None
    unheeded: frozenset[str] = frozenset()


def _told(engine: EngineSpec) -> str:
    """A model as requests name it."""
    return engine.name if engine.link == "task" else engine.model


def find_providers(turns: Sequence[Turn], substitutes: Collection[str]) -> list[str]:
    """Services of others that speak some of the turns.

    Args:
        turns: Of one speech.
        substitutes: Models that speak in place of those that were asked for.
    """
    instead = [turn.substitute.replicas[0] for turn in turns if turn.substitute]
    spared = [turn.engine for turn in turns if turn.substitute and _told(turn.substitute.replicas[0]) in substitutes]
    speaking = [turn.engine for turn in turns if turn.engine not in spared]
    speaking += [engine for engine in instead if _told(engine) in substitutes]
    return list(dict.fromkeys(engine.engine for engine in speaking if engine.link == "task"))


class Turns:
    """The jobs of the turns of one speech; lives on the event loop.

    The turns are submitted in order, each as soon as the one before it has its engine, so that an engine for the second
    is loaded while the first speaks.

    Args:
        turns: One at least.
    """

    def __init__(self, pool: EnginePool, turns: Sequence[Turn], request_id: str) -> None:
        self._pool = pool
        self._turns = tuple(turns)
        self._request_id = request_id
        self._jobs: list[asyncio.Task[JobHandle]] = []

    async def start(self) -> None:
        """Submit the first turn; the others follow by themselves."""
        for turn in self._turns:
            before = self._jobs[-1] if self._jobs else None
            self._jobs.append(asyncio.create_task(self._submit(turn, before)))
        await self._jobs[0]

    async def sounds(self) -> AsyncGenerator[Sound, None]:
        """The speech piece by piece, in order, at the sample rate of its beginning; all jobs end with the iterator.

        Raises:
            VoiceStackError: A job failed.
        """
        sample_rate: int | None = None
        try:
            for job in self._jobs:
                handle = await job
                async for output in handle.outputs():
                    assert isinstance(output, Sound)
                    sample_rate = sample_rate or output.sample_rate
                    samples = await _resample(output, sample_rate)
                    yield replace(output, samples=samples, sample_rate=sample_rate)
            if sample_rate is None:
                raise EngineError("the engine made no sound for this text")
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Nobody listens any more."""
        for job in self._jobs:
            job.cancel()
        for handle in self.handles():
            handle.cancel()

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for."""
        return tuple(dict.fromkeys(_told(handle.substitute) for handle in self.handles() if handle.substitute))

    @property
    def providers(self) -> list[str]:
        """Services of others that speak it."""
        return find_providers(self._turns, self.substitutes)

    def handles(self) -> list[JobHandle]:
        """The jobs that were submitted."""
        done = (job for job in self._jobs if job.done() and not job.cancelled() and job.exception() is None)
        return [job.result() for job in done]

    async def _submit(self, turn: Turn, before: asyncio.Task[JobHandle] | None) -> JobHandle:
        if before is not None:
            # In order: a later turn must not hold the last place for an engine while an earlier one waits for it.
            await asyncio.wait({before})
        work_s, is_fed = speech_s(turn.request), turn.request.over_time is not None
        return await self._pool.submit(
            [turn.engine], turn.request, self._request_id, turn.substitute, work_s=work_s, is_fed=is_fed
        )


async def _resample(sound: Sound, sample_rate: int) -> NDArray[np.float32]:
    if sound.sample_rate == sample_rate:
        return sound.samples
    resampled: NDArray[np.float32] = await asyncio.to_thread(
        soxr.resample, sound.samples, sound.sample_rate, sample_rate
    )
    return resampled


P = ParamSpec("P")
T = TypeVar("T")


async def run_to_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread; a cancellation goes on only when the thread is done.

    `asyncio.to_thread` gives the thread up when its caller is cancelled: the caller closes what the thread still works
    with. For a codec that is the end of the whole process.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    # A cancelled scope of anyio, as Starlette's responses have, would cancel the wait again and again.
    with anyio.CancelScope(shield=True):
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        thread.exception()  # looked at, or asyncio complains that nobody did
        raise cancelled
    return thread.result()


HEAD_S = 0.2
"""Length of the first piece that is encoded and sent: every format has some bytes ready after that."""
LONG_S = 0.5
"""A first sound of more than this is encoded in two pieces."""


class Speech:
    """A speech under way.

    Args:
        written: Length of its text, in characters.
        format_name: Of the sound.
        turns: Who speaks, begun.

    Attributes:
        written: As above; of a text over time, so far.
    """

    def __init__(self, written: int, format_name: str, turns: Turns) -> None:
        self.written, self._format_name, self._turns = written, format_name, turns
        self._audio_s = 0.0
        self._characters = 0
        self._exact_head = ExactHead()
        self._is_finished = False

    async def pieces(self) -> AsyncGenerator[SpeechPiece, None]:
        """The speech encoded, as it is spoken; in threads, because a long clause takes tens of milliseconds.

        Raises:
            VoiceStackError: A job failed.
        """
        # Opened while the engine works on the first sound, whose rate is not known before.
        opening = asyncio.ensure_future(run_to_end(open_encoder, self._format_name))
        encoder: Encoder | None = None
        try:
            async with aclosing(self._outputs()) as outputs:
                async for output in outputs:
                    if isinstance(output, Flush):
                        yield SpeechPiece(b"", {"flushed": True})
                        continue
                    start = 0
                    if encoder is None:
                        encoder = await asyncio.shield(opening)
                        encoder.take_rate(output.sample_rate)
                        if not output.is_last and output.samples.size > LONG_S * output.sample_rate:
                            # The listener hears the beginning while the codec still works on the rest of the clause.
                            start = int(HEAD_S * output.sample_rate)
                            head = await run_to_end(encoder.push, output.samples[:start])
                            yield SpeechPiece(head, heading=describe_sound(output, 0.0))
                    yield await self._encode(encoder, output, start)
            if encoder is not None and not self._is_finished:
                yield SpeechPiece(await self._finish(encoder), is_last=True)
        finally:
            (await opening).close()

    def _outputs(self) -> AsyncGenerator[Sound | Flush, None]:
        return self._turns.sounds()

    def facts(self) -> SpeechFacts:
        """What is known when all pieces have come."""
        return SpeechFacts(self._audio_s, self._exact_head)

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for, as far as it is known by now."""
        return self._turns.substitutes

    @property
    def providers(self) -> list[str]:
        """Services of others that speak it."""
        return self._turns.providers

    def cancel(self) -> None:
        """Nobody wants it any more; harmless when it is complete."""
        self._turns.cancel()

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        handles = self._turns.handles()
        run_s = sum(handle.run_s for handle in handles)
        fields: dict[str, object] = {"queue_s": round(handles[0].queue_wait_s if handles else 0.0, 3)}
        return fields | ({"rtf": round(run_s / self._audio_s, 3)} if self._audio_s else {})

    async def _encode(self, encoder: Encoder, sound: Sound, start: int = 0) -> SpeechPiece:
        heading = None if start else describe_sound(sound, self._audio_s)
        audio = await run_to_end(encoder.push, sound.samples[start:])
        if sound.is_last:
            audio += await self._finish(encoder)
        self._audio_s += sound.samples.size / sound.sample_rate
        # A blank stood between this clause and the one before it.
        self._characters = min(self._characters + len(sound.text) + bool(sound.text), self.written)
        return SpeechPiece(audio, {"characters": self._characters}, heading, is_last=sound.is_last)

    async def _finish(self, encoder: Encoder) -> bytes:
        audio = await run_to_end(encoder.finish)
        self._is_finished, self._exact_head = True, encoder.exact_head
        return audio


FED_CHARS = 2000
"""A longer piece of text goes to the engine in several, so that others have their turn between them."""


class FedSpeech(Speech):
    """A speech whose text is still being written; it is over with the iterator of its sound.

    Args:
        body: The request.
        turns: The one who speaks, begun.

    Attributes:
        left_out: What of the text so far is not spoken, by name.
        unheeded: Fields of the request that change nothing in it.
    """

    def __init__(self, body: SpeechBody, turns: Turns, unheeded: frozenset[str] = frozenset()) -> None:
        super().__init__(0, body.response_format, turns)
        self._body, (self._job,) = body, turns.handles()
        self._unfed = deque[str | Flush]()
        self._feeding: asyncio.Task[None] | None = None
        self._is_complete = False
        self.left_out: tuple[str, ...] = ()
        self.unheeded = unheeded

    async def feed(self, text: str) -> None:
        """The next piece of the text, cut anywhere.

        Raises:
            InvalidRequestError: The whole text is too long.
        """
        if self.written + len(text) > MAX_INPUT_CHARS:
            raise InvalidRequestError(
                f"the text has more than {MAX_INPUT_CHARS} characters", param="text", code="string_above_max_length"
            )
        self.written += len(text)
        self._put(text[start : start + FED_CHARS] for start in range(0, len(text), FED_CHARS))
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """Have all spoken that has come, also half a sentence; a piece with the note `flushed` comes behind it.

        Waits while the engine has too much before it: how often this is asked nothing else bounds.
        """
        await self._put([Flush()])

    def close(self) -> None:
        """The text is complete; harmless when done before."""
        self._is_complete = True
        self._put([])

    def _put(self, pieces: Iterable[str | Flush]) -> asyncio.Task[None]:
        """Behind what the engine has no room for: who writes is not kept from saying that it was enough."""
        self._unfed.extend(pieces)
        if self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._feed())
        return self._feeding

    async def _feed(self) -> None:
        while self._unfed and self._job.is_wanted and not self._job.is_over:
            piece = self._unfed.popleft()
            while isinstance(piece, str) and len(piece) < FED_CHARS and self._unfed:
                if isinstance(behind := self._unfed[0], Flush):
                    break
                piece += behind
                self._unfed.popleft()
            await self._job.feed(piece)
        if self._is_complete:
            self._job.end_input()

    async def _outputs(self) -> AsyncGenerator[Sound | Flush, None]:
        """None of a text with nothing to speak in it."""
        try:
            async for output in self._job.outputs():
                match output:
                    case Sound() | Flush():
                        yield output
                    case LeftOut(kinds):
                        self.left_out = kinds
        finally:
            self.cancel()

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        known: dict[str, object] = {"model": self._body.model, "voice": self._body.voice, "chars": self.written}
        known |= {"provider": ", ".join(self.providers)} if self.providers else {}
        return {**known, "audio_s": round(self._audio_s, 2), **super().log_fields()}


_SHAPES_NOTHING = {"model_dir", "offline", "operator_paths", "device", "threads"}
"""Fields of an engine's configuration that say where and how fast it works."""


def speech_key(turns: Sequence[Turn], format_name: str) -> str:
    """The key of a speech, 64 hexadecimal digits; it reads the files of cloned voices, so not on the event loop.

    Everything in the requests and in the engines' configuration counts, recordings and tables by their content, and the
    version of this program.

    Raises:
        OSError: A file cannot be read.
    """
    # Whether somebody waits for the beginning changes in how many pieces it comes, and no more.
    requests = [replace(turn.request, is_awaited=True) for turn in turns]
    said = [[_describe_engine(turn), asdict(request)] for turn, request in zip(turns, requests, strict=True)]
    content = [version("voice-stack"), format_name, said]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_describe_file).encode()).hexdigest()


def _describe_engine(turn: Turn) -> object:
    config = turn.engine.config
    if isinstance(config, SpeakingConfig):  # the key is no part of the sound
        asked = config.provided
        return [asked.provider.url, asked.name, config.loudness_lufs, config.pronunciations]
    assert isinstance(config, TtsWorkerConfig)
    shaping = {name: value for name, value in asdict(config).items() if name not in _SHAPES_NOTHING}
    return [shaping, _age(config.model)]


def _describe_file(value: object) -> str:
    """A file by its content, for JSON."""
    if not isinstance(value, Path):
        raise TypeError(f"{value!r} is no part of a request")
    return digest_file(value) if value.is_file() else str(value)


def _age(model: str) -> object:
    """Sizes and times of an operator's own model files, which may be replaced; none for a model from the catalogue."""
    path = Path(model).expanduser()
    if not path.exists():
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[file.name, status.st_size, status.st_mtime_ns] for file in files for status in [file.stat()]]
