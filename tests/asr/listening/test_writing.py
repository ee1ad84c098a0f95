"""How a text is written: Chinese as the language tag says, Japanese without blanks."""

import pytest

from voice_stack.asr.listening.results import rewrite
from voice_stack.asr.transcript import Segment, Word
from voice_stack.utils.language import find_characters


def heard(text: str, *words: str) -> Segment:
    return Segment(text, 0.0, 2.0, (), 0.0, -0.2, 1.0, 0.05, words=tuple(Word(word, 0.0, 1.0, 0.9) for word in words))


@pytest.mark.parametrize(
    ("languages", "characters"),
    [
        (["zh-CN"], "t2s"),
        (["zh_Hans_HK"], "t2s"),
        (["zh-TW"], "s2tw"),
        (["zh-Hant"], "s2t"),
        (["zh-Hant-HK"], "s2hk"),
        (["yue-HK"], "s2hk"),
        (["en-GB", "cmn-Hant-TW"], "s2tw"),
        (["zh"], None),
        (["en-SG"], None),
        ([None, ""], None),
    ],
)
def test_the_tag_says_which_characters(languages: list[str | None], characters: str | None) -> None:
    assert find_characters(*languages) == characters


def test_japanese_has_no_stray_blanks() -> None:
    written = rewrite(heard(" 今日は いい 天気 です New York", "今日は", "です ？"), "ja", None)
    assert written.text == "今日はいい天気です New York"
    assert [word.text for word in written.words] == ["今日は", "です？"]


def test_chinese_stays_as_it_was_heard_where_nothing_is_asked() -> None:
    mixed = heard("買面包 圖书館")
    assert rewrite(mixed, "zh", None) is mixed
    assert rewrite(mixed, "en", "t2s") is mixed


def test_chinese_is_written_as_asked() -> None:
    written = rewrite(heard("头发，皇后，买面包", "头发，", "皇后，", "买", "面包"), "zh", "s2tw")
    assert written.text == "頭髮，皇后，買麵包"
    assert [word.text for word in written.words] == ["頭髮，", "皇后，", "買", "麵包"]
    assert rewrite(written, "zh", "t2s").text == "头发，皇后，买面包"
