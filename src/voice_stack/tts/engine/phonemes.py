"""The phonemes of Kokoro and hibari: which the models know, what readers of all languages share, and English.

The alphabet is that of misaki (https://github.com/hexgrad/misaki/blob/main/EN_PHONES.md), broad IPA in which a
diphthong or an affricate is one letter. English is read by the dictionaries, the rules and the networks
of hibari-tts, and no espeak-ng.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hibari
from hibari.g2p import G2P
from hibari.g2p.normalize import ABBREV, SYMBOLS, TITLES
from hibari.g2p.oov import OOV

from voice_stack.utils.text.script import find_unreadable_script, name_script

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


ASSETS = Path(hibari.__file__).parent / "assets"
# The reader takes a word in brackets with something in brackets behind it for an order, and fails on a letter that is
# two in lower case. What stands for them is as long: places in the text stay.
_PLAIN = str.maketrans("[]’İ", "()'I")


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_ALSO_WORDS = {"no.", "nos.", "Sun.", "Sat.", "Mar.", "fig.", "ed.", "est.", "BTW", "IMO", "TBD", "AKA", "aka"}
_SHORT = re.compile(
    rf"\b(?P<title>{_any_of(TITLES)})(?:\.|(?<=\bSt))(?= [A-Z])"
    rf"|(?<![\w.])(?P<abbreviation>{_any_of(ABBREV.keys() - _ALSO_WORDS)})(?!\w)"
    f"|(?P<symbol>[{re.escape(''.join(SYMBOLS.keys() - set('<>|*#~^')))}])"
)
_DIGITS = "one|two|three|four|five|six|seven|eight|nine|ten"
_SPELLED_A = re.compile(
    rf"\bA(?= (?:(?:to|or|and) )?[A-Z]\b|[.,;:!?)]|$)|(?<=\b[A-Z] )A\b|(?<=\w )A(?= (?:{_DIGITS})\b)"
)


def _write_out(text: str) -> tuple[str, list[int]]:
    """What text that was read before has left to its engine: abbreviations of two meanings, and symbols.

    The package's own reading of whole texts would change what is right: "say no." to "say number", "Philip Coombs" to
    "Philip the zeroth".

    Returns:
        The text, and where each of its characters, and its end, is in the one before.
    """
    written, places, end = "", list[int](), 0
    for found in _SHORT.finditer(text):
        match found.lastgroup:
            case "title":
                words = TITLES[found["title"]]
            case "abbreviation":
                words = ABBREV[found[0]] + "." * (found.end() == len(text))
            case _:
                words = f" {SYMBOLS[found[0]]} "
        written += text[end : found.start()] + words
        places += [*range(end, found.start()), *[found.start()] * len(words)]
        end = found.end()
    return written + text[end:], [*places, *range(end, len(text) + 1)]


class EnglishReader:
    """Reads English; unknown words by a small network. Thread-safe.

    Args:
        is_british: British English, American if not.
    """

    def __init__(self, *, is_british: bool) -> None:
        self._network = OOV(str(ASSETS / ("oov_gb.onnx" if is_british else "oov.onnx")))
        self._g2p = G2P(oov=self._read_unknown, british=is_british)
        if is_british:
            self._g2p.lexicon.golds.d["Z"] = "zˈɛd"  # the dictionary has the American letter

    def read(self, text: str) -> list[SoundedWord]:
        """See `LanguageReader.read`."""
        plain = text.translate(_PLAIN).replace("'S", "'s")  # of "JOHN'S" it would spell the S
        written, places = _write_out(plain)
        spelled = {found.start() for found in _SPELLED_A.finditer(plain)}
        tokens, end = self._g2p.tokenize(written), 0
        for token in tokens:
            start = written.index(token.text, end)
            end = start + len(token.text)
            if token.text == "A" and places[start] in spelled:
                token.phonemes = "ˈA"  # it would be the article
        pieces, end = list[SoundedWord](), 0
        for token in self._g2p.phonemize_tokens(tokens):
            # A stray apostrophe may be left out of a token.
            start = max(written.find(token.text, end), end)
            end = min(start + len(token.text), len(written))
            pieces.append(SoundedWord(places[start], places[end], token.phonemes + token.whitespace, joins=True))
        return pieces

    def _read_unknown(self, word: str) -> str:
        """A word that no dictionary has; of another script its name, of signs that nobody knows theirs."""
        if script := find_unreadable_script(word, ("en",)):
            return self._say(f"{name_script(script)} letters")
        known = self._network.cin
        bare = "".join(letter if letter in known else unicodedata.normalize("NFKD", letter)[0] for letter in word)
        if all(letter in known for letter in bare) and (len(word) > 1 or bare.isascii()):
            # It takes no notice of what is beyond its longest word.
            pieces = textwrap.wrap(bare, self._network.maxlen)
            return keep_known("".join(self._network(piece) or "" for piece in pieces))
        return " ".join(self._say(_name_letter(letter)) for letter in word)

    def _say(self, words: str) -> str:
        said: str = self._g2p(words, normalize_text=False)
        return said


def _name_letter(letter: str) -> str:
    """The letter without accents where that is a Latin one, else what Unicode calls it, as `alef`."""
    plain = unicodedata.normalize("NFKD", letter)[0]
    name = unicodedata.name(letter, "letter").partition(" WITH ")[0].partition("-")[0]
    return plain if plain.isascii() else name.rpartition(" ")[2].lower()
