"""The phonemes of Kokoro and hibari: which the models know, and what readers of all languages share.

The alphabet is that of misaki (https://github.com/hexgrad/misaki/blob/main/EN_PHONES.md), broad IPA in which a
diphthong or an affricate is one letter.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# The models' number of the first of several phonemes that have numbers in a row.
_NUMBERED = {
    1: ';:,.!?', 9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ",
    156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
NUMBERS = {symbol: first + index for first, run in _NUMBERED.items() for index, symbol in enumerate(run)}
"""Every phoneme and mark of the models -> its number; 0 is the silence around a text."""
MAX_PHONEMES = 510
"""Most that Kokoro takes at once."""


def keep_known(phonemes: str) -> str:
    """The phonemes that the models know, words parted by one blank."""
    return " ".join("".join(symbol for symbol in phonemes if symbol in NUMBERS).split())


def cut_phonemes(phonemes: str) -> list[str]:
    """Pieces that Kokoro takes, cut at blanks, of about one length: short ones are spoken otherwise than long."""
    count = -(-len(phonemes) // MAX_PHONEMES)
    width = min(len(phonemes) // max(count, 1) + MAX_PHONEMES // 10, MAX_PHONEMES)
    return textwrap.wrap(phonemes, max(width, 1), break_on_hyphens=False)


_OPENING = "“("
MODEL_MARKS = ';:,.!?—…"()“”'
"""The marks that the models have learned."""


@dataclass(frozen=True, slots=True)
class SoundedWord:
    """A word or marks.

    Attributes:
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
        return all(symbol in MODEL_MARKS for symbol in self.phonemes)


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


class LanguageReader(Protocol):
    """Knows how a language's writing sounds. Thread-safe."""

    def read(self, text: str) -> list[SoundedWord]:
        """The words and marks of a text; a character that nobody can read has no phonemes."""
        ...
