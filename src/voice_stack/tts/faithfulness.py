"""Is a clause as long as its text says? Models that sample their speech invent some at times, and swallow some.

A clause whose length is far off the one predicted from its text is spoken again with another seed, a few times at
most; the take whose length fits best is kept, and what babbles on behind the predicted end is cut off at the quietest
place. That needs the whole clause before anything of it is sent. Later clauses of a speech are ready before they are
due, so they are checked like this. The first one is awaited and sent while it is made: of it only the end can be
corrected, by a `StreamGuard`. Silence at the end is no concern of this: all clauses are trimmed where they are joined.
"""

import logging
from collections.abc import Callable

import numpy as np

from voice_stack.core.logging import log_event
from voice_stack.tts.pace import Expectation
from voice_stack.utils.audio.envelope import find_speech, measure_levels
from voice_stack.utils.audio.pcm import Samples, fade_edges

logger = logging.getLogger(__name__)

FRAME_S = 0.02
CUT_FADE_S = 0.03


def cut_babble(samples: Samples, sample_rate: int, *, earliest_s: float, latest_s: float) -> Samples:
    """Cut at the quietest 20 ms between two times; the end fades.

    Args:
        samples: 1-D float32, no shorter than `earliest_s`.
        sample_rate: In Hz.
        earliest_s: Before that nothing is cut; below 0 counts as 0.
        latest_s: Behind that nothing is kept.
    """
    earliest, latest = (max(0, int(limit_s * sample_rate)) for limit_s in (earliest_s, latest_s))
    frame = max(1, int(FRAME_S * sample_rate))
    levels = measure_levels(samples[earliest:latest], frame)
    end = earliest + int(np.argmin(levels)) * frame + frame // 2 if levels.size else latest
    return fade_edges(samples[: min(end, latest)], sample_rate, CUT_FADE_S, start=False)


def end_faithfully(samples: Samples, sample_rate: int, expectation: Expectation) -> Samples:
    """A clause without what was invented behind its predicted end; as it is if it is not too long."""
    if find_speech(samples, sample_rate).end <= expectation.longest_s * sample_rate:
        return samples
    return cut_babble(samples, sample_rate, earliest_s=expectation.expected_s, latest_s=expectation.longest_s)


def best_take(
    speak: Callable[[int], Samples], sample_rate: int, expectation: Expectation, max_retries: int
) -> tuple[Samples, bool]:
    """Speak a clause until its length fits the text, and keep the take that fits best; what was done is logged.

    Args:
        speak: Gives take 0, 1, 2 and so on: 1-D float32, another one for each number.
        sample_rate: In Hz.
        expectation: The predicted length.
        max_retries: Most takes after the first.

    Returns:
        The take, without what is too much, and whether its length fitted before anything was cut.
    """
    takes: list[tuple[float, Samples]] = []
    for number in range(max_retries + 1):
        samples = speak(number)
        spoken_s = find_speech(samples, sample_rate).end / sample_rate
        if expectation.fits(spoken_s):
            if number:
                report("clause spoken again: its length fits now", logging.INFO, expectation, spoken_s, retries=number)
            return samples, True
        takes.append((spoken_s, samples))
    spoken_s, samples = min(takes, key=lambda take: expectation.misfit(take[0]))
    best = end_faithfully(samples, sample_rate, expectation)
    what = "what was too much is cut" if spoken_s > expectation.longest_s else "some of it may be missing"
    kept_s = round(best.size / sample_rate, 2)
    report(
        f"clause does not fit its text: {what}", logging.WARNING, expectation, spoken_s,
        retries=max_retries, kept_s=kept_s,
    )  # fmt: skip
    return best, False


def report(what: str, level: int, expectation: Expectation, spoken_s: float, **fields: object) -> None:
    """Log what was found and done of a clause, never its words."""
    expected_s = round(expectation.expected_s, 2)
    log_event(logger, level, what, expected_s=expected_s, spoken_s=round(spoken_s, 2), **fields)
