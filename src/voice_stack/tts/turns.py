"""The jobs of one speech: one for each stretch that another engine speaks, heard one after the other."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr
from numpy.typing import NDArray

from voice_stack.core.engine_pool import EnginePool
from voice_stack.core.engine_process import EngineSpec
from voice_stack.core.errors import EngineError
from voice_stack.core.job_handle import JobHandle
from voice_stack.core.substitution import Substitute
from voice_stack.tts.request import Sound, SpeechRequest, SpeechSummary
from voice_stack.tts.work_estimate import speech_s


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
        return sum(summary.audio_s for summary in summaries if isinstance(summary, SpeechSummary))

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
        """Engines that speak in place of those that were asked for."""
        return tuple(dict.fromkeys(handle.substitute for handle in self._handles() if handle.substitute))

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
