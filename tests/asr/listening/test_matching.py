"""A text beside what was recognised: what agrees is paired, what two texts share by chance is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.listening.alignment import cut_sentences
from voice_stack.asr.listening.matching import Pair, match_words, word_key

WAKES = "The old harbour wakes before the town does. At five in the morning the first boats come back."
SHIPS = "An old captain, who has not been at sea for years, sits on his bench and names every ship that passes."
CHORUS = "Oh, the river runs, the river runs."


def keys(text: str) -> list[str]:
    return [word_key(word) for word in text.split()]


def match(own: list[str], heard: list[str]) -> list[Pair]:
    steps = match_words(own, heard)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return list(end.value)


def paired(own: str, heard: str) -> list[tuple[str, str]]:
    return [(own.split()[i], heard.split()[j]) for i, j in match(keys(own), keys(heard))]


def test_what_agrees_is_paired_whatever_stands_around_it() -> None:
    own, heard = f"Chapter one. {WAKES} The end.", f"This is a recording of a book. {WAKES.upper()} Thank you."
    assert [one for one, _ in paired(own, heard)] == WAKES.split()


def test_a_heading_that_nobody_reads_shares_no_words_with_what_is_said_in_its_place() -> None:
    own, heard = f"Chapter 5 The keeper of lost clocks {WAKES}", f"Read by the friends of our library {WAKES}"
    assert [one for one, _ in paired(own, heard)] == WAKES.split()


def test_a_chorus_is_paired_each_time() -> None:
    song = f"{WAKES} {CHORUS} {SHIPS} {CHORUS}"
    assert match(keys(song), keys(song)) == [(n, n) for n in range(len(song.split()))]


@pytest.mark.parametrize(("own", "heard"), [(WAKES, SHIPS), (SHIPS, WAKES), (WAKES, "the"), ("Hello there", "goodbye")])
def test_words_that_every_text_has_are_no_evidence(own: str, heard: str) -> None:
    assert paired(own, heard) == []


def test_a_single_word_is_heard_where_it_is_all_the_text() -> None:
    assert paired("Hello!", "hello") == [("Hello!", "hello")]


def test_other_work_can_be_done_while_a_text_of_one_word_is_matched() -> None:
    assert sum(1 for _ in match_words(["the"] * 50_000, ["the"] * 15_000)) > 50


def test_a_chapter_is_found_in_the_whole_book() -> None:
    draw = random.Random(2)
    book = [f"{draw.choice('abcdefgh')}{draw.randrange(90)}" for _ in range(3000)]
    assert match(book, book[1500:1600]) == [(1500 + n, n) for n in range(100)]


@pytest.mark.parametrize("is_loop", [False, True], ids=["a book", "a loop"])
def test_hours_are_paired_in_parts(is_loop: bool) -> None:
    draw = random.Random(1)
    words = (
        keys(f"{WAKES} {SHIPS}") if is_loop else [f"{draw.choice('abcdefgh')}{draw.randrange(900)}" for _ in range(50)]
    )
    text = words * 180 if is_loop else [draw.choice(words) for _ in range(9000)]
    heard = [(n, word) for n, word in enumerate(text) if draw.random() > 0.05]
    pairs = match(text, [word for _, word in heard])
    assert len(pairs) > 0.98 * len(heard)
    assert all(text[i] == heard[j][1] for i, j in pairs)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("I came. I saw Mr. Smith.", ["I came.", " I saw Mr. Smith."]),
        ("CHAPTER ONE\n\nIt rains.", ["CHAPTER ONE\n\n", "It rains."]),
        ("the river runs\nthe river runs\n", ["the river runs\n", "the river runs\n"]),
        (f"{SHIPS[:80]}\n{SHIPS[80:]}", [f"{SHIPS[:80]}\n{SHIPS[80:]}"]),
        ("... Yes. ***", ["... Yes. ***"]),
    ],
)
def test_sentences_and_short_lines(text: str, sentences: list[str]) -> None:
    assert cut_sentences(text) == sentences


@given(st.text(st.sampled_from("aB1 .!?…\n\r\u2028\t\"'（。—"), max_size=200))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    assert "".join(cut_sentences(text)) == text
