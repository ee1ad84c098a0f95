"""The bench's part *reading*: what it takes for one change, and which verdicts it finds again."""

import pytest
from benchmarks.corpora import CORPORA
from benchmarks.reading import BARS, DOUBTFUL, RIGHT, WRONG, Change, Verdicts, find_changes

FLIPPED = Change("0a", "2.| Is", "ends")


@pytest.mark.parametrize(
    ("written", "read", "changes"),
    [
        ("It was there.", "it was there", []),
        (
            "On May 5, 2024 we paid.",
            "On May fifth, twenty twenty-four we paid.",
            [("5, 2024", "fifth, twenty twenty-four")],
        ),
        ("a $5 million plan", "a five million dollars plan", [("$5 million", "five million dollars")]),
        ("see a.b.org now", "see a dot b dot org now", [(".b.", "dot b dot")]),
        ("3 men and 4 boys", "three men and four boys", [("3", "three"), ("4", "four")]),
    ],
)
def test_a_change_is_what_a_judge_sees_as_one(written: str, read: str, changes: list[tuple[str, str]]) -> None:
    assert [(change.written, change.read) for change in find_changes(written, read)] == changes


def test_a_verdict_holds_for_the_reading_that_was_judged() -> None:
    verdicts = Verdicts("en", {}, {Change("0a", "92d", "ninety-two d"): WRONG, Change("0a", "Mr.", "Mister"): RIGHT})
    assert verdicts.find(Change("0a", "92d", "ninety-two d", "the [92d] Congress")) == WRONG
    assert verdicts.find(Change("0a", "92d", "ninety-second")) == ""
    assert verdicts.find(Change("0b", "Mr.", "Mister")) == ""


def test_a_sentence_end_that_was_wrong_is_right_the_other_way() -> None:
    verdicts = Verdicts("en", {}, {Change("0a", "2.| Is", "goes on"): WRONG})
    assert verdicts.find(FLIPPED) == RIGHT


def test_every_language_has_four_hundred_verdicts_or_nearly() -> None:
    for language in BARS:
        verdicts = Verdicts.read(language)
        assert verdicts.ends.keys() <= CORPORA.languages[language].keys()
        assert set(verdicts.of.values()) <= {RIGHT, WRONG, DOUBTFUL}
        assert len(verdicts.of) > 450, language
