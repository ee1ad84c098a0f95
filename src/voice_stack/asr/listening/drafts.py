"""Words of a turn that is still being spoken: those that will stay, out of one hypothesis after another.

LocalAgreement (Macháček et al. 2023, arXiv 2307.14743): what two hypotheses in a row begin with is taken for said.
"""

import unicodedata
from collections.abc import Sequence
from itertools import takewhile

from voice_stack.asr.listening.repetition import MAX_COMPRESSION_RATIO
from voice_stack.utils.audio.word_alignment import cut_words, writes_spaces

PAUSE_S = 0.2
"""After so long a pause the last word of a hypothesis is complete."""
LEAST_LOGPROB = -0.9
"""Mean log-probability below which a hypothesis is no evidence."""
_DRIFT = (0, 1, -1, 2, -2)  # words that a newer hypothesis may have more or less before the last one shown


def split_words(text: str) -> list[str]:
    """The words of a text with the spaces before them and the marks that cling to them, as `cut_words` has them."""
    words, end = list[str](), 0
    for word in cut_words(text):
        start, end = end, text.index(word, end) + len(word)
        words.append(text[start:end])
    return words


def _key(word: str) -> str:
    """A word as it is compared: without case and punctuation, but with the vowels that are marks, as in Hindi."""
    letters = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in letters if unicodedata.category(letter)[0] not in "PZ")


def _without_marks(word: str) -> str:
    end = len(word)
    while end and unicodedata.category(word[end - 1])[0] in "PZ":
        end -= 1
    return word[:end]


class Agreement:
    """Hypotheses of one turn -> the words that stay, in their newest form. What is out is never taken back.

    The marks after the last word wait for the next: a full stop often is one only as long as nothing follows.

    Args:
        needed: Hypotheses that must agree: 2, or 1 where speed is all.

    Attributes:
        text: All that stays, of all windows of the turn.
    """

    def __init__(self, needed: int = 2) -> None:
        self._needed = needed
        self._previous: list[str] | None = None
        self._last, self._count = "", 0  # of the words that are out, in this window
        self._marks = ""
        self.text = ""

    def push(
        self, words: Sequence[str], *, pause_s: float = 0.0, avg_logprob: float = 0.0, compression_ratio: float = 0.0
    ) -> str:
        """What a hypothesis for the window in progress adds to `text`.

        Args:
            words: With their spaces, as `split_words` gives them.
            pause_s: Length of the pause at the end of what was heard.
            avg_logprob: Mean log-probability of its tokens.
            compression_ratio: Of its text; one that is improbable, or repeats itself, changes nothing.
        """
        if avg_logprob < LEAST_LOGPROB or compression_ratio > MAX_COMPRESSION_RATIO:
            return ""
        keys = [_key(word) for word in words]
        previous, self._previous = self._previous, keys
        agreed = len(keys)
        if self._needed > 1:
            agreed = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(previous or (), keys, strict=False)))
        if pause_s < PAUSE_S:
            agreed = min(agreed, len(keys) - 1)
        first = self._find_place(keys)
        return "" if first is None else self._add(words[:agreed], keys, first)

    def settle(self, words: Sequence[str]) -> str:
        """What the final text of the window in progress adds to `text`; from here on hypotheses are for the next."""
        keys = [_key(word) for word in words]
        first = self._find_place(keys)
        added = self._add(words, keys, self._count if first is None else first)
        self._previous, self._last, self._count = None, "", 0
        return added

    def _find_place(self, keys: Sequence[str]) -> int | None:
        """Where in a hypothesis that begins which is not out yet; None: it has not the last word that is."""
        if not self._count:
            return 0
        places = (self._count + drift for drift in _DRIFT)
        return next((at for at in places if 0 < at <= len(keys) and keys[at - 1] == self._last), None)

    def _add(self, words: Sequence[str], keys: Sequence[str], first: int) -> str:
        fresh = "".join(words[first:])
        if not fresh:
            return ""
        if not self.text:
            fresh = fresh.lstrip()
        elif first:
            self._marks = words[first - 1][len(_without_marks(words[first - 1])) :]
        elif not fresh[0].isspace() and writes_spaces(fresh):
            fresh = f" {fresh}"
        said = _without_marks(fresh)
        added, self._marks = self._marks + said, fresh[len(said) :]
        self._last, self._count = keys[len(words) - 1], len(words)
        self.text += added
        return added
