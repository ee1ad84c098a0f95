"""From timed tokens to words and sentences, for models that write no timestamps of their own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voice_stack.asr.transcript import Word

LONGEST_TOKEN_S = 0.32
"""A token of a token-and-duration transducer lasts four frames of 80 ms at most (Xu et al. 2023, arXiv:2304.06795)."""
_SENTENCE_END = (".", "?", "!", "…")


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A piece of a word; a leading space begins a new word.

    Attributes:
        id: Its number in the model's vocabulary.
        text: As written.
        start_s: Where it begins, in seconds from the start of the window.
        logprob: Its log-probability.
    """

    id: int
    text: str
    start_s: float
    logprob: float


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and the tokens it is made of."""

    word: Word
    tokens: tuple[TimedToken, ...]


def join_words(tokens: Sequence[TimedToken], duration_s: float) -> list[SpokenWord]:
    """The words of one window; each ends where the next begins, or soon after its own last token.

    Args:
        tokens: In order of time.
        duration_s: Length of the window; no word begins or ends later.
    """
    groups = [group for group in _group(tokens) if _text(group)]
    starts = [min(group[0].start_s, duration_s) for group in groups]
    words = []
    for group, start_s, next_s in zip(groups, starts, (*starts, duration_s)[1:], strict=True):
        end_s = min(max(start_s, group[-1].start_s + LONGEST_TOKEN_S), max(start_s, next_s))
        probability = math.exp(mean_logprob(group))
        words.append(SpokenWord(Word(_text(group), start_s, end_s, probability), tuple(group)))
    return words


def split_sentences(words: Sequence[SpokenWord]) -> Iterator[tuple[SpokenWord, ...]]:
    """The words of each sentence; a sentence ends with a word that ends in its mark."""
    sentence: list[SpokenWord] = []
    for word in words:
        sentence.append(word)
        if word.word.text.endswith(_SENTENCE_END):
            yield tuple(sentence)
            sentence = []
    if sentence:
        yield tuple(sentence)


def mean_logprob(tokens: Sequence[TimedToken]) -> float:
    """Mean log-probability; 0 of no tokens."""
    return sum(token.logprob for token in tokens) / len(tokens) if tokens else 0.0


def _group(tokens: Sequence[TimedToken]) -> Iterator[list[TimedToken]]:
    group: list[TimedToken] = []
    for token in tokens:
        if group and token.text.startswith(" "):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _text(group: Sequence[TimedToken]) -> str:
    return "".join(token.text for token in group).strip()
