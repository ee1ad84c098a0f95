"""Text that nobody said: one table of rules, applied to the segments of a window.

People say some of it too, so a match alone is no reason to drop a text.

Gentle by design: except over digital silence, no text is dropped on one ground alone. What the model is sure of stays
where the voice detector hears nothing, and what the detector hears stays where the model is unsure.
"""

import logging
import re
import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voice_stack.asr.engine.base import WindowResult
from voice_stack.asr.listening.repetition import collapse_loops, is_doubtful, may_be_stuck
from voice_stack.asr.listening.results import (
    MARGIN_S,
    Decode,
    Stretch,
    WindowSound,
    in_file_time,
    is_hurried,
    is_poor,
    is_silence,
    lost_tail,
    until_complete,
)
from voice_stack.asr.listening.windows import Window
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.logging import log_event

_LISTS: dict[str, dict[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("boilerplate.toml").read_text(encoding="utf-8")
)
SIGN_OFFS, COURTESIES, CREDITS, LABELS, NAMES = (
    _LISTS[name] for name in ("sign_offs", "courtesies", "credits", "labels", "names")
)
"""Texts by language; `boilerplate.toml` says what each list holds."""


def _letters(text: str) -> str:
    """What remains for comparison: no case, no accents, no blanks, no marks."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))


def _all_letters(*lists: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple({_letters(text) for texts in lists for some in texts.values() for text in some})


_SIGN_OFF_LETTERS, _COURTESY_LETTERS = _all_letters(SIGN_OFFS), _all_letters(SIGN_OFFS, COURTESIES)
_CREDIT_LETTERS, _NAME_LETTERS, _LABEL_LETTERS = _all_letters(CREDITS), _all_letters(NAMES), _all_letters(LABELS)
_LABEL = re.compile(r"\s*[\[(（【*♪♫]+[^\])）】*♪♫]*[\])）】*♪♫]+[\s.]*")


def _consists_of(letters: str, texts: tuple[str, ...]) -> bool:
    """Whether it is one of the texts or several in a row."""
    ends = {0}
    for at in range(len(letters)):
        if at in ends:
            ends |= {at + len(text) for text in texts if letters.startswith(text, at)}
    return bool(letters) and len(letters) in ends


def is_boilerplate(text: str) -> bool:
    """Whether a segment's text is a credit, or nothing but sign-offs, in any language.

    The language of the transcription does not matter: over noise Whisper changes into another one.
    """
    letters = _letters(text)
    is_credit = letters.startswith(_CREDIT_LETTERS) or any(name in letters for name in _NAME_LETTERS)
    return is_credit or _consists_of(letters, _SIGN_OFF_LETTERS)


def is_courtesy(text: str) -> bool:
    """Whether it is nothing but sign-offs and what people say every day."""
    return _consists_of(_letters(text), _COURTESY_LETTERS)


def is_label(text: str) -> bool:
    """Whether it is nothing but names of sounds, as `[BLANK_AUDIO]` or `(music)`."""
    return _LABEL.fullmatch(text) is not None or _letters(text) in _LABEL_LETTERS


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
    """What the steps leave of a window's segments, in the window's time; each removal is logged with its reason."""
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
    limits = Stretch(heard[0].start_s, heard[-1].end_s)
    return replace(
        segment,
        start_s=limits.clamp(segment.start_s),
        end_s=limits.clamp(segment.end_s),
        words=tuple(_draw_word(word, heard) for word in segment.words),
    )


def _draw_word(word: Word, heard: Sequence[Stretch]) -> Word:
    """A word is said in one go: it belongs to the stretch of sound that it shares most with."""
    best = max(heard, key=Stretch(word.start_s, word.end_s).overlap_s)
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


def _is_idle(segment: Segment, sound: WindowSound) -> bool:
    """Whether the model or the detector doubts that somebody speaks: enough where a text is often invented."""
    is_doubted = segment.no_speech_prob > BOILERPLATE_NO_SPEECH_PROB or segment.avg_logprob < BOILERPLATE_LOGPROB
    return is_doubted or not sound.has_speech(_span(segment))


_RULES = (
    _Rule("silence", "digital silence", _is_in_silence),
    _Rule("no_speech", "the model hears no speech", lambda segment, _: is_silence(segment)),
    _Rule("no_speech", "no word in it", lambda segment, _: not any(map(str.isalnum, segment.text))),
    _Rule(
        "boilerplate",
        "boilerplate without speech",
        lambda segment, sound: is_boilerplate(segment.text) and _is_idle(segment, sound),
    ),
    _Rule(
        "boilerplate",
        "a courtesy without speech",
        lambda segment, sound: is_courtesy(segment.text) and not sound.has_speech(_span(segment)),
    ),
    _Rule(
        "labels", "a label without speech", lambda segment, sound: is_label(segment.text) and _is_idle(segment, sound)
    ),
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


def _span(segment: Segment) -> Stretch:
    return Stretch(segment.start_s, segment.end_s)


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


def complete_window(window: Window, result: WindowResult, decode: Decode, steps: frozenset[str]) -> tuple[Segment, ...]:
    """The segments of a window in file time, without what nobody said; `steps` are those of suppression."""
    segments = tuple[Segment, ...]()
    # The model may stop before its window ends; what it left out is a window of its own.
    while (rest := lost_tail(window, result)) is not None:
        log_event(logger, logging.INFO, "window decoded on", from_s=round(rest.start_s, 2))
        segments += in_file_time(suppress(until_complete(result).segments, window, steps), window)
        window, result = rest, decode(rest, 0.0)
    if segments and (is_poor(result) or is_hurried(result, window.duration_s)):
        return segments
    return segments + in_file_time(suppress(result.segments, window, steps), window)
