"""Whisper's timestamp tokens: from what the model wrote for a window to segments with times."""

from collections.abc import Sequence
from dataclasses import dataclass

_SECONDS_PER_TIMESTAMP = 0.02


@dataclass(frozen=True, slots=True)
class TimedTokens:
    """The tokens of one segment, its timestamps included, and the times in seconds that these mean."""

    tokens: tuple[int, ...]
    start_s: float
    end_s: float


def split_at_timestamps(tokens: Sequence[int], *, timestamp_begin: int, duration_s: float) -> list[TimedTokens]:
    """Split what the model wrote for a window into segments.

    A timestamp after text ends a segment, one before text starts the next. Text without a timestamp before it starts
    with the window, text without one after it ends with the window. Times are clamped to the window.

    Args:
        tokens: Text and timestamps as decoded, without the prompt.
        timestamp_begin: The token that means 0.00 s; each later one means 20 ms more.
        duration_s: Length of the window in seconds.
    """
    parts: list[TimedTokens] = []
    start_s, part, has_text = 0.0, list[int](), False
    for token in tokens:
        if token < timestamp_begin:
            part, has_text = [*part, token], True
            continue
        time_s = _time_s(token, timestamp_begin, duration_s)
        if has_text:
            parts.append(TimedTokens((*part, token), start_s, max(start_s, time_s)))
        start_s, part, has_text = time_s, [] if has_text else [token], False
    if has_text:
        parts.append(TimedTokens(tuple(part), start_s, duration_s))
    return parts


def _time_s(token: int, timestamp_begin: int, duration_s: float) -> float:
    return min(round((token - timestamp_begin) * _SECONDS_PER_TIMESTAMP, 2), duration_s)


def last_timestamp_s(tokens: Sequence[int], *, timestamp_begin: int, duration_s: float) -> float:
    """Time of the last timestamp; without one, or with the one for 0.00 s only, the text is for the whole window."""
    last = max((token for token in tokens if token > timestamp_begin), default=None)
    return duration_s if last is None else _time_s(last, timestamp_begin, duration_s)
