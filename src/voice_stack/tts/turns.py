"""A speech as turns: a job for each speaker, and what makes two speeches the same."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.engine.process import EngineSpec
from voice_stack.core.errors import EngineError
from voice_stack.core.http.app import VERSION
from voice_stack.core.jobs import MeasuredWork
from voice_stack.core.system.files import digest_file
from voice_stack.tts.request import Sound, SpeechRequest, TtsWorkerConfig, speech_s


@dataclass(frozen=True, slots=True)
class Turn:
    """What one engine speaks without a break, and what speaks it where that engine cannot."""

    engine: EngineSpec
    request: SpeechRequest
    substitute: Substitute | None = None


class Turns:
    """The jobs of the turns of one speech; lives on the event loop.

    The turns are submitted in order, each as soon as the one before it has its engine, so that an engine for the second
    is loaded while the first speaks.

    Args:
        pool: Where the engines are.
        turns: One at least.
        request_id: For the logs.
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
        for handle in self._handles():
            handle.cancel()

    @property
    def audio_s(self) -> float:
        """Length of what has been spoken to the end, in seconds."""
        summaries = [handle.summary for handle in self._handles()]
        return sum(summary.audio_out_s for summary in summaries if isinstance(summary, MeasuredWork))

    @property
    def queue_wait_s(self) -> float:
        """Seconds until the engine began."""
        return next((handle.queue_wait_s for handle in self._handles()), 0.0)

    @property
    def run_s(self) -> float:
        """Seconds that the engines took, from the beginning to the end of each turn."""
        return sum(handle.run_s for handle in self._handles())

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for."""
        return tuple(dict.fromkeys(handle.substitute.model for handle in self._handles() if handle.substitute))

    def _handles(self) -> list[JobHandle]:
        """The jobs that were submitted."""
        done = (job for job in self._jobs if job.done() and not job.cancelled() and job.exception() is None)
        return [job.result() for job in done]

    async def _submit(self, turn: Turn, before: asyncio.Task[JobHandle] | None) -> JobHandle:
        if before is not None:
            # In order: a later turn must not hold the last place for an engine while an earlier one waits for it.
            await asyncio.wait({before})
        work_s = speech_s(turn.request)
        return await self._pool.submit([turn.engine], turn.request, self._request_id, turn.substitute, work_s=work_s)


async def _resample(sound: Sound, sample_rate: int) -> NDArray[np.float32]:
    if sound.sample_rate == sample_rate:
        return sound.samples
    resampled: NDArray[np.float32] = await asyncio.to_thread(
        soxr.resample, sound.samples, sound.sample_rate, sample_rate
    )
    return resampled


_SHAPES_NOTHING = {"model_dir", "offline", "operator_paths", "device", "threads"}
"""Fields of an engine's configuration that say where and how fast it works."""


def speech_key(turns: Sequence[Turn], format_name: str) -> str:
    """The key of a speech, 64 hexadecimal digits; it reads the files of cloned voices, so not on the event loop.

    Everything in the requests and in the engines' configuration counts, recordings and tables by their content, and the
    version of this program.

    Args:
        turns: Who speaks what.
        format_name: What it is encoded in.

    Raises:
        OSError: A file cannot be read.
    """
    # Whether somebody waits for the beginning changes in how many pieces it comes, and no more.
    requests = [replace(turn.request, is_awaited=True) for turn in turns]
    said = [[_describe_engine(turn), _plain(request)] for turn, request in zip(turns, requests, strict=True)]
    content = [VERSION, format_name, said]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _describe_engine(turn: Turn) -> object:
    config = turn.engine.config
    assert isinstance(config, TtsWorkerConfig)
    shaping = {field.name: getattr(config, field.name) for field in fields(config)}
    return [_plain({name: value for name, value in shaping.items() if name not in _SHAPES_NOTHING}), _age(config.model)]


def _plain(value: object) -> object:
    """A value as JSON has it; files by their content."""
    if isinstance(value, Path):
        return digest_file(value) if value.is_file() else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def _age(model: str) -> object:
    """Sizes and times of an operator's own model files, which may be replaced; none for a model from the catalogue."""
    path = Path(model).expanduser()
    if not path.exists():
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[file.name, status.st_size, status.st_mtime_ns] for file in files for status in [file.stat()]]
