"""Clauses: the pieces of text that are synthesized as one unit each."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from voice_stack.utils.text.plain import is_speakable
from voice_stack.utils.text.sentences import CLOSERS, split_sentences

# From the last sound of a clause to the first of the next, as people read aloud.
PARAGRAPH_PAUSE_S = 0.9
SENTENCE_PAUSE_S = 0.5
CLAUSE_PAUSE_S = 0.25


@dataclass(frozen=True)
class Clause:
    """A piece of text to synthesize as one unit, and the silence after it.

    Attributes:
        text: What is spoken.
        pause_s: In seconds: 0 after the last clause, and where a sentence had to be cut between words.
        language: Code of its language; empty if not known.
        source: The written text that it comes from, made plain, if the clause was made from a written text; empty
            too where a number was cut, which is written in the clause before it.
    """

    text: str
    pause_s: float
    language: str = ""
    source: str = ""


_WIDE_MARKS = "、，；：）】」』》—"  # a clause ends after them even where no blank follows
_MARKS = ";:,،؛!?…)]–" + _WIDE_MARKS
_OTHER_MARKS = r" -(?= )|(?<=[^\W\d_]{4})\.(?= )| (?=[(\[])|(?<=\w)(?=[（【「『《])"
_MARK = re.compile(f"([{re.escape(_MARKS)}{CLOSERS}]++)|{_OTHER_MARKS}")
_SIDE_MIN_CHARS = 15


def _is_clause_end(mark: re.Match[str]) -> bool:
    before_blank = mark.string.startswith(" ", mark.end())
    return mark[1] is None or any(c in _WIDE_MARKS or (before_blank and c in _MARKS) for c in mark[1])


def _next_cut(
    sentence: str, ends: list[int], start: int, limit: int, max_chars: int, *, waits_for_mark: bool
) -> tuple[int, float]:
    """Where the unit that begins at `start` ends, and the pause after it; `ends` are the offsets after clause marks."""
    length = len(sentence)
    side = max(1, min(_SIDE_MIN_CHARS, limit // 4))
    low = bisect_left(ends, start + side)
    high = bisect_right(ends, min(start + limit, length - side))
    if low >= high and waits_for_mark:  # the first unit: a mark further on is still better than none
        high = low + (low < bisect_right(ends, min(start + max_chars, length - side)))
        if low >= high and length - start <= max_chars:
            return length, SENTENCE_PAUSE_S
    if low >= high:
        high = bisect_right(ends, start + limit)  # a short rest is better than a cut between words
    if low < high:
        return ends[high - 1], CLAUSE_PAUSE_S
    for window in (limit, max_chars):
        blank = sentence.rfind(" ", start + 1, min(start + window, length - side) + 1)
        if blank > start:
            return blank, 0.0
    whole = end = start + max_chars
    while whole > max(start + 1, end - 16) and unicodedata.category(sentence[whole]).startswith("M"):
        whole -= 1  # a letter keeps its marks
    return whole, 0.0


def cut_sentence(sentence: str, first_limit: int, max_chars: int, *, cuts_words: bool = False) -> Iterator[Clause]:
    """Cut a sentence that is longer than `first_limit`, and the rest of it where that is longer than `max_chars`.

    Args:
        sentence: In words.
        first_limit: Longest first clause.
        max_chars: Longest clause after it, and first one that ends with a mark.
        cuts_words: Without a mark in reach the first clause ends between words, where it would end with a later mark.
    """
    limit, start = first_limit, 0
    ends = [mark.end() for mark in _MARK.finditer(sentence) if _is_clause_end(mark)] if len(sentence) > limit else []
    while len(sentence) - start > limit:
        waits_for_mark = limit < max_chars and not cuts_words
        end, pause_s = _next_cut(sentence, ends, start, limit, max_chars, waits_for_mark=waits_for_mark)
        if end == len(sentence):
            break
        yield Clause(sentence[start:end].strip(), pause_s)
        start = end + sentence.startswith(" ", end)
        limit = max_chars
    yield Clause(sentence[start:], SENTENCE_PAUSE_S)


def _join(first: Clause, second: Clause) -> Clause:
    return replace(
        first if is_speakable(first.text) else second,
        text=f"{first.text} {second.text}",
        pause_s=max(first.pause_s, second.pause_s),
        source=f"{first.source} {second.source}".strip(),
    )


def attach_unspeakable(clauses: list[Clause], max_chars: int) -> list[Clause]:
    """Give marks that stand alone to the clause before them, or after them at the start, where they fit."""
    joined: list[Clause] = []
    for clause in clauses:
        fits = joined and len(joined[-1].text) + 1 + len(clause.text) <= max_chars
        if fits and not (is_speakable(clause.text) and is_speakable(joined[-1].text)):
            clause = _join(joined.pop(), clause)
        joined.append(clause)
    return joined


def split_clauses(text: str, *, first_max_chars: int = 60, max_chars: int = 220) -> list[Clause]:
    """Cut a text into units for synthesis: sentences, and clauses of sentences that are too long.

    Args:
        text: Normalised text; a line break ends a sentence, an empty line a paragraph. No visible character is lost.
        first_max_chars: A longer first sentence is cut at a clause mark, if it has one, so that sound starts early.
        max_chars: No unit is longer. Over-long sentences are cut at clause marks, else at words, else anywhere.

    Returns:
        The units in order; none if nothing in the text is speakable.

    Raises:
        ValueError: A limit is below 1.
    """
    if min(first_max_chars, max_chars) < 1:
        raise ValueError(f"first_max_chars={first_max_chars} and max_chars={max_chars} must both be at least 1")
    if not is_speakable(text):
        return []
    clauses: list[Clause] = []
    for line in text.splitlines():
        if clauses and not line.strip():
            clauses[-1] = replace(clauses[-1], pause_s=PARAGRAPH_PAUSE_S)
        for sentence in split_sentences(" ".join(line.split())):
            clauses += cut_sentence(sentence, max_chars if clauses else min(first_max_chars, max_chars), max_chars)
    clauses = attach_unspeakable(clauses, max_chars)
    return [*clauses[:-1], replace(clauses[-1], pause_s=0.0)]
