"""Text that nobody said: one table of rules, applied to the segments of a window.

Gentle by design: except over digital silence, no text is dropped on one ground alone. What the model is sure of stays
where the voice detector hears nothing, and what the detector hears stays where the model is unsure.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from voice_stack.asr.listening.boilerplate import is_boilerplate
from voice_stack.asr.listening.repetition import collapse_loops, is_doubtful, may_be_stuck
from voice_stack.asr.listening.window_result import is_silence
from voice_stack.asr.listening.window_sound import MARGIN_S, Span, WindowSound
from voice_stack.asr.transcript import Segment, Word
from voice_stack.asr.windows import Window
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

BOILERPLATE_NO_SPEECH_PROB = 0.4
BOILERPLATE_LOGPROB = -0.8
"""Of a sign-off less doubt is enough than of other text."""
ABSURD_PROBABILITY = 0.15
ABSURD_WORD_S = (0.03, 3.0)
"""Nobody says a word in less time, and hardly one in more."""
ABSURD_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class _Rule:
    """Why a segment is dropped: the step it belongs to, the reason for the log, and the test."""

    step: str
    reason: str
    applies: Callable[[Segment, WindowSound], bool]


def suppress(segments: tuple[Segment, ...], window: Window, steps: frozenset[str]) -> tuple[Segment, ...]:
    """What is left of a window's segments, in the window's time; each removal is logged with its reason.

    Args:
        segments: As decoded from the window, in its time.
        window: Where they come from.
        steps: Names of the steps to take, from `suppression_steps.STEPS`.
    """
    sound, kept = WindowSound(window), list[Segment]()
    for segment in segments:
        rule = next((rule for rule in _RULES if rule.step in steps and rule.applies(segment, sound)), None)
        if rule is not None:
            _log(rule.reason, segment, window)
            continue
        drawn = draw_to_sound(segment, sound) if "silence" in steps else segment
        kept.append(_unloop(drawn, window) if "repetition" in steps else drawn)
    return tuple(kept)


def draw_to_sound(segment: Segment, sound: WindowSound) -> Segment:
    """The segment without the silence that its times and those of its words are stretched over."""
    span, audible = _span(segment), sound.audible
    nearest = max(audible, key=span.overlap_s, default=None)
    if nearest is None or nearest.overlap_s(span) < -MARGIN_S:
        return segment
    heard = [one for one in audible if one.overlap_s(span) > 0] or [nearest]
    limits = Span(heard[0].start_s, heard[-1].end_s)
    return replace(
        segment,
        start_s=limits.clamp(segment.start_s),
        end_s=limits.clamp(segment.end_s),
        words=tuple(_draw_word(word, heard) for word in segment.words),
    )


def _draw_word(word: Word, heard: Sequence[Span]) -> Word:
    """A word is said in one go: it belongs to the stretch of sound that it shares most with."""
    best = max(heard, key=Span(word.start_s, word.end_s).overlap_s)
    return replace(word, start_s=best.clamp(word.start_s), end_s=best.clamp(word.end_s))


def has_absurd_words(segment: Segment) -> bool:
    """Whether nearly all words are improbable or take an impossible time; False where words have no times."""
    shortest_s, longest_s = ABSURD_WORD_S
    absurd = [
        word.probability < ABSURD_PROBABILITY or not shortest_s <= word.end_s - word.start_s <= longest_s
        for word in segment.words
    ]
    return bool(absurd) and sum(absurd) >= ABSURD_SHARE * len(absurd)


def _is_in_silence(segment: Segment, sound: WindowSound) -> bool:
    """Text the model is sure of may have its times a little beside the speech."""
    span = _span(segment)
    return sound.is_silent(span) and (is_doubtful(segment) or not sound.has_speech(span))


def _is_idle_sign_off(segment: Segment, sound: WindowSound) -> bool:
    if not is_boilerplate(segment.text):
        return False
    is_doubted = segment.no_speech_prob > BOILERPLATE_NO_SPEECH_PROB or segment.avg_logprob < BOILERPLATE_LOGPROB
    return is_doubted or not sound.has_speech(_span(segment))


_RULES = (
    _Rule("silence", "digital silence", _is_in_silence),
    _Rule("no_speech", "the model hears no speech", lambda segment, _: is_silence(segment)),
    _Rule("no_speech", "no word in it", lambda segment, _: not any(map(str.isalnum, segment.text))),
    _Rule("boilerplate", "boilerplate without speech", _is_idle_sign_off),
    _Rule(
        "no_speech",
        "doubtful text, no speech detected",
        lambda segment, sound: may_be_stuck(segment) and not sound.has_speech(_span(segment)),
    ),
    _Rule(
        "words",
        "absurd words",
        lambda segment, sound: is_doubtful(segment) and has_absurd_words(draw_to_sound(segment, sound)),
    ),
)


def _span(segment: Segment) -> Span:
    return Span(segment.start_s, segment.end_s)


def _unloop(segment: Segment, window: Window) -> Segment:
    collapsed = collapse_loops(segment) if may_be_stuck(segment) else segment
    if collapsed is not segment:
        _log("a loop said once", segment, window)
    return collapsed


def _log(reason: str, segment: Segment, window: Window) -> None:
    log_event(
        logger,
        logging.INFO,
        "text dropped",
        reason=reason,
        start_s=round(window.to_file_s(segment.start_s), 2),
        end_s=round(window.to_file_s(segment.end_s, is_end=True), 2),
        text=segment.text,
        no_speech_prob=round(segment.no_speech_prob, 2),
        avg_logprob=round(segment.avg_logprob, 2),
        compression_ratio=round(segment.compression_ratio, 2),
    )
