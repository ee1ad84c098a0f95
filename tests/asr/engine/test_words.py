"""Words as clients get them: joined with blanks they are the text again, and they lie where they are said."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_stack.asr.engine.words import read_words, settle_words
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
RATE = 16_000
NOISE = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * 0.1
PAUSE = np.zeros(RATE // 2, np.float32)
SOUND = np.tile(NOISE, 20)


def read(parts: list[str]) -> tuple[Word, ...]:
    words = [{"word": part, "start": n, "end": n + 1, "probability": 0.5} for n, part in enumerate(parts)]
    (said,) = read_words([{"seek": 0, "start": 0, "end": 99, "tokens": [], "words": words}], SOUND)  # type: ignore[typeddict-item]
    return said


@pytest.mark.parametrize(("parts", "words"), PARTS)
def test_a_word_is_what_stands_between_blanks(parts: list[str], words: list[str]) -> None:
    assert [word.text for word in read(parts)] == words


def test_a_joined_word_lasts_as_long_as_its_parts_but_for_marks() -> None:
    price, venait = read([" $43", ",000", " venait", " ?"])
    assert [price.start_s, price.end_s] == pytest.approx([0.08, 2.08])
    assert [venait.start_s, venait.end_s] == pytest.approx([2.08, 3.08])


@given(st.lists(st.text("ab1$%',.-?&", min_size=1, max_size=4), max_size=12), st.data())
def test_words_joined_with_blanks_are_the_text(pieces: list[str], data: st.DataObject) -> None:
    parts = [data.draw(st.sampled_from([" ", ""])) + piece for piece in pieces]
    text = re.sub(r"\s+", " ", "".join(parts)).strip()
    assert " ".join(word.text for word in read(parts)) == text


def times(*edges_s: tuple[float, float]) -> list[Word]:
    return [Word("word", start_s, end_s, 0.9) for start_s, end_s in edges_s]


def test_words_end_and_begin_at_the_pause_between_them() -> None:
    window = np.concatenate([PAUSE, NOISE, PAUSE, NOISE, PAUSE])
    first, second = settle_words(times((0.2, 1.2), (1.2, 3.4)), window)
    edges_s = [first.start_s, first.end_s, second.start_s, second.end_s]
    assert edges_s == pytest.approx([0.5, 1.5, 2.0, 3.0], abs=0.02)


@pytest.mark.parametrize("window", [NOISE, NOISE * 0], ids=["no pause", "nothing but pause"])
def test_without_pauses_words_come_a_little_later_in_order_and_inside(window: NDArray[np.float32]) -> None:
    words = settle_words(times((0.0, 0.3), (0.2, 0.2), (0.3, 0.98), (0.98, 1.5)), window)
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] == pytest.approx(0.08)
    assert edges[-1] == 1.0
