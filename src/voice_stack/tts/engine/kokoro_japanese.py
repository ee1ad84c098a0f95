"""Japanese in Kokoro's phonemes: Open JTalk knows how it is read, a table how kana sound."""

import re
import threading

from haqumei import Haqumei

from voice_stack.tts.engine.kokoro_reading import Piece, spell_marks

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
    """Reads Japanese with kanji, numbers and foreign words."""

    def __init__(self) -> None:
        self._open_jtalk = Haqumei()
        self._lock = threading.Lock()

    def read(self, text: str) -> list[Piece]:
        """The words and marks of a text; a character that nobody can read has no phonemes."""
        pieces: list[Piece] = []
        with self._lock:
            words = self._open_jtalk.g2p_mapping_detailed(text)
        for word in words:
            start, end = word.char_span
            phonemes = spell_kana(word.pron) or spell_marks(word.word)
            joins = bool(pieces) and (phonemes[:1] == "ʔ" or pieces[-1].phonemes[-1:] == "ʔ")
            pieces.append(Piece(start, end, phonemes, joins))
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
