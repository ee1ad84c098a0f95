"""English, Japanese and Chinese writing in the phonemes of Kokoro."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin import Style, pinyin
from pypinyin.constants import PINYIN_DICT

from voice_stack.tts.engine.kokoro_asian import (
    ChineseReader,
    JapaneseReader,
    spell_kana,
    spell_pinyin,
)
from voice_stack.tts.engine.phonemes import (
    NUMBERS,
    EnglishReader,
    LanguageReader,
    join_pieces,
    keep_known,
    share_phonemes,
)
from voice_stack.utils.audio.word_alignment import cut_words

KNOWN = frozenset(NUMBERS)
ODD_TEXTS = st.text(
    st.sampled_from("今日本学一三千々〇行东话髙𠮷𰻞あんっゃーァンッヴェー、。「」！？…·-'’.,aZ9９½A²αİ \n\u200b😀é"),
    max_size=12,
)


@pytest.fixture(scope="module")
def japanese() -> JapaneseReader:
    return JapaneseReader()


@pytest.fixture(scope="module")
def chinese() -> ChineseReader:
    return ChineseReader(lambda word: "f" * len(word))


@pytest.fixture(scope="module")
def american() -> EnglishReader:
    return EnglishReader(is_british=False)


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        # The past of "read", the noun "record"; then the verbs.
        ("He read the record; they record and read it.", "hˌi ɹˈɛd ðə ɹˈɛkəɹd; ðA ɹəkˈɔɹd ænd ɹˈid ɪt."),
        ("JOHN'S and John’s", "ʤˈɑnz ænd ʤˈɑnz"),
        # What is written as the library's orders is read as it is written.
        ("a [sic](/x/) note", "ɐ (sˈɪk slˈæʃ ˈɛks slˈæʃ) nˈOt"),
        ("the word 漢字 here", "ðə wˈɜɹd ʧˌInˈiz lˈɛTəɹz hˈɪɹ"),
        ("Москва", "səɹˈɪlɪk lˈɛTəɹz"),
        # Signs that are no word of a script: "alpha", "f, u, thorn".
        ("α and ᚠᚢᚦ", "ˈælfə ænd ˈɛf jˈu θˈɔɹn"),
        # Major, April, the letters A, B and C; the article.
        ("Maj. Smith in Apr.", "mˈAʤəɹ smˈɪθ ɪn ˈApɹəl."),
        ("A B C, plan A; A cat", "ˈA bˈi sˈi, plˈæn ˈA; ɐ kˈæt"),
        ("Pneumonoultramicroscopicsilicovolcanoconiosis", "nˌumənOˌʌltɹəmˌIkɹəskˌɑpɪksˌɪləkOvɑlkˌAnOkˌOniˈOsɪs"),
    ],
)
def test_english_sounds_as_it_is_spoken(american: EnglishReader, text: str, phonemes: str) -> None:
    assert keep_known(join_pieces(american.read(text))) == phonemes


def test_words_written_out_keep_their_places(american: EnglishReader) -> None:
    text = "Maj. Smith paid 2½ §5"
    shared = share_phonemes(text, cut_words(text), american.read(text))
    assert ["".join(word).strip() for word in shared] == [
        "mˈAʤəɹ", "smˈɪθ", "pˈAd", "tˈu wˈʌn hˈæf", "sˈɛkʃən fˈIv",
    ]  # fmt: skip


def test_the_last_letter_is_another_in_britain() -> None:
    assert join_pieces(EnglishReader(is_british=True).read("From A to Z, NZ")) == "fɹˌɒm ˈA tə zˈɛd, ˌɛnzˈɛd"


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        # "は" and "へ" as particles; a long vowel; a double consonant.
        ("今日は学校へ行った。", "kʲoː βa ɡaʔkoː e iʔta."),
        # What is counted changes the number and the counter: san bon, ip pun, happyaku.
        ("三本と一分、八百円", "saɴ boɴ to iʔpɯɴ, haʔpʲakɯ eɴ"),
        ("日本の新聞", "ɲihoɴ no ɕimbɯɴ"),
        ("「本当？」（はい！）", "“hontoː?” (hai!)"),
        ("AIとキャッシュ", "eːai to kʲaʔɕɨ"),
    ],
)
def test_japanese_sounds_as_it_is_spoken(japanese: JapaneseReader, text: str, phonemes: str) -> None:
    assert join_pieces(japanese.read(text)) == phonemes


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界！", "ni↓xau↓, ʂɨ↘ʨje↘!"),
        # 行 is hang in a bank and xing where somebody walks; 长 is zhang where it is a chief.
        ("银行行长步行。", "i↗nxa↗ŋxa↗ŋꭧa↓ŋ pu↘ɕi↗ŋ."),
        ("他去了女儿家", "tʰa→ ʨʰy↘ lɤ ny↓ɚ↗ ʨja→"),
        ("“我们”说：《红楼梦》", "“wo↓mən” ʂwo→: “xʊ↗ŋlou↗mə↘ŋ”"),
        ("OpenAI很好", "ffffff xə↓n xau↓"),
    ],
)
def test_chinese_sounds_as_it_is_spoken(chinese: ChineseReader, text: str, phonemes: str) -> None:
    assert join_pieces(chinese.read(text)) == phonemes


def test_traditional_characters_sound_like_simplified_ones(chinese: ChineseReader) -> None:
    assert join_pieces(chinese.read("老師喜歡圖書館。")) == join_pieces(chinese.read("老师喜欢图书馆。"))


def test_every_syllable_of_mandarin_has_sounds_that_the_model_knows() -> None:
    readings = [pinyin(chr(sign), Style.TONE3, heteronym=True, neutral_tone_with_five=True)[0] for sign in PINYIN_DICT]
    syllables = {syllable for choices in readings for syllable in choices}
    assert len(syllables) > 1400
    spelled = {syllable: spell_pinyin(syllable) for syllable in syllables}
    assert not {syllable for syllable, sounds in spelled.items() if not sounds or not KNOWN.issuperset(sounds)}


def test_every_kana_has_sounds_that_the_model_knows() -> None:
    kana = [chr(code) for code in range(ord("ァ"), ord("ヺ") + 1)]
    pairs = ["".join(pair) for pair in ((first, small) for first in kana for small in "ァィゥェォャュョンッー")]
    assert not [mora for mora in (*kana, *pairs) if not KNOWN.issuperset(spell_kana(mora)) or not spell_kana(mora)]


@given(ODD_TEXTS)
@settings(max_examples=150, deadline=None)
def test_odd_texts_are_read_without_an_error(
    american: EnglishReader, japanese: JapaneseReader, chinese: ChineseReader, text: str
) -> None:
    readers: tuple[LanguageReader, ...] = (american, japanese, chinese)
    for reader in readers:
        pieces = reader.read(text)
        assert KNOWN.issuperset(join_pieces(pieces)), text
        words = cut_words(text)
        shared = share_phonemes(text, words, pieces)
        assert len(shared) == len(words)
        sounds = [symbol for piece in pieces for symbol in piece.phonemes if symbol.isalpha()]
        shares = [symbol for word in shared for symbol in word if symbol.isalpha()]
        assert shares == sounds, text


def test_words_share_the_sounds_of_what_is_read_as_one(japanese: JapaneseReader) -> None:
    shared = share_phonemes("学校へ。", cut_words("学校へ。"), japanese.read("学校へ。"))
    assert ["".join(word) for word in shared] == ["ɡaʔ", "koː", "e."]
