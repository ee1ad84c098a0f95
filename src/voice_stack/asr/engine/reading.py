"""What a model wrote for a window, whether it went on after the speech, and how much of it was said.

The encoder's cost grows faster than its width, and most windows are far shorter than 30 s. Too little room after the
speech makes a model run on: it says the last words over and over, or begins again. Such a text is recognised here. Its
alignment with the sound tells what of it was said: for the rest no time is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.engine.words import CLOSING_MARKS

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
