"""The work of an ASR engine process: file -> windows -> text, the same for every engine."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, DecodeOptions, WindowResult
from voice_stack.asr.engine.encoder_width import narrow_frames
from voice_stack.asr.model_limits import check_limits
from voice_stack.asr.request import AsrWorkerConfig, TranscriptionRequest, TranscriptionSummary, WindowText
from voice_stack.asr.transcript import Segment
from voice_stack.asr.window_result import better, in_file_time, is_poor, lost_tail, until_complete
from voice_stack.asr.windows import Window, cut_windows
from voice_stack.core.jobs import Again, Finished, Job, Outlook, PlanStep, Produced, RunResult, Unit
from voice_stack.core.logging import log_event
from voice_stack.core.workload import Workload
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s
from voice_stack.utils.audio.vad import VadOptions

logger = logging.getLogger(__name__)

TEMPERATURE_STEP = 0.2
"""The Whisper paper's (Radford et al. 2022, section 4.5)."""
SURE_LANGUAGE = 0.5
"""Mean probability from which the language of a file is settled."""
SMALL_FILE_BYTES = 512 * 1024
LANGUAGE_WINDOWS = 3
"""Windows that are asked for the language at most."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A unit's data: the window, the temperature to decode it at, and the best text so far."""

    window: Window
    temperature: float
    best: WindowResult | None = None


class _Progress:
    """What is known of one job so far."""

    def __init__(self, request: TranscriptionRequest) -> None:
        self.request = request
        self.language = request.language
        self.probability = 1.0 if request.language else 0.0
        self.is_settled = request.language is not None
        self.votes: list[dict[str, float]] = []
        self.heard_samples = 0
        self.speech_s = 0.0

    def vote(self, probabilities: dict[str, float]) -> None:
        """Add the opinion of one window; the mean over the windows decides."""
        self.votes.append(probabilities)
        codes = {code for vote in self.votes for code in vote}
        means = {code: sum(vote.get(code, 0.0) for vote in self.votes) / len(self.votes) for code in codes}
        self.language, self.probability = max(means.items(), key=lambda item: item[1])
        self.is_settled = self.probability >= SURE_LANGUAGE or len(self.votes) >= LANGUAGE_WINDOWS


class AsrWorkload(Workload):
    """Plans and runs transcriptions.

    Args:
        config: As the process was started.
        load_engine: Called once, by the running thread.
    """

    def __init__(self, config: AsrWorkerConfig, load_engine: Callable[[], AsrEngine]) -> None:
        self._config = config
        self._load_engine = load_engine
        self._jobs: dict[str, _Progress] = {}
        self._vad = VadOptions(threshold=config.vad_threshold) if config.vad_enabled else None

    def load(self) -> None:
        self._engine = self._load_engine()
        engine = self._engine
        self.lanes, self.has_express_lane = engine.lanes, engine.has_express_lane
        self.max_batch, self.short_batch_s = engine.max_batch, engine.short_batch_s

    def plan(self, job: Job) -> Iterator[PlanStep]:
        request = job.request
        assert isinstance(request, TranscriptionRequest)
        progress = self._jobs[job.id] = _Progress(request)
        return self._cut(job, request, progress)

    def _cut(self, job: Job, request: TranscriptionRequest, progress: _Progress) -> Iterator[PlanStep]:
        # A small file is short enough for the scheduler without looking: opening it twice costs milliseconds.
        if request.path.stat().st_size > SMALL_FILE_BYTES:
            yield Outlook(probe_duration_s(request.path) or 0.0)
        blocks = decode_blocks(request.path, max_duration_s=self._config.max_audio_s)
        for window in cut_windows(_count(blocks, progress), vad=self._vad, max_window_s=self._config.window_s):
            if window is None:
                yield None
                continue
            progress.speech_s += window.speech_s
            attempt = _Attempt(window, request.temperature)
            key = self._batch_key(progress, attempt)
            # A language that is still open is settled window by window.
            yield Unit(job.id, window.index, window.duration_s, key, attempt, is_sequential=not progress.is_settled)

    def _batch_key(self, progress: _Progress, attempt: _Attempt) -> tuple[DecodeOptions, int]:
        frames = narrow_frames(attempt.window.samples.size, self._config.encoder_padding_s)
        return self._options(progress, attempt), frames

    def _options(self, progress: _Progress, attempt: _Attempt) -> DecodeOptions:
        request = progress.request
        return DecodeOptions(
            language=progress.language,
            task=request.task,
            prompt=request.prompt,
            temperature=attempt.temperature,
            beam_size=request.beam_size or self._config.beam_size,
            word_timestamps=request.word_timestamps,
        )

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, RunResult]]:
        attempts = [_attempt(unit) for unit in units]
        progress = self._jobs[units[0].job_id]
        check_limits(progress.request, self._engine.capabilities, model=self._config.model, engine=self._config.engine)
        if not progress.is_settled and attempts[0].best is None:
            progress.vote(self._engine.detect_language(attempts[0].window.samples))
        options = self._options(progress, attempts[0])
        results = self._engine.decode([attempt.window.samples for attempt in attempts], options)
        for unit, attempt, result in zip(units, attempts, results, strict=True):
            best = better(attempt.best, result)
            hotter = round(attempt.temperature + TEMPERATURE_STEP, 1)
            if is_poor(result) and hotter <= 1.0 and self._engine.capabilities.temperature:
                _log_retry(result, attempt.temperature, hotter)
                again = replace(attempt, temperature=hotter, best=best)
                key = self._batch_key(self._jobs[unit.job_id], again)
                yield unit, Again(replace(unit, data=again, batch_key=key, is_sequential=False))
                continue
            yield unit, Produced(self._text(self._jobs[unit.job_id], attempt.window, best, options))
            yield unit, Finished()

    def _text(self, progress: _Progress, window: Window, result: WindowResult, options: DecodeOptions) -> WindowText:
        segments = tuple[Segment, ...]()
        # The model may stop before its window ends; what it left out is a window of its own.
        while (rest := lost_tail(window, result)) is not None:
            log_event(logger, logging.INFO, "window decoded on", from_s=round(rest.start_s, 2))
            segments += in_file_time(until_complete(result), window)
            window = rest
            result = self._engine.decode([window.samples], replace(options, temperature=0.0))[0]
        segments += () if is_poor(result) and segments else in_file_time(result, window)
        return WindowText(segments, progress.language or result.language, progress.probability)

    def finish(self, job: Job) -> TranscriptionSummary:
        progress = self._jobs[job.id]
        return TranscriptionSummary(
            duration_s=progress.heard_samples / SAMPLE_RATE,
            speech_s=progress.speech_s,
            language=progress.language or "en",
            language_probability=progress.probability,
        )

    def forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)


def _count(blocks: Iterator[NDArray[np.float32]], progress: _Progress) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        progress.heard_samples += block.size
        yield block


def _attempt(unit: Unit) -> _Attempt:
    assert isinstance(unit.data, _Attempt)
    return unit.data


def _log_retry(result: WindowResult, temperature: float, hotter: float) -> None:
    log_event(
        logger,
        logging.DEBUG,
        "window decoded again",
        temperature=temperature,
        next_temperature=hotter,
        avg_logprob=round(result.avg_logprob, 2),
        compression_ratio=round(result.compression_ratio, 2),
    )
