"""Repetition: what a stuck model says over and over is kept once, what people repeat is kept as it is."""

import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.listening.repetition import RepeatFilter, collapse_loops
from voice_stack.asr.transcript import Segment, Word

SURE = Segment(" Go!", 0.0, 1.0, (), 0.0, -0.2, 1.0, 0.05)
UNSURE = replace(SURE, avg_logprob=-0.9)


def texts(segments: list[Segment]) -> list[str]:
    repeats = RepeatFilter()
    kept = [kept for segment in segments for kept in repeats.push(segment)]
    return [segment.text.strip() for segment in kept + repeats.finish()]


def say(*words: str, like: Segment = UNSURE) -> list[Segment]:
    return [replace(like, text=f" {word}", start_s=float(n), end_s=n + 1.0) for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["a", "a", "a"], ["a"]),
        (["a", "A", "a", "a", "b"], ["a", "b"]),
        (["a", "a", "b"], ["a", "a", "b"]),
        (["a", "a"], ["a", "a"]),
        (["a", "b", "a", "b"], ["a", "b", "a", "b"]),
        (["a", "a", "a", "b", "b", "b", "a"], ["a", "b", "a"]),
        (["", "", "a"], ["", "", "a"]),
    ],
)
def test_three_equal_segments_become_one(said: list[str], kept: list[str]) -> None:
    assert texts(say(*said)) == kept


def test_what_the_model_is_sure_of_may_be_repeated() -> None:
    assert texts(say(*["Go!"] * 5, like=SURE)) == ["Go!"] * 5
    assert texts(say(*["Go!"] * 5, like=replace(SURE, compression_ratio=2.5))) == ["Go!"]


def test_switched_off_nothing_waits_and_nothing_is_lost() -> None:
    repeats = RepeatFilter(is_active=False)
    assert [repeats.push(segment) for segment in say("a", "a", "a")] == [[segment] for segment in say("a", "a", "a")]
    assert repeats.finish() == []


def test_a_loop_is_logged_with_its_end_and_count(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        texts(say(*["a"] * 7))
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert (fields["reason"], fields["until_s"], fields["times"]) == ("equal segments in a row", 7.0, 7)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([SURE, UNSURE])), max_size=40))
def test_segments_keep_their_order_and_their_first(said: list[tuple[str, Segment]]) -> None:
    segments = [replace(like, text=f" {text}", start_s=float(n)) for n, (text, like) in enumerate(said)]
    repeats = RepeatFilter()
    kept = [kept for segment in segments for kept in repeats.push(segment)] + repeats.finish()
    starts = [segment.start_s for segment in kept]
    assert starts == sorted(set(starts))
    # Only what equals its neighbour before it may be missing.
    missing = [n for n, segment in enumerate(segments) if segment not in kept]
    assert all(segments[n].text == segments[n - 1].text for n in missing)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (" I think so, I think so, I think so, I think so, I think so,", " I think so,"),
        (" Well. no no no no no no no no no no no then", " Well. no then"),
        ("ありがとうございました。" * 6, "ありがとうございました。"),
        (" ha" * 10, " ha"),
        (" no no no no", " no no no no"),
        (" Let it be, let it be, let it be.", " Let it be, let it be, let it be."),
        (" Mississippi, hahaha", " Mississippi, hahaha"),
    ],
)
def test_loops_in_a_text_are_said_once(text: str, left: str) -> None:
    assert collapse_loops(replace(UNSURE, text=text)).text == left


def test_words_go_with_the_text() -> None:
    said = ["Well.", *["no"] * 11, "then"]
    words = tuple(Word(text, float(n), n + 1.0, 0.5) for n, text in enumerate(said))
    left = collapse_loops(replace(UNSURE, text=" " + " ".join(said), words=words, end_s=13.0))
    assert [(word.text, word.start_s) for word in left.words] == [("Well.", 0.0), ("no", 1.0), ("then", 12.0)]
    assert left.end_s == 13
