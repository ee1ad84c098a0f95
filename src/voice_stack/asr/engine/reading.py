"""A text that a model wrote for a window, read against its sound: when it was said, how probable, and how much of it.

The search itself gives one score for a whole text. So the finished text is read once more, in a single pass of the
decoder over all its tokens (CTranslate2's `align`), which gives the probability of each given those before it. In that
pass the model writes no timestamps; the probabilities are among text tokens.

The encoder's cost grows faster than its width, and most windows are far shorter than 30 s. Too little room after the
speech makes a model run on: it says the last words over and over, or begins again. Such a text is recognised here. Its
alignment with the sound tells what of it was said: for the rest no time is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

# What a text decoded at less than full width must keep to; docs/performance.md has the measurements.
MAX_TOKENS_PER_S, FAST_TOKENS_PER_S = 8.0, 6.0
SPARE_TOKENS = 10
MIN_AVG_LOGPROB = -1.0
MAX_COMPRESSION_RATIO = 2.4
MAX_NO_SPEECH_PROB = 0.6
SHORTER = 0.8
"""A text that is shorter by so much when it is read again says something once too often."""
TWICE_TOKENS = 7
"""In a row: what people repeat is mostly shorter."""
LAST_S = 0.1
QUIET_END = 0.01
"""-20 dB: a pause is further below the speech before it, unless there is much noise."""


def is_cut_off(window: NDArray[np.float32]) -> bool:
    """Whether a window ends in the middle of a sound."""
    last = window[-round(LAST_S * SAMPLE_RATE) :]
    return float(np.mean(np.square(last))) > QUIET_END * float(np.mean(np.square(window)))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model wrote for a window, and how many tokens it took; timestamps are tokens, too."""

    result: WindowResult
    token_count: int
    duration_s: float

    @property
    def has_run_on(self) -> bool:
        """Whether the text looks like one that the model went on with after the speech."""
        return self._is_longer_than(MAX_TOKENS_PER_S) or self.result.compression_ratio > MAX_COMPRESSION_RATIO

    @property
    def may_have_run_on(self) -> bool:
        """Whether it is worth a second look, which is cheap: as much as the fastest speech has."""
        return self.has_run_on or self._is_longer_than(FAST_TOKENS_PER_S)

    @property
    def says_twice(self) -> bool:
        """Whether the text may have begun again; what people do say twice has its time."""
        tokens, seen = self.tokens, set[tuple[int, ...]]()
        for n in range(TWICE_TOKENS, len(tokens) - TWICE_TOKENS + 1):
            seen.add(tuple(tokens[n - TWICE_TOKENS : n]))
            if tuple(tokens[n : n + TWICE_TOKENS]) in seen:
                return True
        return False

    @property
    def is_doubtful(self) -> bool:
        """Whether another temperature may be asked for."""
        return self.result.avg_logprob < MIN_AVG_LOGPROB or self.result.compression_ratio > MAX_COMPRESSION_RATIO

    @property
    def tokens(self) -> list[int]:
        """The text with its timestamps."""
        return [token for segment in self.result.segments for token in segment.tokens]

    def better(self, other: "Reading") -> "Reading | None":
        """This one or another of the same window; None: somebody speaks, and neither is right."""
        if not other.has_run_on and not other.is_doubtful:
            return other if self.has_run_on or other.token_count < SHORTER * self.token_count else self
        return None if self.has_run_on and self.result.no_speech_prob <= MAX_NO_SPEECH_PROB else self

    @staticmethod
    def most_tokens(windows: Sequence[NDArray[np.float32]]) -> int:
        """Where the search for texts ends at less than full width: one that is so long has run on."""
        longest_s = max(window.size for window in windows) / SAMPLE_RATE
        return math.ceil(MAX_TOKENS_PER_S * longest_s) + SPARE_TOKENS + 1

    def _is_longer_than(self, tokens_per_s: float) -> bool:
        return self.token_count > tokens_per_s * self.duration_s + SPARE_TOKENS


FASTEST_TOKEN_S = 0.06
"""Nobody says more tokens in a row in so much time each; nor in half of what the tokens before have taken."""
MIN_EXCESS_S = 0.3
"""So much time a text lacks for what it says, before that is taken for a fault of the text and not of its times."""

LEAST_SAID, MOSTLY_SAID = 1 / 4, 1 / 2
"""Of a window: what is left is decoded as one of its own. Where that is much, all of it is rather read another way."""


def count_said(tokens: Sequence[bytes], starts_s: Sequence[float], *, is_excessive: bool) -> int:
    """How many tokens of a text were said, from its first one on.

    Args:
        tokens: The text in UTF-8, without timestamps; a character may be split.
        starts_s: When each is said, in seconds, and when the last of them ends.
        is_excessive: It is certain that not all were.
    """
    count = len(tokens)
    lacks_s = {n: _lacking_s(count - n, starts_s[-1] - starts_s[n], n, starts_s[n]) for n in range(1, count)}
    said = max(lacks_s, key=lambda n: lacks_s[n], default=count)
    if lacks_s.get(said, 0.0) < MIN_EXCESS_S:
        said = count
    if said < count or is_excessive:
        said = min(said, _end_of_copies(tokens, starts_s, said))
    while 0 < said < count and _belongs_to(tokens[said], tokens[said - 1]):
        said += 1
    return said


def _lacking_s(count: int, left_s: float, before: int, before_s: float) -> float:
    """How much more time so many tokens need than is left for them, by the pace of those before."""
    return count * min(FASTEST_TOKEN_S, before_s / before / 2) - left_s


def _end_of_copies(tokens: Sequence[bytes], starts_s: Sequence[float], said: int) -> int:
    """The end of what was said of a text that says the same over and over in the end: as long as that takes time."""
    count = len(tokens)
    for period in range(1, count // 2 + 1):
        same = next((n for n in range(count - period) if tokens[-1 - n] != tokens[-1 - n - period]), count - period)
        if same < period:
            continue
        end = count - same
        least_s = (starts_s[end] - starts_s[end - period]) / 2
        while end + period <= said and starts_s[end + period] - starts_s[end] >= least_s:
            end += period
        # What comes over and over begins after a mark, if it has one.
        return next((n for n in range(end, end - period, -1) if _is_mark(tokens[n - 1])), end)
    return count


def _is_mark(token: bytes) -> bool:
    text = token.decode(errors="ignore")
    return bool(text) and text in CLOSING_MARKS


def _belongs_to(token: bytes, word: bytes) -> bool:
    """Whether a token goes on with the letter or the word that another one has begun, or is a mark after it."""
    is_within_letter = token[:1] >= b"\x80" and token[:1] < b"\xc0"
    return _is_mark(token) or is_within_letter or (word.startswith(b" ") and token.decode(errors="ignore").isalpha())


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
