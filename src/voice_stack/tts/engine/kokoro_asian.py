"""Mandarin and Japanese in Kokoro's phonemes: words and readings by libraries, sounds by tables.

Each language has an extra of its own: its libraries are imported where it is read.
"""

import re
import threading
from collections.abc import Callable
from functools import lru_cache

from voice_stack.tts.engine.phonemes import MODEL_MARKS, SoundedWord

_MARKS = {
    "、": ",", "，": ",", "､": ",", "。": ".", "．": ".", "｡": ".", "！": "!", "？": "?", "：": ":", "；": ";",
    "（": "(", "）": ")", "「": "“", "」": "”", "『": "“", "』": "”", "《": "“", "》": "”", "〈": "“", "〉": "”",
    "【": "“", "】": "”", "«": "“", "»": "”", "〜": "—", "～": "—", "―": "—", "⋯": "…",
}  # fmt: skip


def spell_marks(text: str) -> str:
    """The marks of a text as the model knows them; everything else is left out."""
    return "".join(mark for symbol in text if (mark := _MARKS.get(symbol, symbol)) in MODEL_MARKS)


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
    """Reads Mandarin in simplified and traditional characters. Thread-safe.

    Args:
        read_foreign: Phonemes of a word in another script.
    """

    def __init__(self, read_foreign: Callable[[str], str]) -> None:
        self._read_foreign = read_foreign

    def read(self, text: str) -> list[SoundedWord]:
        """The words and marks of a text; a character that nobody can read has no phonemes."""
        import rjieba

        pieces: list[SoundedWord] = []
        for run in _RUN.finditer(text):
            start = run.start()
            if run["foreign"]:
                pieces.append(SoundedWord(start, run.end(), self._read_foreign(run[0])))
                continue
            for word in rjieba.cut(run[0]):
                pieces.append(SoundedWord(start, start + len(word), _spell(word)))
                start += len(word)
        return pieces


def _spell(word: str) -> str:
    from pypinyin import Style, lazy_pinyin

    syllables = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors="ignore")
    return "".join(map(spell_pinyin, syllables)) or spell_marks(word)


@lru_cache(maxsize=4096)
def spell_pinyin(syllable: str) -> str:
    """Phonemes of a syllable in pinyin with its tone as a figure, as `hao3`; 5 is the neutral tone."""
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    letters, tone = syllable[:-1], _TONES[syllable[-1]]
    pattern = _WHOLE.get(letters) or _INITIALS[to_initials(letters)] + _FINALS[to_finals(letters, v_to_u=True)]
    return pattern.replace("|", tone)


# Kokoro's own alphabet, broad IPA: https://github.com/hexgrad/misaki. Long vowels are "ː", double consonants "ʔ".
_ROWS = {
    "アイウエオ": "a i ɯ e o", "ァィゥェォ": "a i ɯ e o", "カキクケコ": "ka kʲi kɯ ke ko",
    "ガギグゲゴ": "ɡa ɡʲi ɡɯ ɡe ɡo", "サシスセソ": "sa ɕi sɨ se so", "ザジズゼゾ": "ʣa ʥi zɨ ʣe ʣo",
    "タチツテト": "ta ʨi ʦɨ te to", "ダヂヅデド": "da ʥi zɨ de do", "ナニヌネノ": "na ɲi nɯ ne no",
    "ハヒフヘホ": "ha çi ɸɯ he ho", "バビブベボ": "ba bʲi bɯ be bo", "パピプペポ": "pa pʲi pɯ pe po",
    "マミムメモ": "ma mʲi mɯ me mo", "ラリルレロ": "ɾa ɾʲi ɾɯ ɾe ɾo", "ヤユヨ": "ja jɯ jo",
    "ャュョ": "ja jɯ jo", "ワヰヱヲヮ": "βa i e o βa", "ヴヵヶッー": "vɯ ka ke ʔ ː", "ヷヸヹヺ": "va vʲi ve vo",
}  # fmt: skip
_PALATAL = {
    "キ": "kʲ", "ギ": "ɡʲ", "シ": "ɕ", "ジ": "ʥ", "チ": "ʨ", "ヂ": "ʥ", "ニ": "ɲ", "ヒ": "ç", "ビ": "bʲ", "ピ": "pʲ",
    "ミ": "mʲ", "リ": "ɾʲ", "テ": "tʲ", "デ": "dʲ", "フ": "ɸʲ", "ヴ": "bʲ",
}  # fmt: skip
_OTHER = {"ク": "kᵝ", "グ": "ɡᵝ", "フ": "ɸ", "ツ": "ʦ", "ウ": "β", "ヴ": "v", "ス": "s", "ズ": "z"}
_PAIRS = {
    "フィ": "ɸʲi", "ツィ": "ʦʲi", "ヴィ": "vʲi", "ティ": "tʲi", "ディ": "dʲi", "トゥ": "tɯ", "ドゥ": "dɯ", "イェ": "je",
    "シェ": "ɕe", "ジェ": "ʥe", "チェ": "ʨe", "ニェ": "ɲe", "ヒェ": "çe", "キェ": "kʲe", "ギェ": "ɡʲe",
    "クヮ": "kᵝa", "グヮ": "ɡᵝa",
}  # fmt: skip


def _combine(onsets: dict[str, str], small_kana: str, vowels: str) -> dict[str, str]:
    """The pairs of kana with a small one behind, which gives its vowel to the other's consonant."""
    pairs = list(zip(small_kana, vowels, strict=True))
    return {kana + small: onset + vowel for kana, onset in onsets.items() for small, vowel in pairs}


_KANA = {kana: sound for row, sounds in _ROWS.items() for kana, sound in zip(row, sounds.split(), strict=True)}
_KANA |= _combine(_PALATAL, "ャュョ", "aɨo") | _combine(_OTHER, "ァィェォ", "aieo") | _PAIRS
_MORA = re.compile("|".join(sorted(_KANA, key=len, reverse=True)) + "|ン")
# "ン" takes on the place of the sound after it.
_NASALS = (("m", "mpb"), ("ŋ", "kɡ"), ("ɲ", "ɲʨʥ"), ("n", "ntdɾz"))


class JapaneseReader:
    """Reads Japanese with kanji, numbers and foreign words. Thread-safe."""

    def __init__(self) -> None:
        from haqumei import Haqumei

        self._open_jtalk = Haqumei()
        self._lock = threading.Lock()

    def read(self, text: str) -> list[SoundedWord]:
        """The words and marks of a text; a character that nobody can read has no phonemes."""
        pieces: list[SoundedWord] = []
        with self._lock:
            words = self._open_jtalk.g2p_mapping_detailed(text)
        for word in words:
            start, end = word.char_span
            phonemes = spell_kana(word.pron) or spell_marks(word.word)
            joins = bool(pieces) and (phonemes[:1] == "ʔ" or pieces[-1].phonemes[-1:] == "ʔ")
            pieces.append(SoundedWord(start, end, phonemes, joins))
        return pieces


def spell_kana(kana: str) -> str:
    """Phonemes of katakana as they are pronounced; other characters are left out."""
    moras = _MORA.findall(kana)
    sounds = [_KANA.get(mora, "") for mora in moras]
    for index, mora in enumerate(moras):
        if mora == "ン":
            following = "".join(sounds[index + 1 : index + 2])
            sounds[index] = next((nasal for nasal, places in _NASALS if following[:1] in set(places)), "ɴ")
    return "".join(sounds)
