"""A text and the words that were recognised: which of them are the same ones.

The pairs with the most in common are found by dynamic programming, pairs in a row first. What two texts of one language
share anyhow, here and there an "and" or a "the", is no evidence and is dropped again: a passage counts where the words
that agree outweigh those between them that do not.
"""

import math
import unicodedata
from bisect import bisect_left
from collections.abc import Generator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
"""Number of a word of the text, number of a recognised word."""

MAX_CELLS = 16_000_000
"""Largest table, a byte a cell, that is filled: 4,000 words against as many, half an hour of speech."""
SEED_WORDS = 4
"""Words in a row that are found once on each side cut a larger table into smaller ones."""
_IN_A_ROW = 0.25
_MOST_BETWEEN = 6
_COST_BETWEEN = 0.4
_SUPPORT = 3.0
_HEAVIEST_LETTERS = 6
_MOST_WEAK = 4
_FAR_LONGER = 4


def word_key(word: str) -> str:
    """A word as it is compared: its letters and digits alone, in one case, without what Unicode writes in two ways."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", word).casefold()))


def weigh(key: str) -> float:
    """How much an agreement says: short words are everywhere; a letter of a script without spaces is a word."""
    return min(len(key) + (not key.isascii()), _HEAVIEST_LETTERS) / 4


Matching = Generator[None, None, list[Pair]]
"""Work in short steps, that other work can be done between; returns the pairs, both numbers rising."""
_ROWS_A_STEP = 256


def match_words(own: Sequence[str], heard: Sequence[str]) -> Matching:
    """The words of a text that were recognised.

    Args:
        own: Keys of the words of the text, see `word_key`.
        heard: Keys of the recognised words.
    """
    numbers = {key: number for number, key in enumerate(dict.fromkeys((*own, *heard)))}
    own_ids = np.array([numbers[key] for key in own], np.int32)
    heard_ids = np.array([numbers[key] for key in heard], np.int32)
    weights = np.array([weigh(key) for key in own], np.float32)
    cuts, whole = [(0, 0)], (len(own), len(heard))
    if len(own) * len(heard) > MAX_CELLS:
        yield
        cuts += _find_seeds(own_ids.tolist(), heard_ids.tolist())
    pairs: list[Pair] = []
    for (a, c), (b, d) in pairwise([*cuts, whole]):
        # Where no row of words is found once, as in a loop, both go on at the same pace.
        parts = math.ceil(math.sqrt((b - a) * (d - c) / MAX_CELLS)) or 1
        edges = [(a + (b - a) * part // parts, c + (d - c) * part // parts) for part in range(parts + 1)]
        for (i, j), (k, n) in pairwise(edges):
            one, other = own_ids[i:k], heard_ids[j:n]
            if is_long := k - i > _FAR_LONGER * (n - j):  # most of it was not said; a row takes longer than its columns
                found = yield from _match_table(other, one, np.array([weigh(key) for key in heard[j:n]], np.float32))
            else:
                found = yield from _match_table(one, other, weights[i:k])
            pairs += [(i + b, j + a) if is_long else (i + a, j + b) for a, b in found]
            yield
    return _keep_supported(pairs, weights)


def _find_seeds(own: Sequence[int], heard: Sequence[int]) -> list[Pair]:
    """Where rows of words begin that stand once in each; the longest chain of them in which both numbers rise."""
    places = [_unique_rows(ids) for ids in (own, heard)]
    shared = sorted((at, places[1][row]) for row, at in places[0].items() if row in places[1])
    tops: list[int] = []
    at_top: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(shared):
        rank = bisect_left(tops, place)
        tops[rank : rank + 1], at_top[rank : rank + 1] = [place], [number]
        before.append(at_top[rank - 1] if rank else -1)
    chain, number = [], at_top[-1] if at_top else -1
    while number >= 0:
        chain.append(shared[number])
        number = before[number]
    return chain[::-1]


def _unique_rows(ids: Sequence[int]) -> dict[tuple[int, ...], int]:
    places: dict[tuple[int, ...], int] = {}
    for at in range(len(ids) - SEED_WORDS + 1):
        row = tuple(ids[at : at + SEED_WORDS])
        places[row] = -1 if row in places else at
    return {row: at for row, at in places.items() if at >= 0}


_UP, _LEFT, _CHAINED = 1, 2, 4


def _match_table(own: NDArray[np.int32], heard: NDArray[np.int32], weights: NDArray[np.float32]) -> Matching:
    """The pairs of greatest weight in all, of a text and what was heard; a byte for each two words is kept."""
    rows, columns = len(own), len(heard)
    ways, known = np.full((rows, columns), _UP, np.uint8), set(heard.tolist())
    best = np.zeros(columns + 1, np.float32)
    matched = np.full(columns + 1, -np.inf, np.float32)
    for row in range(rows):
        if row % _ROWS_A_STEP == 0:
            yield
        if int(own[row]) not in known:
            matched[:] = -np.inf
            continue
        chained = matched[:-1] + _IN_A_ROW
        agrees = np.where(heard == own[row], weights[row] + np.maximum(best[:-1], chained), -np.inf)
        here = np.maximum(best[1:], agrees)
        ways[row] = _UP * (best[1:] >= agrees) + _CHAINED * (chained > best[:-1])
        reached = np.maximum.accumulate(here)
        ways[row] |= np.where(reached > here, _LEFT, 0).astype(np.uint8)
        best[1:], matched[1:] = reached, agrees
    pairs = []
    row, column, is_due = rows - 1, columns - 1, False
    while row >= 0 and column >= 0:
        way = int(ways[row, column])
        if way & _LEFT and not is_due:
            column -= 1
        elif way & _UP and not is_due:
            row -= 1
        else:
            pairs.append((row, column))
            is_due = bool(way & _CHAINED)
            row, column = row - 1, column - 1
    return pairs[::-1]


def _keep_supported(pairs: Sequence[Pair], weights: NDArray[np.float32]) -> list[Pair]:
    """The pairs without those that chance explains."""
    needed = min(_SUPPORT, float(weights.sum()) / 2)
    kept: list[Pair] = []
    run: list[Pair] = []
    support = 0.0
    for pair in pairs:
        between = max(pair[0] - run[-1][0], pair[1] - run[-1][1]) - 1 if run else 0
        if between > _MOST_BETWEEN:
            kept += _without_ends(run, weights) if support >= needed else []
            run, support, between = [], 0.0, 0
        support += float(weights[pair[0]]) - _COST_BETWEEN * between
        run.append(pair)
    return kept + (_without_ends(run, weights) if support >= needed else [])


def _without_ends(run: Sequence[Pair], weights: NDArray[np.float32]) -> list[Pair]:
    """A run without a "the" and an "of" of what is near it; if they are its own the sound will tell."""
    if weights.sum() < 2 * _SUPPORT:
        return list(run)
    last = len(run) - _count_weak(run[::-1], weights)
    return list(run[_count_weak(run, weights) : last])


def _count_weak(run: Sequence[Pair], weights: NDArray[np.float32]) -> int:
    """How many pairs at the beginning weigh little against what lies between them and the others."""
    weak, support = 0, 0.0
    for number, (one, other) in enumerate(pairwise(run[: _MOST_WEAK + 1]), 1):
        between = max(abs(other[0] - one[0]), abs(other[1] - one[1])) - 1
        support += float(weights[one[0]]) - _COST_BETWEEN * between
        if between and support < _SUPPORT / 3:
            weak, support = number, 0.0
        elif support >= _SUPPORT:
            break
    return weak
