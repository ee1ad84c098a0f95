"""Words that stay, out of hypotheses that do not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.asr.engine.base import narrow_frames
from voice_stack.asr.listening.drafts import Agreement, split_words


def agree(*hypotheses: str, needed: int = 2, pause_s: float = 0.0) -> list[str]:
    """What each hypothesis adds."""
    agreement = Agreement(needed)
    added = [agreement.push(split_words(text), pause_s=pause_s) for text in hypotheses]
    assert agreement.text == "".join(added)
    return added


def test_what_two_hypotheses_begin_with_is_out_and_the_last_word_waits() -> None:
    assert agree(" The quick", " The quick brow", " The quick brown fox") == ["", "The quick", ""]
    assert agree(" The quick brown fox", " The quick brown fox") == ["", "The quick brown"]


def test_the_last_word_is_out_after_a_pause() -> None:
    agreement = Agreement()
    for pause_s, added in [(0.0, ""), (0.1, "No matter"), (0.2, " what")]:
        assert agreement.push(split_words(" No matter what."), pause_s=pause_s) == added


def test_case_and_marks_are_no_difference_and_the_newest_form_is_told() -> None:
    assert agree(" so, the Harbour is", " So the harbour, is here") == ["", "So the harbour, is"]


def test_a_full_stop_waits_for_what_follows() -> None:
    added = agree(
        " I was there.", " I was there. And", " I was there, and then", " I was there, and then we", pause_s=1
    )
    assert added == ["", "I was there", ", and", " then"]


def test_what_is_out_is_not_taken_back_and_what_follows_goes_on_after_it() -> None:
    added = agree(
        " Fair a leg",
        " Fair a leg is",
        " Fare again is a",
        " Fare again a leg is a word",
        " Fare again a leg is a word",
    )
    assert added[:2] == ["", "Fair a leg"]
    assert "".join(added) == "Fair a leg is a"


def test_a_contradiction_of_the_last_word_tells_nothing_more() -> None:
    assert agree(" one two three", " one two three", " one too four five", " one too four five") == [
        "",
        "one two",
        "",
        "",
    ]


def test_of_one_hypothesis_all_but_the_last_word_is_out() -> None:
    assert agree(" The quick", " The quick brown", needed=1) == ["The", " quick"]


@pytest.mark.parametrize("doubt", [{"avg_logprob": -0.95}, {"compression_ratio": 2.5}])
def test_doubtful_hypotheses_change_nothing(doubt: dict[str, float]) -> None:
    agreement = Agreement()
    agreement.push(split_words(" The quick brown"))
    assert agreement.push(split_words(" you you you you"), **doubt) == ""
    assert agreement.push(split_words(" The quick brown fox")) == "The quick brown"


def test_scripts_without_spaces_go_letter_by_letter_and_vowel_marks_count() -> None:
    assert agree("今天天气很好。", "今天天气很好,我们") == ["", "今天天气很好"]
    assert agree(" वह है यहाँ तक", " वह हो यहाँ तक") == ["", "वह"]


def test_windows_follow_each_other() -> None:
    agreement = Agreement()
    for text in (" One two", " One two three"):
        agreement.push(split_words(text))
    assert agreement.settle(split_words(" One two three four.")) == " three four"
    assert agreement.push(split_words("Five six"), pause_s=1) == ""
    assert agreement.push(split_words("Five six"), pause_s=1) == ". Five six"
    assert agreement.settle([]) == ""
    assert agreement.text == "One two three four. Five six"


def test_a_final_text_that_contradicts_adds_what_it_has_more() -> None:
    agreement = Agreement()
    for text in (" One two three", " One two three"):
        agreement.push(split_words(text))
    assert agreement.settle(split_words(" Won too, three four.")) == ", three four"


WORDS = st.lists(
    st.sampled_from([" a", " the", " The,", " fox.", "今", "天,", " है", ' "so"', " ...", " -"]), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from([0.0, 0.5]), st.booleans()), max_size=12), st.sampled_from([1, 2]))
def test_each_text_extends_the_one_before(steps: list[tuple[list[str], float, bool]], needed: int) -> None:
    agreement = Agreement(needed)
    for words, pause_s, is_final in steps:
        before, spaced = agreement.text, split_words("".join(words))
        added = agreement.settle(spaced) if is_final else agreement.push(spaced, pause_s=pause_s)
        assert agreement.text == before + added
        assert "  " not in agreement.text
        assert not agreement.text[:1].isspace()


@given(st.text())
def test_words_joined_are_their_text(text: str) -> None:
    assert text.startswith("".join(split_words(text)))


def test_drafts_are_narrower_than_finals() -> None:
    widths = {0.3: 400, 2.5: 400, 2.6: 600, 8.0: 1000, 28.0: 3000, 30.0: 3000}
    assert {turn_s: narrow_frames(round(turn_s * 16_000), is_draft=True) for turn_s in widths} == widths
    assert all(narrow_frames(n * 1600, is_draft=True) >= n * 10 + 150 for n in range(284))
