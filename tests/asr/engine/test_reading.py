"""Texts that a model went on with after the speech: which they are, and what of them was said."""

import numpy as np
import pytest

from voice_stack.asr.engine.base import WindowResult
from voice_stack.asr.engine.reading import Reading, count_said
from voice_stack.asr.transcript import Segment


def result(avg_logprob: float = -0.3, compression_ratio: float = 1.2) -> WindowResult:
    return WindowResult((), avg_logprob, compression_ratio, 0.01, 5.0)


def reading(token_count: int, heard: WindowResult | None = None) -> Reading:
    return Reading(heard or result(), token_count, duration_s=5.0)


def test_a_plausible_text_is_kept() -> None:
    assert not reading(40).may_have_run_on
    assert reading(45).may_have_run_on
    assert not reading(45).has_run_on


@pytest.mark.parametrize(
    "found", [reading(51), reading(20, result(compression_ratio=2.5))], ids=["too many tokens", "repetitive"]
)
def test_a_text_that_runs_on_is_seen(found: Reading) -> None:
    assert found.has_run_on


def test_the_search_goes_on_until_a_text_is_seen_to_run_on() -> None:
    most = Reading.most_tokens([np.zeros(5 * 16_000, np.float32), np.zeros(16_000, np.float32)])
    assert reading(most).has_run_on
    assert not reading(most - 1).has_run_on


def test_of_two_readings_the_one_that_ends_is_taken() -> None:
    loop, sound, improbable = reading(51), reading(20), reading(20, result(avg_logprob=-1.1))
    assert loop.better(sound) is sound
    assert loop.better(loop) is None
    assert loop.better(improbable) is None
    assert reading(45).better(sound) is sound
    assert (fast := reading(45)).better(reading(44)) is fast
    assert (fast := reading(45)).better(loop) is fast


def test_what_is_said_twice_is_looked_at() -> None:
    def says(*tokens: int) -> Reading:
        return reading(
            len(tokens), WindowResult((Segment("", 0.0, 5.0, tokens, 0.0, -0.3, 1.2, 0.01),), -0.3, 1.2, 0.01, 5.0)
        )

    sentence = range(100, 108)
    assert says(*sentence, 7, *sentence).says_twice
    assert not says(*range(100, 105), 7, *range(100, 105), 8).says_twice


SENTENCE = (" There", "'s", " not", " much", " diff", "erence", ",", " at", " least", " you", " know", ".")
PACE_S = 0.2


def said(*tokens: str, paces_s: tuple[float, ...] | None = None, is_excessive: bool = False) -> str:
    """What `count_said` leaves of a text, of which each token takes so long."""
    paces = paces_s or (PACE_S,) * len(tokens)
    starts_s = [0.0, *np.cumsum(paces).tolist()]
    return "".join(tokens[: count_said([token.encode() for token in tokens], starts_s, is_excessive=is_excessive)])


def told(count: int) -> tuple[float, ...]:
    """The paces of so many tokens that were said."""
    return (PACE_S,) * count


def untold(count: int) -> tuple[float, ...]:
    """The paces of so many tokens for which there was no time."""
    return (0.005,) * count


@pytest.mark.parametrize(
    ("tokens", "paces_s"),
    [
        (SENTENCE, told(12)),
        (SENTENCE * 2, told(24)),
        (SENTENCE, (0.09,) * 12),
        (tuple("\u0b95\u0ba3\u0bb5") * 20, (0.03,) * 60),
        (SENTENCE, told(9) + untold(3)),
    ],
    ids=["a sentence", "the sentence twice", "in a hurry", "tokens of parts of letters", "three words too early"],
)
def test_what_has_its_time_was_said(tokens: tuple[str, ...], paces_s: tuple[float, ...]) -> None:
    assert said(*tokens, paces_s=paces_s) == "".join(tokens)


def test_a_text_that_begins_again_without_time_ends_with_its_first_copy() -> None:
    assert said(*SENTENCE, " There", " is", *SENTENCE[2:], paces_s=told(12) + untold(12)) == "".join(SENTENCE)


def test_a_text_that_goes_on_without_time_ends_where_the_time_does() -> None:
    assert said(*SENTENCE, " I", " am", " a", " doctor", ",", " he", " said", paces_s=told(12) + untold(7)) == "".join(
        SENTENCE
    )


def test_a_loop_ends_with_its_first_copy_and_no_part_of_another() -> None:
    assert said(*SENTENCE, *(" at", " least", ",") * 9, paces_s=told(17) + untold(22)) == "".join(
        (*SENTENCE, " at", " least", ",")
    )


def test_what_was_said_three_times_of_ten_stays_three_times() -> None:
    assert said(*(" Hello", ".") * 10, paces_s=told(6) + untold(14)) == " Hello. Hello. Hello."


def test_no_word_is_cut_in_two() -> None:
    assert said(*SENTENCE[:6], *(" hope",) * 8, paces_s=told(5) + untold(9)) == "".join(SENTENCE[:6])


def test_no_letter_is_cut_in_two() -> None:
    tokens = [letter.encode() for letter in "\u6211\u4eec"] + [b"\xe5\x90", b"\x83", b"\xe9\xa5", b"\xad"] * 8
    starts_s = [0.0, 0.3, 0.6, *[0.6 + 0.001 * n for n in range(1, 33)]]
    said_bytes = b"".join(tokens[: count_said(tokens, starts_s, is_excessive=True)])
    assert said_bytes.decode().startswith("\u6211\u4eec")


def test_a_loop_that_is_spread_over_the_sound_is_one_where_there_is_too_much_of_it() -> None:
    tokens, paces_s = (*SENTENCE, *SENTENCE, *SENTENCE), told(12) + (PACE_S * 0.4,) * 24
    assert said(*tokens, paces_s=paces_s) == "".join(tokens)
    assert said(*tokens, paces_s=paces_s, is_excessive=True) == "".join(SENTENCE)
