"""Where an engine does not know when words are spoken, their lengths and the silences tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.word_alignment import align_words, cut_words

RATE = 16_000


def noise(duration_s: float) -> Samples:
    return np.random.default_rng(3).normal(0, 0.1, round(duration_s * RATE)).astype(np.float32)


def quiet(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * RATE), np.float32)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world.", ["Hello,", "world."]),
        ("wait - what ?", ["wait -", "what ?"]),
        ("- first", ["- first"]),
        ("it's 10:30 a.m.", ["it's", "10:30", "a.m."]),
        ("你好，世界。", ["你", "好，", "世", "界。"]),
        ("我爱 Python 3！", ["我", "爱", "Python", "3！"]),
        ("ดี", ["ดี"]),
        ("…", []),
        ("", []),
    ],
)
def test_words_keep_their_marks(text: str, words: list[str]) -> None:
    assert cut_words(text) == words


@given(st.text(max_size=60))
def test_no_visible_character_is_lost(text: str) -> None:
    words = cut_words(text)
    if words:
        assert "".join("".join(words).split()) == "".join(text.split())
    else:
        assert not any(map(str.isalnum, text))


def test_words_share_the_time_by_their_length() -> None:
    (short, long) = align_words(["an", "extraordinary"], noise(1.6), RATE)
    assert short[0] == pytest.approx(0, abs=0.02)
    assert long[1] == pytest.approx(1.6, abs=0.02)
    assert short[1] == pytest.approx(0.28, abs=0.12)  # 3 of 17 parts


def test_a_pause_is_between_the_words_around_a_mark() -> None:
    sound = np.concatenate([quiet(0.3), noise(0.8), quiet(0.4), noise(1.2), quiet(0.5)])
    times = align_words(["Good", "morning,", "everybody", "there."], sound, RATE)
    assert times[0][0] == pytest.approx(0.3, abs=0.03)
    assert times[1][1] == pytest.approx(1.1, abs=0.03)
    assert times[2][0] == pytest.approx(1.5, abs=0.03)
    assert times[3][1] == pytest.approx(2.7, abs=0.03)


def test_borders_are_quiet() -> None:
    sound = np.concatenate([noise(0.37), 0.05 * noise(0.03), noise(0.5)])
    first, second = align_words(["word", "words"], sound, RATE)
    assert first[1] == pytest.approx(0.385, abs=0.03)
    assert second[0] == pytest.approx(0.385, abs=0.03)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "word", "12", "extraordinary,", "世"]), max_size=40), st.integers(0, 30_000))
def test_times_are_in_order_and_inside(words: list[str], count: int) -> None:
    times = align_words(words, noise(2)[:count], RATE)
    edges = [edge for span in times for edge in span]
    assert len(times) == len(words)
    assert edges == sorted(edges)
    assert all(0 <= edge <= count / RATE + 1e-9 for edge in edges)


def test_silence_has_words_somewhere() -> None:
    assert align_words(["a", "b"], quiet(1), RATE) == [(0, 0.5), (0.5, 1)]
