"""Scripts: what a text is written in, and who can read it."""

import pytest

from voice_stack.utils.language import LANGUAGES
from voice_stack.utils.text.script import can_be_japanese, find_unreadable_script, language_scripts, name_script


def test_every_language_has_scripts_with_names() -> None:
    scripts = {script for code in LANGUAGES for script in language_scripts(code)}
    assert {name_script(script) for script in scripts} >= {"Latin", "Cyrillic", "Japanese", "Chinese", "Korean", "Thai"}
    assert language_scripts("ja") == {"Latn", "Hira", "Hani"}
    assert language_scripts("jw") == {"Latn"}
    assert language_scripts("uk") == language_scripts("sr") == {"Latn", "Cyrl"}


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("Привет", ["en", "de"], "Cyrl"),
        ("Привет", ["en", "uk"], None),
        ("नमस्ते दुनिया", ["en"], "Deva"),
        ("안녕하세요 東京", ["ja"], "Hang"),
        ("東京", ["zh"], None),
        ("カタカナ", ["zh"], "Hira"),
        ("Hello, how are you?", ["ar"], None),
        ("Grüße aus Łódź, İzmir und Huế", ["en"], None),
        ("He met Иван", ["en"], None),
        ("He: Иван", ["en"], "Cyrl"),
        ("α + β = Ω", ["en"], None),
        ("5 µm, 3 ª, 20 %", ["en"], None),
        ("12:30!", ["en"], None),
    ],
)
def test_script_that_readers_do_not_know(text: str, languages: list[str], script: str | None) -> None:
    assert find_unreadable_script(text, languages) == script


@pytest.mark.parametrize("text", ["東京都庁舎", "全員集合！", "春眠不覚暁", "これは我们です"])
def test_may_be_japanese(text: str) -> None:
    assert can_be_japanese(text)


@pytest.mark.parametrize("text", ["我们今天去公园散步", "你好", "他們這樣說"])
def test_is_chinese_beyond_doubt(text: str) -> None:
    assert not can_be_japanese(text)
