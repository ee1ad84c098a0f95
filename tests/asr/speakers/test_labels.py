"""Who said which words: by hand-made turns, as a reader would judge it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.request import SpeakerTurn
from voice_stack.asr.speakers.labels import label_speakers
from voice_stack.asr.transcript import Segment, Speaker, TokenLogprob, Word

ANNA, BEN = Speaker(0), Speaker(1)
NOTHING = Segment("", 0.0, 0.0, (1, 2), 0.0, -0.1, 1.0, 0.0)


def say(text: str, start_s: float = 0.0, word_s: float = 0.5) -> Segment:
    """Words of one length without a gap."""
    words = tuple(
        Word(part, start_s + n * word_s, start_s + (n + 1) * word_s, 0.9) for n, part in enumerate(text.split())
    )
    return replace(NOTHING, text=f" {text}", start_s=start_s, end_s=words[-1].end_s, words=words)


def turn(who: Speaker, start_s: float, end_s: float) -> SpeakerTurn:
    return SpeakerTurn(start_s, end_s, who)


def told(*segments: Segment, by: list[SpeakerTurn]) -> list[tuple[str, str]]:
    """Letter and text of each segment; every word is its segment's speaker's."""
    labelled = label_speakers(segments, by)
    for segment in labelled:
        assert {word.speaker for word in segment.words} <= {segment.speaker}
        assert " ".join(word.text for word in segment.words) in {"", segment.text.strip()}
    return [(segment.speaker.letter if segment.speaker else "", segment.text) for segment in labelled]


def test_a_segment_is_cut_where_another_speaks() -> None:
    spoken = say("Are you ready? Yes I am. Then let us go.")
    cut = told(spoken, by=[turn(ANNA, 0.0, 1.5), turn(BEN, 1.5, 3.0), turn(ANNA, 3.0, 5.0)])
    assert cut == [("A", " Are you ready?"), ("B", " Yes I am."), ("A", " Then let us go.")]


def test_the_parts_of_a_segment_have_their_words_times_and_its_tokens_once() -> None:
    spoken = replace(say("Are you ready? Yes I am."), logprobs=(TokenLogprob(b"Are", -0.1),))
    one, other = label_speakers([spoken], [turn(ANNA, 0.0, 1.5), turn(BEN, 1.5, 3.0)])
    assert (one.start_s, one.end_s, other.start_s, other.end_s) == (0.0, 1.5, 1.5, 3.0)
    assert (one.tokens, other.tokens, len(one.logprobs), len(other.logprobs)) == ((1, 2), (), 1, 0)


def test_a_word_outside_all_turns_is_of_who_speaks_nearest() -> None:
    spoken = say("Before one two. Three four after."), [turn(ANNA, 0.6, 1.4), turn(BEN, 1.6, 2.4)]
    assert told(spoken[0], by=spoken[1]) == [("A", " Before one two."), ("B", " Three four after.")]


@pytest.mark.parametrize(("until_s", "parts"), [(1.3, 1), (1.49, 3)], ids=["unclear", "clear"])
def test_a_lone_word_in_the_sentence_of_another_needs_most_of_its_time(until_s: float, parts: int) -> None:
    spoken = say("I think really we should go.")  # "really" from 1.0 to 1.5
    turns = [turn(ANNA, 0.0, 1.0), turn(BEN, 1.0, until_s), turn(ANNA, until_s, 3.0)]
    assert len(told(spoken, by=turns)) == parts


def test_the_last_word_of_a_sentence_stays_where_its_turn_ends_early() -> None:
    spoken = say("How are you today? I am fine.")
    turns = [turn(ANNA, 0.0, 1.7), turn(BEN, 1.7, 3.5)]  # "today?" lasts from 1.5 to 2.0
    assert told(spoken, by=turns) == [("A", " How are you today?"), ("B", " I am fine.")]


def test_a_sentence_of_one_word_keeps_its_speaker() -> None:
    spoken = say("Shall we go now? Yes. Then come along.")
    turns = [turn(ANNA, 0.0, 2.2), turn(BEN, 2.2, 2.5), turn(ANNA, 2.5, 4.0)]
    assert [letter for letter, _ in told(spoken, by=turns)] == ["A", "B", "A"]


def test_where_two_speak_at_once_who_spoke_before_goes_on() -> None:
    spoken = say("And so we went on and on until the end.")
    assert [letter for letter, _ in told(spoken, by=[turn(BEN, 0.0, 6.0), turn(ANNA, 1.0, 4.0)])] == ["A"]


def test_a_sentence_that_begins_before_the_last_speaker_ends_is_of_who_goes_on_with_it() -> None:
    spoken = say("How are you? I am fine thanks.")
    turns = [turn(ANNA, 0.0, 2.5), turn(BEN, 1.0, 3.5)]  # both say "you?", "I" and "am"
    assert told(spoken, by=turns) == [("A", " How are you?"), ("B", " I am fine thanks.")]


def test_a_segment_without_words_is_of_who_speaks_most_of_it() -> None:
    spoken = replace(say("Are you ready? Yes I am."), words=())
    assert told(spoken, by=[turn(ANNA, 0.0, 1.0), turn(BEN, 1.0, 3.0)]) == [("A", " Are you ready? Yes I am.")]
    assert label_speakers([spoken], [])[0].speaker == Speaker(0)


def test_letters_are_by_first_words_and_not_spent_on_names() -> None:
    named = Speaker(0, "Anna", 0.8)
    turns = [turn(Speaker(2), 0.0, 0.1), turn(named, 0.2, 1.0), turn(Speaker(3), 1.0, 2.0), turn(Speaker(1), 2.0, 3.0)]
    labelled = label_speakers([say("One two"), say("three four", 1.0), say("five six", 2.0)], turns)
    assert [segment.speaker and segment.speaker.letter for segment in labelled] == ["Anna", "A", "B"]
    assert [segment.speaker and segment.speaker.label for segment in labelled] == ["Anna", "SPEAKER_00", "SPEAKER_01"]


def test_text_without_spaces_is_cut_between_its_words() -> None:
    words = tuple(Word(part, n * 1.0, n + 1.0, 0.9) for n, part in enumerate(["你好", "吗？", "我很好", "。"]))
    spoken = replace(NOTHING, text="你好吗？我很好。", end_s=4.0, words=words)
    cut = label_speakers([spoken], [turn(ANNA, 0.0, 2.0), turn(BEN, 2.0, 4.0)])
    assert [segment.text for segment in cut] == ["你好吗？", "我很好。"]


SECONDS = st.floats(0, 20, allow_nan=False)
TURNS = st.lists(
    st.builds(lambda a, b, n: SpeakerTurn(min(a, b), max(a, b), Speaker(n)), SECONDS, SECONDS, st.integers(0, 3))
)


@given(TURNS, st.lists(st.lists(st.sampled_from(["yes.", "no", "well,", "so?"]), min_size=1, max_size=6), max_size=5))
def test_whatever_the_turns_no_text_is_lost_and_every_word_has_a_speaker(
    turns: list[SpeakerTurn], texts: list[list[str]]
) -> None:
    segments = [say(" ".join(text), start_s=3.0 * n) for n, text in enumerate(texts)]
    labelled = label_speakers(segments, turns)
    assert "".join(s.text for s in labelled) == "".join(s.text for s in segments)
    words = [word for segment in labelled for word in segment.words]
    assert [(w.text, w.start_s) for w in words] == [(w.text, w.start_s) for s in segments for w in s.words]
    assert all(word.speaker for word in words)
    assert labelled == label_speakers(segments, list(reversed(turns)))
