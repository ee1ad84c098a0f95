"""Languages within a file: what of it is surely in another language than the rest is decoded as such."""

import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, TimeSpan
from voice_stack.asr.listening.results import LANGUAGE_FALLBACK, JobState, after, among_candidates, before, find_quiet
from voice_stack.asr.listening.windows import Window
from voice_stack.core.errors import EngineError
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

STRETCH_S = 5.0
"""Speech whose language the model tells as well as that of half a minute."""
LEAST_SPEECH_S, USUAL_SPEECH_S = 1.5, 3.0
"""Less than the first has no language of its own: it may be a name, or words on loan; less than the second must be
clear, heard alone."""
LEAST_STRETCH_S = 1.5
"""A shorter piece is told together with the next."""
SURE_STRETCH, MOST_DOUBT = 0.8, 0.1
"""What another language than the file's must reach, and what may be left of the file's own."""
_SURE = ((SURE_STRETCH, MOST_DOUBT), (0.5, 0.02))
"""What its kin take, as Italian of Spanish, is no sign of the file's language."""
_ALIKE = tuple(
    frozenset(group.split())
    for group in ("no nn da", "hr bs sr", "ms id", "zh yue", "hi ur", "cs sk", "pt gl", "bg mk", "nl af lb")
)
"""Languages that Whisper mistakes for each other, though a file hardly changes between them."""
_SELDOM_RIGHT = frozenset(
    ("br", "cy", "fo", "haw", "jw", "la", "ln", "mg", "mi", "nn", "oc", "sa", "sd", "sn", "so", "su", "tk", "yi", "yo")
)
"""What Whisper hears in accents, songs and noise, and hardly anywhere else."""
LEAST_CONFIRMED = 0.3
"""What the model must think of a part as a whole: its kin, as Italian for Spanish, may take some of it."""
CLEAR, LEAST_DOUBT = 0.9, 0.02
"""The same of a short part, and what it may leave of the file's language."""
WindowPart = tuple[Window, str]
"""A window, or a part of one, and the code of the language that is spoken in it."""


def ask_language(state: JobState, engine: AsrEngine, window: NDArray[np.float32], fallback_language: str) -> None:
    """Ask the model for the language of a window; where that fails, a language is assumed."""
    try:
        state.vote(engine.detect_language(window))
    except EngineError as error:
        state.assume(fallback_language)
        fields = {"language": state.language, "reason": error.message}
        log_event(logger, logging.WARNING, "language cannot be found: it is assumed", **fields)


def tell_languages(
    engine: AsrEngine, windows: Sequence[Window], states: Sequence[JobState]
) -> list[tuple[WindowPart, ...]]:
    """The parts of each window that are surely in one language; mostly one, in that of the file.

    The windows are what is decoded next; `states` are their jobs, whose languages are settled.
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
    if not opinions:  # the engine takes a file as a whole
        return ((window, main),)
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
    for n, (code, following) in enumerate(pairwise(codes)):
        if code != following:
            at = _find_border(window, stretches[n], stretches[n + 1])
            parts.append((before(rest, at - cut), code))
            rest, cut = after(rest, at - cut), at
    parts.append((rest, codes[-1]))
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
    is_short = part.speech_s < USUAL_SPEECH_S
    least, most = (CLEAR, LEAST_DOUBT) if is_short else (LEAST_CONFIRMED, MOST_DOUBT)
    return found >= least and heard.get(state.main, 0.0) <= most


def cut_stretches(pieces: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of about 5 s, cut in pauses where that is possible; speech too short for one is in none.

    Args:
        pieces: Begin and end in seconds of what is said without a pause, one after another.
    """
    stretches = list[tuple[float, float]]()
    begin: float | None = None
    for start_s, end_s in pieces:
        begin = start_s if begin is None else begin
        if end_s - begin < LEAST_STRETCH_S:
            continue
        count = max(1, round((end_s - begin) / STRETCH_S))
        step_s = (end_s - begin) / count
        stretches += [(begin + n * step_s, begin + (n + 1) * step_s) for n in range(count)]
        begin = None
    return stretches


def name_stretches(
    lengths_s: Sequence[float], opinions: Sequence[Mapping[str, float]], main: str, named: Collection[str]
) -> list[str]:
    """The language that each stretch of a window goes by.

    Args:
        lengths_s: How long each is.
        opinions: What the model says of each.
        main: The language of the file, which doubt speaks for.
        named: Languages that the request asks for: these need not be common ones.
    """
    sure = [_sure_code(opinion, main, named) for opinion in opinions]
    codes = list[str]()
    for n, opinion in enumerate(opinions):
        beside = {*codes[-1:], *filter(None, sure[n + 1 : n + 2]), main}
        codes.append(sure[n] or max(sorted(beside), key=lambda code: opinion.get(code, 0.0)))
    return _join_short_runs(codes, lengths_s, main)


def _join_short_runs(codes: Sequence[str], lengths_s: Sequence[float], main: str) -> list[str]:
    """Too short a run in another language goes with what is before it, at the beginning with the file."""
    joined = list[str]()
    for code, group in groupby(zip(codes, lengths_s, strict=True), key=lambda pair: pair[0]):
        lengths = [length_s for _, length_s in group]
        is_own = code == main or sum(lengths) >= LEAST_SPEECH_S
        joined += [code if is_own else joined[-1] if joined else main] * len(lengths)
    return joined


def is_in_doubt(opinion: Mapping[str, float], main: str) -> bool:
    """Whether another language than the file's is the likeliest, but not sure."""
    best = max(opinion, key=lambda code: opinion[code])
    return best != main and opinion[best] < SURE_STRETCH


def _sure_code(opinion: Mapping[str, float], main: str, named: Collection[str]) -> str | None:
    best = max(opinion, key=lambda code: opinion[code])
    is_likely = best in named or not (best in _SELDOM_RIGHT or any({best, main} <= group for group in _ALIKE))
    if best == main:
        return main
    is_sure = any(opinion[best] >= least and opinion.get(main, 0.0) <= most for least, most in _SURE)
    return best if is_likely and is_sure else None
