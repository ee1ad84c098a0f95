"""When each word of a Whisper text is said, by the library's alignment."""

from collections.abc import Sequence

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from voice_stack.asr.engine.aligned_words import CLOSING_MARKS, OPENING_MARKS, alignable_segments, read_words
from voice_stack.asr.transcript import Segment, Word


def align_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    segments: Sequence[Segment],
    encoded: ctranslate2.StorageView,
    duration_s: float,
) -> list[tuple[Word, ...]]:
    """The words of each segment of one window.

    Args:
        model: The loaded model.
        tokenizer: For the language of the text.
        segments: As decoded, in window time.
        encoded: The encoder's output for this window alone.
        duration_s: Length of the window; no word ends later.
    """
    found = alignable_segments(segments)
    frames = max(int(duration_s * model.frames_per_second), model.input_stride)
    model.add_word_timestamps([found], tokenizer, encoded, frames, OPENING_MARKS, CLOSING_MARKS, 0.0)
    return read_words(found, duration_s)
