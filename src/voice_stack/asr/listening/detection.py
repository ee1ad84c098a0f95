"""Finding the language of a file in the engine process: a few excerpts with speech, each an opinion of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine
from voice_stack.asr.listening.decoding import call_decoder, describe_source
from voice_stack.asr.listening.language_spread import EXCERPT_S, excerpt_starts
from voice_stack.asr.listening.windows import cut_windows
from voice_stack.asr.request import DetectionRequest, LanguageVote
from voice_stack.core.errors import AudioTooShortError, InvalidAudioError
from voice_stack.core.jobs import PlanStep, RunResult, Unit
from voice_stack.utils.audio.decode import decode_excerpt, probe_duration_s
from voice_stack.utils.audio.vad import VadOptions

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

    Yields:
        At most 5 units; None after an excerpt without speech.

    Raises:
        InvalidAudioError: The file holds no audio.
    """
    best: Excerpt | None = None
    count = 0
    source = describe_source(request.source)
    duration_s = call_decoder(probe_duration_s, source)
    # A recorder that was interrupted leaves a file that does not say how long it is: then its beginning must do.
    starts = iter([0.0]) if duration_s is None else excerpt_starts(duration_s, request.offset_s, request.length_s)
    for start_s in islice(starts, MAX_EXCERPTS):
        samples = call_decoder(decode_excerpt, source, start_s, EXCERPT_S)
        if samples.size < MIN_SAMPLES:
            continue
        excerpt = _find_speech(samples, vad, max_window_s)
        if excerpt.speech_s < MIN_SPEECH_S:
            best = excerpt if best is None or _rank(excerpt) > _rank(best) else best
            yield None
            continue
        yield Unit(job_id, count, COST_S, DetectionRequest, excerpt)
        count += 1
        if count == MAX_VOTES:
            return
    if not count:
        if best is None:
            if request.source.path.stat().st_size:
                raise AudioTooShortError("Audio file is too short. Minimum audio length is 0.1 seconds.")
            raise InvalidAudioError("The file is empty; it must hold audio.")
        yield Unit(job_id, 0, COST_S, DetectionRequest, best)


def run_detection(units: Sequence[Unit], engine: AsrEngine) -> Iterator[RunResult]:
    """Ask the model about each excerpt; see `Workload.run`."""
    for unit in units:
        excerpt = unit.data
        assert isinstance(excerpt, Excerpt)
        probabilities = engine.detect_language(excerpt.samples)
        yield unit.output(LanguageVote(tuple(probabilities.items()), excerpt.speech_s))
        yield unit.done()


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
