"""What readers of a language hand to Kokoro: the words and marks of a text with their sounds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

_MARKS = {
    "、": ",", "，": ",", "､": ",", "。": ".", "．": ".", "｡": ".", "！": "!", "？": "?", "：": ":", "；": ";",
    "（": "(", "）": ")", "「": "“", "」": "”", "『": "“", "』": "”", "《": "“", "》": "”", "〈": "“", "〉": "”",
    "【": "“", "】": "”", "«": "“", "»": "”", "〜": "—", "～": "—", "―": "—", "⋯": "…",
}  # fmt: skip
_OPENING = "“("
_MODEL_MARKS = ';:,.!?—…"()“”'
"""The marks that the model has learned."""


@dataclass(frozen=True, slots=True)
class SoundedWord:
    """A word or marks.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends there.
        phonemes: How it sounds; empty for what has no sound.
        joins: Its first sound follows the word before it without a break.
    """

    start: int
    end: int
    phonemes: str
    joins: bool = False

    @property
    def is_mark(self) -> bool:
        """Whether it is a pause, not a sound."""
        return all(symbol in _MODEL_MARKS for symbol in self.phonemes)


class LanguageReader(Protocol):
    """Knows how a language's writing sounds. Thread-safe."""

    def read(self, text: str) -> list[SoundedWord]:
        """The words and marks of a text in order."""
        ...


def spell_marks(text: str) -> str:
    """The marks of a text as the model knows them; everything else is left out."""
    return "".join(mark for symbol in text if (mark := _MARKS.get(symbol, symbol)) in _MODEL_MARKS)


def join_pieces(pieces: Iterable[SoundedWord]) -> str:
    """All phonemes of a text: words parted by one space, marks close to their word."""
    joined = ""
    for piece in pieces:
        is_close = piece.joins or (piece.is_mark and piece.phonemes[:1] not in _OPENING) or joined[-1:] in _OPENING
        joined += piece.phonemes if is_close or not piece.phonemes else f" {piece.phonemes}"
    return joined.strip()


def share_phonemes(text: str, words: Sequence[str], pieces: Sequence[SoundedWord]) -> list[list[str]]:
    """The phonemes of each word, where words are cut otherwise than the reader cuts them.

    A piece that belongs to several words, as one of two ideographs, is shared evenly among its characters.

    Args:
        text: What was read.
        words: Stretches of it in order.
        pieces: What the reader made of it.
    """
    shares = [""] * len(text)
    for piece in pieces:
        for place, share in _share(piece, text):
            shares[place] += share
    pronunciations, end = [], 0
    for word in words:
        start = text.index(word, end)
        end = start + len(word)
        pronunciations.append(list("".join(shares[start:end])))
    return pronunciations


def _share(piece: SoundedWord, text: str) -> Iterator[tuple[int, str]]:
    # A reader that combines characters may end up beyond the text.
    start = min(piece.start, len(text) - 1)
    places = range(start, max(min(piece.end, len(text)), start + 1))
    places_heard = [place for place in places if text[place].isalnum()] or list(places)
    count, length = len(places_heard), len(piece.phonemes)
    for index, place in enumerate(places_heard):
        yield place, piece.phonemes[length * index // count : length * (index + 1) // count]
