"""When each cue is shown: from its first word until a little after its last, and clear of the next."""

from collections.abc import Sequence

from voice_stack.utils.cues.cue import (
    LINGER_MS,
    MAX_CHARS_PER_S,
    MAX_LINGER_MS,
    MAX_SHOWN_MS,
    MIN_GAP_MS,
    MIN_SHOWN_MS,
    SMALL_GAP_MS,
)
from voice_stack.utils.cues.tokens import Token

_LEAST_SHOWN_MS = 42
"""One frame: what is left for a cue when the words of the next are said at the same time."""


def shown_from(tokens: Sequence[Token], previous_end_ms: int | None) -> int:
    """When a cue appears, in ms: with its first word, once the cue before it has been gone for two frames."""
    start_ms = tokens[0].start_ms
    return start_ms if previous_end_ms is None else max(start_ms, previous_end_ms + MIN_GAP_MS)


def shown_until(start_ms: int, tokens: Sequence[Token], next_start_ms: int | None, duration_ms: int | None) -> int:
    """When a cue goes, in ms.

    Args:
        start_ms: When it appears.
        tokens: What it shows.
        next_start_ms: When the first word of the next cue begins; None after the last.
        duration_ms: Length of the audio, if it is known: only words said later are shown later.
    """
    spoken_ms = tokens[-1].end_ms
    width = sum(token.width + token.is_spaced for token in tokens)
    wanted_ms = max(spoken_ms + LINGER_MS, start_ms + MIN_SHOWN_MS, start_ms + width * 1000 // MAX_CHARS_PER_S)
    end_ms = max(min(wanted_ms, spoken_ms + MAX_LINGER_MS), spoken_ms)
    if next_start_ms is not None and next_start_ms - end_ms < SMALL_GAP_MS:
        end_ms = next_start_ms - MIN_GAP_MS
    if duration_ms is not None:
        end_ms = min(end_ms, max(duration_ms, spoken_ms))
    return max(min(end_ms, start_ms + MAX_SHOWN_MS), start_ms + _LEAST_SHOWN_MS)
