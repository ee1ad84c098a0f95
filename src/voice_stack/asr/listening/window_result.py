"""How good a window's text is, where it lies in the file, and what the model left out of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.listening.repetition import MAX_COMPRESSION_RATIO, MIN_NO_SPEECH_PROB
from voice_stack.asr.transcript import Segment
from voice_stack.asr.windows import Window

# A threshold of the Whisper paper (Radford et al. 2022, section 4.5).
MIN_AVG_LOGPROB = -1.0

LOST_TAIL_S = 1.0
"""Speech after the last timestamp that is decoded once more: the model stopped before its window ended."""


def is_silence(result: WindowResult | Segment) -> bool:
    """Whether the model itself says that nothing is said."""
    return result.no_speech_prob > MIN_NO_SPEECH_PROB and result.avg_logprob < MIN_AVG_LOGPROB


def is_poor(result: WindowResult) -> bool:
    """Whether the text is improbable or repeats itself, so that another temperature may serve better."""
    poor = result.avg_logprob < MIN_AVG_LOGPROB or result.compression_ratio > MAX_COMPRESSION_RATIO
    return poor and not is_silence(result)


def among_candidates(probabilities: Mapping[str, float], candidates: Collection[str]) -> dict[str, float]:
    """What the model says of the language, as if there were only the candidates; as it is where there are none."""
    chosen = {code: probabilities.get(code, 0.0) for code in candidates or probabilities}
    total = sum(chosen.values())
    if not candidates or total <= 0:
        return chosen
    return {code: probability / total for code, probability in chosen.items()}


def better(one: WindowResult | None, other: WindowResult) -> WindowResult:
    """A result without repetition before one with, then the more probable."""
    if one is None:
        return other
    return max(one, other, key=lambda result: (result.compression_ratio <= MAX_COMPRESSION_RATIO, result.avg_logprob))


def in_file_time(segments: Iterable[Segment], window: Window) -> tuple[Segment, ...]:
    """The segments of a window with times of the file."""
    return tuple(_shift(segment, window) for segment in segments)


def _shift(segment: Segment, window: Window) -> Segment:
    start_s = window.to_file_s(segment.start_s)
    words = tuple(
        replace(
            word,
            start_s=(at := window.to_file_s(word.start_s)),
            end_s=max(at, window.to_file_s(word.end_s, is_end=True)),
        )
        for word in segment.words
    )
    return replace(
        segment,
        start_s=start_s,
        end_s=max(start_s, window.to_file_s(segment.end_s, is_end=True)),
        seek=int(window.start_s * 100),
        words=words,
    )


def until_complete(result: WindowResult) -> WindowResult:
    """Without the text after the last timestamp, which is decoded again."""
    kept = tuple(segment for segment in result.segments if segment.start_s < result.is_complete_until_s)
    return replace(result, segments=kept)


def lost_tail(window: Window, result: WindowResult) -> Window | None:
    """The part of a window after the last timestamp, if there is speech in it."""
    last = window.pieces[-1]
    speech_end_s = (last.window_start + last.speech_end - last.file_start) / SAMPLE_RATE
    if not result.segments or is_silence(result) or speech_end_s - result.is_complete_until_s < LOST_TAIL_S:
        return None
    cut = int(result.is_complete_until_s * SAMPLE_RATE)
    if cut <= 0:
        return None
    return after(window, cut)


def before(window: Window, cut: int) -> Window:
    """The part of a window in front of a sample, which lies inside the window."""
    pieces = tuple(
        replace(piece, length=min(piece.length, cut - piece.window_start))
        for piece in window.pieces
        if piece.window_start < cut
    )
    return Window(window.samples[:cut], pieces, window.index)


def after(window: Window, cut: int) -> Window:
    """The part of a window from a sample on, which lies inside the window."""
    pieces = tuple(
        replace(
            piece,
            file_start=piece.file_start + (skip := max(0, cut - piece.window_start)),
            window_start=max(0, piece.window_start - cut),
            length=piece.length - skip,
        )
        for piece in window.pieces
        if piece.window_start + piece.length > cut
    )
    return Window(window.samples[cut:], pieces, window.index)
