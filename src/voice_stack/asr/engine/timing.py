"""When the words of a text are said and how probable its tokens are.

The search itself gives one score for a whole text. So the finished text is read once more, in a single pass of the
decoder over all its tokens (CTranslate2's `align`), which gives the probability of each given those before it. In that
pass the model writes no timestamps; the probabilities are among text tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, chain, islice, pairwise
from types import SimpleNamespace

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.engine.words import (
    CLOSING_MARKS,
    OPENING_MARKS,
    alignable_segments,
    read_words,
    settle_words,
    token_bytes,
)
from voice_stack.asr.transcript import Segment, TokenLogprob, Word
from voice_stack.utils.audio.word_alignment import writes_spaces

_LEAST_PROBABILITY = 1e-10  # its logarithm is a number that JSON has


def score_tokens(
    model: WhisperModel, tokenizer: Tokenizer, result: WindowResult, encoded: ctranslate2.StorageView
) -> WindowResult:
    """The result of a window with `Segment.logprobs` filled in; `encoded` is the encoder's output for it alone."""
    spoken = [[token for token in segment.tokens if token < tokenizer.eot] for segment in result.segments]
    tokens = [token for part in spoken for token in part]
    if not tokens:
        return result
    aligned = model.model.align(encoded, tokenizer.sot_sequence, [tokens], encoded.shape[1] * model.input_stride)
    scores = zip(tokens, aligned[0].text_token_probs, strict=False)  # one more may follow, for the end of the text
    scored = (
        TokenLogprob(
            token_bytes(model.hf_tokenizer.id_to_token(token)), math.log(max(float(probability), _LEAST_PROBABILITY))
        )
        for token, probability in scores
    )
    segments = zip(result.segments, spoken, strict=True)
    return replace(
        result,
        segments=tuple(replace(segment, logprobs=tuple(islice(scored, len(part)))) for segment, part in segments),
    )


def time_tokens(
    model: WhisperModel,
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    encoded: ctranslate2.StorageView,
    duration_s: float,
) -> tuple[list[float], list[float]]:
    """When the tokens of a text begin and, one more, when the last ends; and how probable each is, as a logarithm.

    `encoded` is the encoder's output for the window alone.
    """
    frames = max(int(duration_s * model.frames_per_second), model.input_stride)
    (aligned,) = model.model.align(encoded, tokenizer.sot_sequence, [list(tokens)], [frames])
    starts = dict(reversed(aligned.alignments))  # token -> its first frame
    last = aligned.alignments[-1][1] if aligned.alignments else 0
    starts_s = [starts.get(n, last) / model.tokens_per_second for n in range(len(tokens) + 1)]
    logprobs = [math.log(max(float(odds), _LEAST_PROBABILITY)) for odds in aligned.text_token_probs[: len(tokens)]]
    return starts_s, logprobs


def align_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    windows: Sequence[Sequence[Segment]],
    encoded: ctranslate2.StorageView,
    sounds: Sequence[NDArray[np.float32]],
) -> list[tuple[Segment, ...]]:
    """Give the segments of each window their words, by the encoder's output for these windows."""
    texts = [
        [token for segment in segments for token in segment.tokens if token < tokenizer.eot] for segments in windows
    ]
    alignments = model.find_alignment(tokenizer, texts, encoded, _count_frames(model, sounds))
    return [
        _add_words(model, alignment, tokenizer, segments, sound)
        for segments, alignment, sound in zip(windows, alignments, sounds, strict=True)
    ]


def _count_frames(model: WhisperModel, sounds: Sequence[NDArray[np.float32]]) -> list[int]:
    return [max(int(sound.size / SAMPLE_RATE * model.frames_per_second), model.input_stride) for sound in sounds]


def _add_words(
    model: WhisperModel,
    alignment: list[dict[str, object]],
    tokenizer: Tokenizer,
    segments: Sequence[Segment],
    sound: NDArray[np.float32],
) -> tuple[Segment, ...]:
    found = alignable_segments(segments)
    if found:
        # In the place of the model, which the library's method asks for what has been computed for the whole batch.
        made = SimpleNamespace(frames_per_second=model.frames_per_second, find_alignment=lambda *_: [alignment])
        WhisperModel.add_word_timestamps(made, [found], tokenizer, None, 0, OPENING_MARKS, CLOSING_MARKS, 0.0)
    words = read_words(found, sound)
    return tuple(replace(segment, words=said) for segment, said in zip(segments, words, strict=True))


def time_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    texts: Sequence[Sequence[str]],
    encoded: ctranslate2.StorageView,
    sounds: Sequence[NDArray[np.float32]],
) -> list[tuple[Word, ...]]:
    """When the words of given texts are said, those of one text for each window."""
    parts = [[tokenizer.encode(f" {word}" if writes_spaces(word) else word) for word in words] for words in texts]
    # What is longer than the decoder's memory was not said in one window.
    room = model.max_length - len(tokenizer.sot_sequence) - 2
    tokens = [list(chain.from_iterable(part)) for part in parts]
    tokens = [part if len(part) <= room else [] for part in tokens]
    aligned = model.model.align(encoded, tokenizer.sot_sequence, tokens, _count_frames(model, sounds))
    results = []
    for words, part, known, result, sound in zip(texts, parts, tokens, aligned, sounds, strict=True):
        starts = dict(reversed(result.alignments))  # token -> its first frame
        edges = [0, *accumulate(len(token_ids) for token_ids in part)]
        last_frame = result.alignments[-1][1] if result.alignments else 0
        times_s = [starts.get(edge, last_frame) / model.tokens_per_second for edge in edges]
        odds = result.text_token_probs if known else [0.0] * edges[-1]
        results.append(
            settle_words(
                [
                    Word(word, times_s[n], times_s[n + 1], math.fsum(odds[first:end]) / max(1, end - first))
                    for n, (word, (first, end)) in enumerate(zip(words, pairwise(edges), strict=True))
                ],
                sound,
            )
        )
    return results
