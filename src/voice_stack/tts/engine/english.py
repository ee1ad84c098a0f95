"""English in misaki's phonemes, by the dictionaries, the rules and the networks of hibari-tts, and no espeak-ng."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import hibari
from hibari.g2p import G2P
from hibari.g2p.normalize import ABBREV, SYMBOLS, TITLES
from hibari.g2p.oov import OOV

from voice_stack.tts.engine.phonemes import SoundedWord, keep_known
from voice_stack.utils.text.script import find_unreadable_script, name_script

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
