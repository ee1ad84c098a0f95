"""Mandarin in Kokoro's phonemes: words from jieba, their pinyin from pypinyin, their sounds from a table."""

import re
from collections.abc import Callable
from functools import lru_cache

import rjieba
from pypinyin import Style, lazy_pinyin
from pypinyin.contrib.tone_convert import to_finals, to_initials

from voice_stack.tts.engine.kokoro_reading import Piece, spell_marks

# Kokoro's own alphabet, broad IPA with arrows for tones: https://github.com/hexgrad/misaki.
_INITIALS = {
    "": "", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ",
    "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip
# The tone stands where the sign "|" is: after the vowels.
_FINALS = {
    "a": "a|", "ai": "ai|", "an": "a|n", "ang": "a|ŋ", "ao": "au|", "e": "ɤ|", "ei": "ei|", "en": "ə|n", "eng": "ə|ŋ",
    "i": "i|", "ia": "ja|", "ian": "jɛ|n", "iang": "ja|ŋ", "iao": "jau|", "ie": "je|", "in": "i|n", "ing": "i|ŋ",
    "iong": "jʊ|ŋ", "iou": "jou|", "ong": "ʊ|ŋ", "ou": "ou|", "u": "u|", "ua": "wa|", "uai": "wai|", "uan": "wa|n",
    "uang": "wa|ŋ", "uei": "wei|", "uen": "wə|n", "ueng": "wə|ŋ", "uo": "wo|", "o": "wo|", "ü": "y|", "üan": "ɥɛ|n",
    "üe": "ɥe|", "ün": "y|n",
}  # fmt: skip
_APICAL = ("zhi", "chi", "shi", "ri", "zi", "ci", "si")
_WHOLE = {
    "o": "ɔ|", "yo": "jɔ|", "er": "ɚ|", "ê": "ɛ|", "m": "m|", "n": "n|", "ng": "ŋ|", "hm": "hm|", "hng": "hŋ|",
} | {syllable: f"{_INITIALS[syllable[:-1]]}ɨ|" for syllable in _APICAL}  # fmt: skip
"""Syllables that are not what their letters say."""
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_FOREIGN = rf"[^\W{_HAN}](?:(?:[^\W{_HAN}]|['’.-])*[^\W{_HAN}])?"
_RUN = re.compile(rf"(?P<foreign>{_FOREIGN})|[{_HAN}]+|[^\w]+")


class ChineseReader:
    """Reads Mandarin in simplified and traditional characters.

    Args:
        read_foreign: Phonemes of a word in another script.
    """

    def __init__(self, read_foreign: Callable[[str], str]) -> None:
        self._read_foreign = read_foreign

    def read(self, text: str) -> list[Piece]:
        """The words and marks of a text; a character that nobody can read has no phonemes."""
        pieces: list[Piece] = []
        for run in _RUN.finditer(text):
            start = run.start()
            if run["foreign"]:
                pieces.append(Piece(start, run.end(), self._read_foreign(run[0])))
                continue
            for word in rjieba.cut(run[0]):
                pieces.append(Piece(start, start + len(word), _spell(word)))
                start += len(word)
        return pieces


def _spell(word: str) -> str:
    syllables = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors="ignore")
    return "".join(map(spell_pinyin, syllables)) or spell_marks(word)


@lru_cache(maxsize=4096)
def spell_pinyin(syllable: str) -> str:
    """Phonemes of a syllable in pinyin with its tone as a figure, as `hao3`; 5 is the neutral tone."""
    letters, tone = syllable[:-1], _TONES[syllable[-1]]
    pattern = _WHOLE.get(letters) or _INITIALS[to_initials(letters)] + _FINALS[to_finals(letters, v_to_u=True)]
    return pattern.replace("|", tone)
