"""How many sounds a text has: a measure of how long it takes to say, near enough to notice what is far off."""

import re
import unicodedata

# Sounds per letter. Alphabets: phonemes that espeak-ng 1.52 counts in the first article of the Universal Declaration of
# Human Rights, divided by its letters; 1 where it lies between 0.95 and 1.05. Arabic: with the vowels nobody writes.
_PER_LETTER = {"en": 0.85, "fr": 0.7, "de": 0.9, "hu": 0.95, "nl": 0.95, "ar": 1.4, "hi": 1.55}
_PER_DIGIT = 4.0  # "seven"
# What one character stands for in scripts of syllables: consonant, vowel and often one sound more.
_SCRIPTS = (
    ("\u1100", "\u11ff", 1.0),  # single Korean letters
    ("\u3040", "\u30ff", 2.0),  # kana
    ("\u3400", "\u9fff", 3.0),  # Chinese characters
    ("\uac00", "\ud7a3", 2.4),  # Korean syllables
    ("\uf900", "\ufaff", 3.0),
)
_JAPANESE_KANJI = 3.6  # most are read with two morae
_PAUSES = re.compile(r"[,;:.!?…،؛]+\s|\s[–—-]\s|[、，；：。！？—]+")


def count_sounds(text: str, language: str) -> float:
    """Phonemes in a text, about.

    Args:
        text: As it is written; digits count as the words they stand for.
        language: Its code; an unknown one counts as one that is spelled as it is spoken.

    Returns:
        0.0 for a text with nothing to pronounce.
    """
    per_letter = _PER_LETTER.get(language, 1.0)
    return sum(_sounds(character, language, per_letter) for character in unicodedata.normalize("NFC", text))


def _sounds(character: str, language: str, per_letter: float) -> float:
    if character.isdecimal():
        return _PER_DIGIT
    if not character.isalpha():
        return 0.0
    for first, last, sounds in _SCRIPTS:
        if first <= character <= last:
            return _JAPANESE_KANJI if language == "ja" and sounds == 3.0 else sounds
    return per_letter


def count_pauses(text: str) -> int:
    """Marks inside a text at which a speaker pauses; that at the end is none."""
    return len(_PAUSES.findall(text.rstrip(" \n\"'»”’)]」』.,;:!?…،؛、，；：。！？—")))
