"""The work of an ASR engine process: file -> windows -> text, the same for every engine."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, WindowResult, narrow_frames
from voice_stack.asr.listening.alignment import Passage, plan_alignment, run_alignment
from voice_stack.asr.listening.decoding import call_decoder, decode_blocks, describe_source, unless_gone
from voice_stack.asr.listening.detection import Excerpt, plan_detection, run_detection
from voice_stack.asr.listening.end_of_turn import load_smart_turn
from voice_stack.asr.listening.languages import WindowPart, ask_language, tell_languages
from voice_stack.asr.listening.live import LiveTurns, TurnPart, end_turns, run_drafts
from voice_stack.asr.listening.results import (
    Decode,
    JobState,
    NoConverterError,
    better,
    decode_patiently,
    is_poor,
    repeats,
    rescue,
    rewrite,
)
from voice_stack.asr.listening.suppression import complete_window
from voice_stack.asr.listening.windows import Window, choose_vad, cut_windows
from voice_stack.asr.live.turns import LiveRequest, TurnText
from voice_stack.asr.models import CAPABILITIES, check_limits
from voice_stack.asr.request import (
    AlignedText,
    AlignedWords,
    AlignmentRequest,
    AsrWorkerConfig,
    DecodeOptions,
    DetectionRequest,
    TranscriptionRequest,
    TranscriptionSummary,
    VadChoice,
    WindowText,
)
from voice_stack.asr.transcript import Segment
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Again, Expected, Job, PlanStep, RunResult, Unit, Urgency, Workload
from voice_stack.core.logging import log_event, logged_for
from voice_stack.core.system.cpus import TOLERATED_CPUS, OtherLoad
from voice_stack.core.system.memory import give_memory_back
from voice_stack.utils.audio.decode import probe_duration_s

logger = logging.getLogger(__name__)


TEMPERATURE_STEP = 0.2
"""The Whisper paper's (Radford et al. 2022, section 4.5)."""
CHARACTERS_FALLBACK = "chinese-characters"
SMALL_FILE_BYTES = 512 * 1024
ALIGNMENT_FALLBACK = "alignment"
"""What the answer's `x-fallback` says: only words that were recognised have times."""
QUIET_S = 10.0
"""After so long without work it is measured how the model is best run: nobody waits for that."""
TUNING_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A unit's data: the window, how it is to be decoded, its language once told, and the best text so far."""

    window: Window
    temperature: float
    language: str | None = None
    best: WindowResult | None = None
    is_whole: bool = False
    part: TurnPart | None = None

    def give(self, text: WindowText) -> WindowText | TurnText:
        """The result, for a file or for a turn of live sound."""
        return self.part.text(text) if self.part else text


class AsrWorkload(Workload):
    """Plans and runs transcriptions, alignments and detections; `load_engine` is called once, by the first lane."""

    def __init__(self, config: AsrWorkerConfig, load_engine: Callable[[], AsrEngine]) -> None:
        self._config = config
        self._load_engine = load_engine
        self._copies: dict[str, AsrEngine] = {}
        self._loading = threading.Lock()
        self._other_load = OtherLoad()
        self._jobs: dict[str, JobState] = {}
        self._lives: dict[str, LiveTurns] = {}
        self._begun = self._ended = 0

    def load(self) -> None:
        self._engine = self._load_engine()
        engine = self._engine
        self.lanes, self.has_express_lane = engine.lanes, engine.has_express_lane
        self.has_solo = engine.solo_threads > 0
        self.max_batch, self.short_batch_s = engine.max_batch, engine.short_batch_s
        if engine.is_untuned:
            threading.Thread(target=self._tune_when_quiet, name="tuning", daemon=True).start()

    def _tune_when_quiet(self) -> None:
        """Measure how the model is best run, when neither this process nor another one has work."""
        for _ in range(TUNING_ATTEMPTS):
            others, begun = OtherLoad(), self._begun
            time.sleep(QUIET_S)
            if not self._is_quiet_since(begun, others):
                continue
            try:
                if self._engine.tune(partial(self._is_quiet_since, begun, others)):
                    log_event(logger, logging.INFO, "measured how the model is best run here; the next load uses it")
                    return
            except (EngineError, ModelLoadError, OSError, RuntimeError) as error:
                log_event(logger, logging.INFO, "how the model is best run is not known", reason=str(error))
                return
            finally:
                give_memory_back()

    def _is_quiet_since(self, begun: int, others: OtherLoad) -> bool:
        return begun == self._begun == self._ended and others.busy_cpus() <= TOLERATED_CPUS

    @property
    def _can_align(self) -> bool:
        return CAPABILITIES[self._config.engine].alignment

    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        request = job.request
        if isinstance(request, DetectionRequest):
            vad = choose_vad(self._config, VadChoice())
            return unless_gone(plan_detection(job.id, request, vad, self._config.window_s))
        if isinstance(request, AlignmentRequest):
            has_vad = choose_vad(self._config, request.vad) is not None
            return unless_gone(plan_alignment(job, request, can_align=self._can_align, has_vad=has_vad))
        if isinstance(request, LiveRequest):
            return self._listen(job, request, fed)
        assert isinstance(request, TranscriptionRequest)
        state = self._jobs[job.id] = JobState(request, job.request_id)
        return unless_gone(self._cut(job, request, state))

    def _listen(self, job: Job, request: LiveRequest, fed: Inbox) -> Iterator[PlanStep]:
        state = self._jobs[job.id] = JobState(request, job.request_id)

        def make_data(window: Window, part: TurnPart) -> tuple[object, object]:
            attempt = _Attempt(window, request.decode.temperature, part=part)
            return attempt, self._batch_key(state, attempt)

        find_judge = partial(load_smart_turn, self._config.model_dir)
        self._lives[job.id] = LiveTurns(job, fed, state, make_data, find_judge, self._config.window_s)
        return self._lives[job.id].steps()

    def _cut(self, job: Job, request: TranscriptionRequest, state: JobState) -> Iterator[PlanStep]:
        source, vad = describe_source(request.source), choose_vad(self._config, request.vad)
        # A small file is short enough for the scheduler without looking: opening it twice costs milliseconds.
        if request.source.path.stat().st_size > SMALL_FILE_BYTES:
            # A header may claim a year; what is longer than the limit is refused when that is reached.
            state.total_s = min(call_decoder(probe_duration_s, source) or 0.0, self._config.max_audio_s)
            yield Expected(job.id, state.total_s)
        blocks = decode_blocks(source, max_duration_s=self._config.max_audio_s, warn=state.warn)
        counted, longest_s = _count(blocks, state), self._config.window_s
        for window in cut_windows(counted, vad=vad, max_window_s=longest_s, on_vad_failure=state.miss_vad):
            if window is None:
                yield None
                continue
            state.speech_s += window.speech_s
            attempt = _Attempt(window, request.decode.temperature)
            key = self._batch_key(state, attempt)
            # A language that is still open is settled window by window.
            yield Unit(job.id, window.index, window.duration_s, key, attempt, is_sequential=not state.is_settled)

    def _batch_key(self, state: JobState, attempt: _Attempt) -> tuple[DecodeOptions, int]:
        return self._options(state, attempt), narrow_frames(attempt.window.samples.size)

    def _options(self, state: JobState, attempt: _Attempt) -> DecodeOptions:
        decode, language = state.request.decode, attempt.language or state.language
        # A prompt in the language of the file would draw the text into it.
        prompt = decode.prompt if language == state.language else None
        return replace(
            decode, language=language, temperature=attempt.temperature, prompt=prompt, is_whole=attempt.is_whole
        )

    def _again(self, state: JobState, unit: Unit, attempt: _Attempt) -> Again:
        key = self._batch_key(state, attempt)
        return Again(replace(unit, data=attempt, batch_key=key, is_sequential=False))

    def _engine_for(self, urgency: Urgency, *, is_live: bool) -> AsrEngine:
        """The copy of the model for a batch; what is live does not wait until there is one.

        Threads that share a batch wait for the slowest: where other processes take a CPU, all the time.
        """
        engine, has_all = self._engine, urgency in {Urgency.ALONE, Urgency.FIRST}
        if not engine.solo_threads or (has_all and self._other_load.leaves(engine.solo_threads)):
            return engine
        purpose = "a busy machine" if has_all else "the crowd"
        load = engine.open_beside_others if has_all else engine.open_for_crowd
        if is_live and purpose not in self._copies:
            threading.Thread(target=self._copy, args=(purpose, load), name="loading a copy", daemon=True).start()
            return engine
        return self._copy(purpose, load)

    def _copy(self, purpose: str, load: Callable[[], AsrEngine]) -> AsrEngine:
        """Another copy of the model, loaded when it is needed first."""
        with self._loading:
            if purpose not in self._copies:
                try:
                    self._copies[purpose] = load()
                except ModelLoadError as error:
                    # Its files were changed under a running server: who is served goes on being served, one by one.
                    logger.warning("no copy of the model for %s: %s", purpose, error.message)
                    self._copies[purpose] = self._engine
            return self._copies[purpose]

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        self._begun += 1
        try:
            yield from self._run(units, urgency)
        finally:
            self._ended += 1

    def _run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        engine = self._engine_for(urgency, is_live=units[0].job_id in self._lives)
        if apart := self._run_apart(units, engine):
            yield from apart
            return
        attempts = [unit.data for unit in units if isinstance(unit.data, _Attempt)]
        state = self._jobs[units[0].job_id]
        check_limits(state.request, self._engine.capabilities, model=self._config.model, engine=self._config.engine)
        if not state.is_settled and attempts[0].best is None:
            ask_language(state, engine, attempts[0].window.samples, self._config.fallback_language)
        told, mixed = self._tell_languages(engine, units, attempts)
        for members in told:
            options = self._options(self._jobs[members[0][0].job_id], members[0][1])
            results = engine.decode([attempt.window.samples for _, attempt in members], options)
            for (unit, attempt), result in zip(members, results, strict=True):
                state = self._jobs[unit.job_id]
                if result.has_run_on:
                    yield self._again(state, unit, replace(attempt, is_whole=True))
                    continue
                with logged_for([state.request_id]):
                    tried = replace(attempt, best=better(attempt.best, result))
                    outcome = self._settle(engine, state, unit, tried, result, options)
                yield from outcome
        for unit, window, parts in mixed:
            state = self._jobs[unit.job_id]
            with logged_for([state.request_id]):
                texts = [self._decode_part(engine, state, part, code) for part, code in parts]
            yield unit.output(_part_of(unit).give(_window_text(state, window, chain.from_iterable(texts))))
            yield unit.done()

    def _run_apart(self, units: Sequence[Unit], engine: AsrEngine) -> Iterator[RunResult] | None:
        """What is no window to be decoded for good."""
        if isinstance(units[0].data, Excerpt):
            return run_detection(units, engine)
        if isinstance(units[0].data, AlignedText | AlignedWords | Passage):
            return run_alignment(units, engine)
        if isinstance(units[0].data, TurnPart):
            return end_turns(units)
        if units[0].is_draft:
            return self._run_drafts(units, engine)
        return None

    def _run_drafts(self, units: Sequence[Unit], engine: AsrEngine) -> Iterator[RunResult]:
        """Provisional texts; before the language is known there are none."""
        state = self._jobs[units[0].job_id]
        if not state.is_settled:
            return (unit.done() for unit in units)
        drafts = [(unit, self._lives[unit.job_id], (attempt := _part_of(unit)).window, attempt.part) for unit in units]
        return run_drafts(engine, self._options(state, _part_of(units[0])), drafts)

    def _tell_languages(
        self, engine: AsrEngine, units: Sequence[Unit], attempts: Sequence[_Attempt]
    ) -> tuple[list[list[tuple[Unit, _Attempt]]], list[tuple[Unit, Window, tuple[WindowPart, ...]]]]:
        """Units of one language each, by language; and those in which it changes, with their parts."""
        by_language: dict[str, list[tuple[Unit, _Attempt]]] = {}
        fresh, mixed = [], []
        for unit, attempt in zip(units, attempts, strict=True):
            if attempt.language:
                by_language.setdefault(attempt.language, []).append((unit, attempt))
            else:
                fresh.append((unit, attempt))
        windows, states = [attempt.window for _, attempt in fresh], [self._jobs[unit.job_id] for unit, _ in fresh]
        for (unit, attempt), parts in zip(fresh, tell_languages(engine, windows, states), strict=True):
            if len(parts) > 1:
                mixed.append((unit, attempt.window, parts))
                continue
            ((_, code),) = parts
            by_language.setdefault(code, []).append((unit, replace(attempt, language=code)))
        return list(by_language.values()), mixed

    def _decode_part(self, engine: AsrEngine, state: JobState, part: Window, code: str) -> tuple[Segment, ...]:
        """The text of a part of a window, in a language of its own."""
        options = self._options(state, _Attempt(part, state.request.decode.temperature, code))
        decode = _decoder(engine, options)
        return self._text(engine, state, part, decode_patiently(part, decode, options.temperature), options)

    def _settle(
        self,
        engine: AsrEngine,
        state: JobState,
        unit: Unit,
        tried: _Attempt,
        result: WindowResult,
        options: DecodeOptions,
    ) -> tuple[RunResult, ...]:
        """What comes of a decoded window: another attempt where the text is poor, else its text."""
        hotter = round(tried.temperature + TEMPERATURE_STEP, 1)
        # What a higher temperature has not made better, the next makes worse; but it may still end a loop.
        helps = result is tried.best or repeats(result)
        if is_poor(result) and helps and hotter <= 1.0 and self._engine.capabilities.temperature:
            fields = {"temperature": tried.temperature, "next_temperature": hotter}
            fields |= {"avg_logprob": round(result.avg_logprob, 2)}
            fields |= {"compression_ratio": round(result.compression_ratio, 2)}
            log_event(logger, logging.DEBUG, "window decoded again", **fields)
            return (self._again(state, unit, replace(tried, temperature=hotter)),)
        assert tried.best is not None
        segments = self._text(engine, state, tried.window, tried.best, options)
        if tried.part:
            self._lives[unit.job_id].decoded(tried.part, (segment.text for segment in segments))
        return unit.output(tried.give(_window_text(state, tried.window, segments))), unit.done()

    def _text(
        self, engine: AsrEngine, state: JobState, window: Window, result: WindowResult, options: DecodeOptions
    ) -> tuple[Segment, ...]:
        """What was said in a window: the rescue of lost windows first, what the model left out, then suppression."""
        steps, decode, language = state.request.suppress, _decoder(engine, options), options.language or state.main
        parts = rescue(window, result, decode) if "redecode" in steps else [(window, result)]
        segments = chain.from_iterable(complete_window(*part, decode, steps) for part in parts)
        told = tuple(_write(segment, language, state) for segment in segments)
        if told:
            state.count(language, window.duration_s)
        return told

    def finish(self, job: Job) -> TranscriptionSummary | None:
        if isinstance(job.request, DetectionRequest):
            return None
        if isinstance(job.request, AlignmentRequest):
            fallbacks = () if self._can_align else (ALIGNMENT_FALLBACK,)
            return TranscriptionSummary(
                speech_s=0.0, language=job.request.language, language_probability=1.0, fallbacks=fallbacks
            )
        state = self._jobs[job.id]
        return TranscriptionSummary(
            audio_in_s=state.heard_samples / SAMPLE_RATE,
            speech_s=state.speech_s,
            language=(language := state.most_spoken or "en"),
            language_probability=state.probabilities.get(language, state.probability),
            fallbacks=state.fallbacks,
            warnings=state.warnings,
        )

    def forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._lives.pop(job.id, None)


def _part_of(unit: Unit) -> _Attempt:
    assert isinstance(unit.data, _Attempt)
    return unit.data


def _decoder(engine: AsrEngine, options: DecodeOptions) -> Decode:
    def decode(part: Window, temperature: float) -> WindowResult:
        return engine.decode([part.samples], replace(options, temperature=temperature))[0]

    return decode


def _write(segment: Segment, language: str, state: JobState) -> Segment:
    try:
        written = rewrite(segment, language, state.request.characters)
    except NoConverterError:
        state.fall_back(CHARACTERS_FALLBACK)
        written = segment
    return replace(written, language=language)


def _window_text(state: JobState, window: Window, segments: Iterable[Segment]) -> WindowText:
    heard_s = window.to_file_s(window.duration_s, is_end=True)
    return WindowText(tuple(segments), heard_s, state.total_s, state.fallbacks, state.warnings)


def _count(blocks: Iterator[NDArray[np.float32]], state: JobState) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        state.heard_samples += block.size
        yield block
