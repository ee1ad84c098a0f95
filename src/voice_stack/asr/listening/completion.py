"""All that was said in a window, and nothing that was not."""

import logging

from voice_stack.asr.engine.base import WindowResult
from voice_stack.asr.listening.rescue import Decode
from voice_stack.asr.listening.suppression import suppress
from voice_stack.asr.listening.window_result import in_file_time, is_poor, lost_tail, until_complete
from voice_stack.asr.transcript import Segment
from voice_stack.asr.windows import Window
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)


def complete_window(window: Window, result: WindowResult, decode: Decode, steps: frozenset[str]) -> tuple[Segment, ...]:
    """The segments of a window in file time, without what nobody said.

    Args:
        window: What the model heard.
        result: What it made of it.
        decode: Decodes a window at a temperature.
        steps: Names of the steps of suppression.
    """
    segments = tuple[Segment, ...]()
    # The model may stop before its window ends; what it left out is a window of its own.
    while (rest := lost_tail(window, result)) is not None:
        log_event(logger, logging.INFO, "window decoded on", from_s=round(rest.start_s, 2))
        segments += in_file_time(suppress(until_complete(result).segments, window, steps), window)
        window, result = rest, decode(rest, 0.0)
    if is_poor(result) and segments:
        return segments
    return segments + in_file_time(suppress(result.segments, window, steps), window)
