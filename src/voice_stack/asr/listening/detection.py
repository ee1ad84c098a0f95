"""Finding the language of a file in the engine process: a few excerpts with speech, each an opinion of its own."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, TimeSpan
from voice_stack.asr.listening.decoding import decode_excerpt, probe_duration_s
from voice_stack.asr.listening.language_spread import (
    EXCERPT_S,
    LEAST_SPEECH_S,
    MOST_DOUBT,
    cut_stretches,
    excerpt_starts,
    is_in_doubt,
    name_stretches,
)
from voice_stack.asr.listening.results import (
    LANGUAGE_FALLBACK,
    JobState,
    after,
    among_candidates,
    before,
    find_quiet,
)
from voice_stack.asr.listening.windows import Window, cut_windows, describe_source
from voice_stack.asr.request import DetectionRequest, LanguageVote
from voice_stack.core.errors import AudioTooShortError, EngineError, InvalidAudioError
from voice_stack.core.jobs import PlanStep, RunResult, Unit
from voice_stack.core.logging import log_event
from voice_stack.utils.audio.sources import AudioSource
from voice_stack.utils.audio.vad import VadOptions

logger = logging.getLogger(__name__)

MAX_VOTES = 5
MAX_EXCERPTS = 16
"""Excerpts in which speech is looked for: eight minutes of a film without a word take a few seconds."""
AUDIBLE = 1e-3
"""Peak below which (-60 dBFS) nothing is looked for."""
COST_S = 1.0
"""Work of one opinion: the encoder runs once and nothing is decoded. Five of them are still a short job."""
MIN_SPEECH_S = 1.0
"""Less speech than this is no opinion while there are other excerpts."""
MIN_SAMPLES = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """A unit's data: samples for the model, mono float32 at 16 kHz, and the seconds of speech in them."""

    samples: NDArray[np.float32]
    speech_s: float


def plan_detection(
    job_id: str, request: DetectionRequest, vad: VadOptions | None, max_window_s: float
) -> Iterator[PlanStep]:
    """Units of a detection: excerpts with speech, spread over the file; the likeliest excerpt where none has any.

    Args:
        job_id: The job they belong to.
        request: What was asked for.
        vad: How speech is told from silence; None: everything is speech.
        max_window_s: Longest excerpt the model hears, in seconds.

    Yields:
        At most 5 units; None after an excerpt without speech.

    Raises:
        InvalidAudioError: The file holds no audio.
    """
    best: Excerpt | None = None
    count = 0
    source = describe_source(request.source)
    for start_s in islice(_starts(source, request), MAX_EXCERPTS):
        samples = decode_excerpt(source, start_s, EXCERPT_S)
        if samples.size < MIN_SAMPLES:
            continue
        excerpt = _find_speech(samples, vad, max_window_s)
        if excerpt.speech_s < MIN_SPEECH_S:
            best = excerpt if best is None or _rank(excerpt) > _rank(best) else best
            yield None
            continue
        yield _unit(job_id, count, excerpt)
        count += 1
        if count == MAX_VOTES:
            return
    if not count:
        if best is None:
            raise _no_audio(request)
        yield _unit(job_id, 0, best)


def ask_language(state: JobState, engine: AsrEngine, window: NDArray[np.float32], fallback_language: str) -> None:
    """Ask the model for the language of a window; where that fails, a language is assumed."""
    try:
        state.vote(engine.detect_language(window))
    except EngineError as error:
        state.assume(fallback_language)
        fields = {"language": state.language, "reason": error.message}
        log_event(logger, logging.WARNING, "language cannot be found: it is assumed", **fields)


LEAST_CONFIRMED = 0.3
"""What the model must think of a part as a whole: its kin, as Italian for Spanish, may take some of it."""
WindowPart = tuple[Window, str]
"""A window, or a part of one, and the code of the language that is spoken in it."""


def tell_languages(
    engine: AsrEngine, windows: Sequence[Window], states: Sequence[JobState]
) -> list[tuple[WindowPart, ...]]:
    """The parts of each window that are surely in one language; mostly one, in that of the file.

    Args:
        engine: Tells the language, of the windows as it is about to decode them.
        windows: What is decoded next, of one or several jobs.
        states: The job of each window, its language settled.
    """
    stretches = [_stretches(window, state) for window, state in zip(windows, states, strict=True)]
    try:
        found = engine.detect_languages([window.samples for window in windows], stretches) if any(stretches) else []
        return [
            _tell_parts(engine, window, state, cuts, opinions)
            for window, state, cuts, opinions in zip(
                windows, states, stretches, found or [[] for _ in windows], strict=True
            )
        ]
    except EngineError as error:
        log_event(
            logger, logging.WARNING, "languages cannot be told apart: the file's is assumed", reason=error.message
        )
        for state, cuts in zip(states, stretches, strict=True):
            if cuts:
                state.fall_back(LANGUAGE_FALLBACK)
        return [((window, state.main),) for window, state in zip(windows, states, strict=True)]


def _stretches(window: Window, state: JobState) -> list[TimeSpan]:
    if not state.may_change or LANGUAGE_FALLBACK in state.fallbacks:
        return []
    if _is_short(window):
        return [(0.0, window.duration_s)] if len(state.speech_by_language) > 1 else []
    pieces = [(piece.window_start, piece.window_start + piece.length) for piece in window.pieces]
    return cut_stretches([(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in pieces])


def _is_short(window: Window) -> bool:
    """Whether it holds too little to bring in another language; it may be in one that the file has already."""
    return window.speech_s < LEAST_SPEECH_S


def _tell_parts(
    engine: AsrEngine,
    window: Window,
    state: JobState,
    stretches: Sequence[TimeSpan],
    opinions: Sequence[Mapping[str, float]],
) -> tuple[WindowPart, ...]:
    candidates, main = state.request.candidate_languages, state.main
    lengths_s = [end_s - start_s for start_s, end_s in stretches]
    if _is_short(window):
        candidates, lengths_s = tuple(state.speech_by_language), [LEAST_SPEECH_S for _ in stretches]
    heard = [
        _hear_again(engine, window, span) if is_in_doubt(among_candidates(opinion, candidates), main) else opinion
        for span, opinion in zip(stretches, opinions, strict=True)
    ]
    likely = [among_candidates(opinion, candidates) for opinion in heard]
    codes = name_stretches(lengths_s, likely, main, candidates)
    if set(codes) <= {main}:
        return ((window, main),)
    parts = list[WindowPart]()
    rest, cut = window, 0
    for n, code in enumerate(codes):
        if n + 1 < len(codes) and codes[n + 1] != code:
            at = _find_border(window, stretches[n], stretches[n + 1])
            parts.append((before(rest, at - cut), code))
            rest, cut = after(rest, at - cut), at
        elif n + 1 == len(codes):
            parts.append((rest, code))
    # The whole of a part is heard once more: where it leaves a doubt, it stays with the language of the file.
    told = tuple((part, code if _is_spoken(engine, part, code, state) else main) for part, code in parts)
    if {code for _, code in told} == {main}:
        return ((window, main),)
    fields = {"start_s": round(window.start_s, 2), "end_s": round(window.end_s, 2), "file": main}
    log_event(logger, logging.INFO, "another language", found=", ".join(code for _, code in told), **fields)
    return told


def _hear_again(engine: AsrEngine, window: Window, span: TimeSpan) -> Mapping[str, float]:
    """What the model says of a stretch alone: where the rest of the window leaves it in doubt."""
    start, end = (int(time_s * SAMPLE_RATE) for time_s in span)
    return engine.detect_language(window.samples[start:end])


def _find_border(window: Window, left: TimeSpan, right: TimeSpan) -> int:
    """The sample that parts two stretches: the seam between pieces, else the quietest moment between their middles."""
    at = int(right[0] * SAMPLE_RATE)
    seam = min((piece.window_start for piece in window.pieces), key=lambda start: abs(start - at))
    if seam > 0 and abs(seam - at) <= 1:
        return seam
    return find_quiet(window, *(int(SAMPLE_RATE * (start_s + end_s) / 2) for start_s, end_s in (left, right)))


def _is_spoken(engine: AsrEngine, part: Window, code: str, state: JobState) -> bool:
    if code == state.main:
        return True
    heard = among_candidates(engine.detect_language(part.samples), state.request.candidate_languages)
    found = state.probabilities[code] = heard.get(code, 0.0)
    return found >= LEAST_CONFIRMED and heard.get(state.main, 0.0) <= MOST_DOUBT


def run_detection(units: Sequence[Unit], engine: AsrEngine) -> Iterator[RunResult]:
    """Ask the model about each excerpt; see `Workload.run`."""
    for unit in units:
        excerpt = unit.data
        assert isinstance(excerpt, Excerpt)
        probabilities = engine.detect_language(excerpt.samples)
        yield unit.output(LanguageVote(tuple(probabilities.items()), excerpt.speech_s))
        yield unit.done()


def _starts(source: AudioSource, request: DetectionRequest) -> Iterator[float]:
    duration_s = probe_duration_s(source)
    # A recorder that was interrupted leaves a file that does not say how long it is: then its beginning must do.
    return iter([0.0]) if duration_s is None else excerpt_starts(duration_s, request.offset_s, request.length_s)


def _find_speech(samples: NDArray[np.float32], vad: VadOptions | None, max_window_s: float) -> Excerpt:
    """The window with the most speech; without any the beginning of the samples."""
    is_silent = vad is not None and float(np.abs(samples).max()) < AUDIBLE
    found = [] if is_silent else cut_windows([samples], vad=vad, max_window_s=max_window_s)
    windows = [window for window in found if window is not None]
    if not windows:
        return Excerpt(samples[: int(max_window_s * SAMPLE_RATE)], 0.0)
    window = max(windows, key=lambda window: window.speech_s)
    return Excerpt(window.samples, window.speech_s)


def _rank(excerpt: Excerpt) -> tuple[float, float]:
    """More speech first, then louder."""
    return excerpt.speech_s, float(np.square(excerpt.samples).mean())


def _unit(job_id: str, index: int, excerpt: Excerpt) -> Unit:
    return Unit(job_id, index, COST_S, DetectionRequest, excerpt)


def _no_audio(request: DetectionRequest) -> InvalidAudioError:
    if request.source.path.stat().st_size:
        return AudioTooShortError("Audio file is too short. Minimum audio length is 0.1 seconds.")
    return InvalidAudioError("The file is empty; it must hold audio.")
