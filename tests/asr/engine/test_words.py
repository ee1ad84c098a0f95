"""Words as clients get them: joined with blanks they are the text again, whatever the library takes for a word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.engine.words import read_words
from voice_stack.asr.transcript import Word

PARTS = [
    ([" It", " cost", " $43,", "000", " or", " 3", ".5", "%."], ["It", "cost", "$43,000", "or", "3.5%."]),
    ([" don", "'t", " mother", "-in", "-law", " U", ".S.", " 10", ":30"], ["don't", "mother-in-law", "U.S.", "10:30"]),
    ([" l", "'amour", " venait", " ?"], ["l'amour", "venait ?"]),
    ([" «", " oui", " »"], ["« oui »"]),
    ([" 3", ".5", " %", " € ", "5", " 7", " €"], ["3.5 %", "€ 5", "7 €"]),
    ([" Tom", " &", " Jerry", " 2", " +", " 2"], ["Tom", "&", "Jerry", "2", "+", "2"]),
    (
        ["我", "用", "iP", "hone", "手机", "，", "43", ",", "000", "元"],
        ["我", "用", "iPhone", "手机，", "43,000", "元"],
    ),
    (["今日は", "、", "「", "はい", "」", "と"], ["今日は、", "「はい」", "と"]),
    (["สวัสดี", "ครับ"], ["สวัสดี", "ครับ"]),
    ([" ♪"], ["♪"]),
]


def read(parts: list[str]) -> tuple[Word, ...]:
    words = [{"word": part, "start": n, "end": n + 1, "probability": 0.5} for n, part in enumerate(parts)]
    (said,) = read_words([{"seek": 0, "start": 0, "end": 99, "tokens": [], "words": words}], 99.0)  # type: ignore[typeddict-item]
    return said


@pytest.mark.parametrize(("parts", "words"), PARTS)
def test_a_word_is_what_stands_between_blanks(parts: list[str], words: list[str]) -> None:
    assert [word.text for word in read(parts)] == words


def test_a_joined_word_lasts_as_long_as_its_parts_but_for_marks() -> None:
    price, venait = read([" $43", ",000", " venait", " ?"])
    assert (price.start_s, price.end_s) == (0, 2)
    assert (venait.start_s, venait.end_s) == (2, 3)


@given(st.lists(st.text("ab1$%',.-?&", min_size=1, max_size=4), max_size=12), st.data())
def test_words_joined_with_blanks_are_the_text(pieces: list[str], data: st.DataObject) -> None:
    parts = [data.draw(st.sampled_from([" ", ""])) + piece for piece in pieces]
    text = re.sub(r"\s+", " ", "".join(parts)).strip()
    assert " ".join(word.text for word in read(parts)) == text
