"""When each word of a Whisper text is said, by the library's alignment."""

from collections.abc import Sequence
from dataclasses import replace

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from voice_stack.asr.engine.aligned_words import CLOSING_MARKS, OPENING_MARKS, alignable_segments, read_words
from voice_stack.asr.transcript import Segment


class _MadeAlignments:
    """Stands in for the model where the library's method asks it for what has been computed for the whole batch."""

    def __init__(self, model: WhisperModel, alignment: list[dict[str, object]]) -> None:
        self.frames_per_second: int = model.frames_per_second
        self._alignment = alignment

    def find_alignment(self, *_window: object) -> list[list[dict[str, object]]]:
        return [self._alignment]


def align_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    windows: Sequence[Sequence[Segment]],
    encoded: ctranslate2.StorageView,
    durations_s: Sequence[float],
) -> list[tuple[Segment, ...]]:
    """Give the segments of a batch of windows their words.

    Args:
        model: The loaded model.
        tokenizer: For the language of the text.
        windows: The segments of each window as decoded, in window time.
        encoded: The encoder's output for these windows.
        durations_s: Length of each window; no word ends later.
    """
    texts = [
        [token for segment in segments for token in segment.tokens if token < tokenizer.eot] for segments in windows
    ]
    frames = [max(int(duration_s * model.frames_per_second), model.input_stride) for duration_s in durations_s]
    alignments = model.find_alignment(tokenizer, texts, encoded, frames)
    return [
        _add_words(_MadeAlignments(model, alignment), tokenizer, segments, duration_s)
        for segments, alignment, duration_s in zip(windows, alignments, durations_s, strict=True)
    ]


def _add_words(
    made: _MadeAlignments, tokenizer: Tokenizer, segments: Sequence[Segment], duration_s: float
) -> tuple[Segment, ...]:
    found = alignable_segments(segments)
    if found:
        WhisperModel.add_word_timestamps(made, [found], tokenizer, None, 0, OPENING_MARKS, CLOSING_MARKS, 0.0)
    words = read_words(found, duration_s)
    return tuple(replace(segment, words=said) for segment, said in zip(segments, words, strict=True))


def pick_rows(encoded: ctranslate2.StorageView, indexes: Sequence[int]) -> ctranslate2.StorageView:
    """The encoder's output for some windows of a batch."""
    if len(indexes) == encoded.shape[0]:
        return encoded
    on_cpu = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
    rows = np.array(on_cpu.to(ctranslate2.DataType.float32))
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(rows[list(indexes)]))
