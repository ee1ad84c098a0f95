"""How much of the encoder's 30 s the model computes: the audio and some silence, not always all 3000 frames.

The encoder's cost grows faster than its width, and most windows are far shorter than 30 s. Too little silence after the
speech makes a model run on or repeat itself; such a text is recognised here and decoded again at full width.
"""

import math

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult

FULL_FRAMES = 3000
FRAME_S = 0.01
MIN_FRAMES = 1400
"""With less, `base` hears short sentences less well; see docs/performance.md."""
STEP_FRAMES = 200
"""Only windows of one width share a batch, for the width shapes the text; a few widths make for full batches."""

# What a text decoded at less than full width must keep to; docs/performance.md has the measurements.
MAX_TOKENS_PER_S = 8.0
SPARE_TOKENS = 10
MIN_AVG_LOGPROB = -0.9
MAX_COMPRESSION_RATIO = 2.4


def narrow_frames(sample_count: int, padding_s: float) -> int:
    """Mel frames that are computed for a window.

    Args:
        sample_count: Samples of the window, at 16 kHz.
        padding_s: Silence after it, in seconds.
    """
    frames = math.ceil((sample_count / SAMPLE_RATE + padding_s) / FRAME_S / STEP_FRAMES) * STEP_FRAMES
    return min(max(frames, MIN_FRAMES), FULL_FRAMES)


def has_run_on(result: WindowResult, duration_s: float, token_count: int) -> bool:
    """Whether a text looks like one that the model went on with after the speech.

    Args:
        result: What was heard at less than full width.
        duration_s: Length of the window.
        token_count: Tokens that were decoded, timestamps included.
    """
    return (
        token_count > MAX_TOKENS_PER_S * duration_s + SPARE_TOKENS
        or result.avg_logprob < MIN_AVG_LOGPROB
        or result.compression_ratio > MAX_COMPRESSION_RATIO
    )
