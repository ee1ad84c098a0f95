"""Captions show what the client wrote, at the times of what was said."""

import pytest

from voice_stack.tts.captions.sentences import respell
from voice_stack.utils.audio.word_alignment import WordTime


def say(text: str) -> tuple[WordTime, ...]:
    """A word a second."""
    return tuple(WordTime(word, float(n), n + 0.9) for n, word in enumerate(text.split()))


def spans(words: tuple[WordTime, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start_s, 2), round(word.end_s, 2)) for word in words]


def test_words_that_were_spoken_as_written_keep_their_times() -> None:
    assert respell(say("Hello there, world."), "Hello there, world.") == say("Hello there, world.")


def test_only_marks_and_letters_differ() -> None:
    assert spans(respell(say("hello there world"), "“Hello” there — WORLD!")) == [
        ("“Hello”", 0, 0.9), ("there —", 1, 1.9), ("WORLD!", 2, 2.9),
    ]  # fmt: skip


def test_a_number_lasts_as_long_as_its_words() -> None:
    assert spans(respell(say("it costs twenty five dollars today"), "It costs $25 today")) == [
        ("It", 0, 0.9), ("costs", 1, 1.9), ("$25", 2, 4.9), ("today", 5, 5.9),
    ]  # fmt: skip


def test_numbers_at_both_ends() -> None:
    words = respell(say("doctor smith has forty two"), "Dr. Smith has 42")
    assert spans(words) == [("Dr.", 0, 0.9), ("Smith", 1, 1.9), ("has", 2, 2.9), ("42", 3, 4.9)]


def test_several_written_words_share_the_time() -> None:
    words = respell(say("at half past ten then"), "at 10:30 o'clock then")
    assert [word.text for word in words] == ["at", "10:30", "o'clock", "then"]
    assert words[1].start_s == 1
    assert words[1].end_s == words[2].start_s
    assert words[2].end_s == pytest.approx(3.9)


def test_what_is_not_spoken_has_no_time() -> None:
    assert spans(respell(say("one two"), "one (sic) two")) == [("one", 0, 0.9), ("two", 1, 1.9)]


def test_nothing_written_or_spoken() -> None:
    assert respell((), "Hello") == ()
    assert respell(say("hello"), "") == say("hello")
