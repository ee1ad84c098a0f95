"""A text that comes in pieces: the clauses of the whole, each as soon as it is sure."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import PARAGRAPH_PAUSE_S, SENTENCE_PAUSE_S, Clause
from voice_stack.utils.text.pipeline import DEFAULT_LIMITS, ClauseLimits, clauses
from voice_stack.utils.text.pronunciation import parse_pronunciations
from voice_stack.utils.text.script import read_one_voice
from voice_stack.utils.text.stream import ClauseStream

RULES = parse_pronunciations("written,spoken\nKubernetes,koo ber net eez\n$5,a fiver\n", "words.csv")
ANSWERS = Path(__file__).with_name("answers.txt").read_text("utf-8").split("\n=====\n")
"""What language models write, and what is hard to cut."""


def whole(text: str, language: str = "en", limits: ClauseLimits = DEFAULT_LIMITS) -> list[Clause]:
    plain = read_one_voice(text).text
    return list(clauses(plain, language, languages=[language], rules=RULES, limits=limits, is_plain=True))


def stream(language: str = "en", limits: ClauseLimits = DEFAULT_LIMITS) -> ClauseStream:
    return ClauseStream(language, languages=[language], rules=RULES, limits=limits)


def streamed(pieces: Iterable[str], language: str = "en", limits: ClauseLimits = DEFAULT_LIMITS) -> list[Clause]:
    begun = stream(language, limits)
    return [*(clause for piece in pieces for clause in begun.push(piece)), *begun.finish()]


def every(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def _read_corpora() -> dict[str, list[str]]:
    """What the readings are tested with, language by language."""
    written = defaultdict(list)
    for line in Path(__file__).with_name("reading.txt").read_text("utf-8").splitlines():
        language, text, _ = line.split(" | ")
        written[language].append(text if text[-1] in ".!?" else f"{text}.")
    return written


WRITTEN = _read_corpora()


@pytest.mark.parametrize("length", [1, 3, 17])
@pytest.mark.parametrize("text", ANSWERS)
def test_pieces_of_an_answer_are_read_as_the_whole(text: str, length: int) -> None:
    assert streamed(every(text, length)) == whole(text)


@pytest.mark.parametrize("language", WRITTEN)
def test_pieces_of_a_long_text_are_read_as_the_whole(language: str) -> None:
    text = " ".join(WRITTEN[language])
    assert streamed(every(text, 5), language) == whole(text, language)


CUTS = st.lists(st.integers(0, 400), max_size=30)
ODD = ["Hello 5.", "Dr.", "$5.50", "\n", "\n\n", "\r\n", " ", " ", "今天3点。", "مرحبا 25 ", "🎉", "\x07", "[pause:1s]",
       "**a**", "- ", "1984", "e.g. ", "Louis XIV ", "x" * 50, "Kubernetes", "Go on! ", ". ", "The ", "a", ",000", "`",
       "$", "|", "# ", "...", "\"", "e\u0301", "[", "](x)", "http://a.b/c.d", "<b>", "</b>", "&amp;", "~~~\n",
       "A."]  # fmt: skip


ENGLISH = st.one_of(st.sampled_from(ANSWERS), st.lists(st.sampled_from(ODD), max_size=40).map("".join))
FOREIGN = st.sampled_from(list(WRITTEN)).flatmap(
    lambda language: st.tuples(
        st.just(language), st.lists(st.sampled_from([*WRITTEN[language], *ODD]), max_size=12).map(" ".join)
    )
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.tuples(st.just("en"), ENGLISH), FOREIGN), CUTS)
def test_however_a_text_is_cut_it_is_read_as_the_whole(written: tuple[str, str], cuts: list[int]) -> None:
    language, text = written
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    limits = ClauseLimits(60, 30)
    pieces = (text[a:b] for a, b in pairwise(places))
    assert streamed(pieces, language, limits) == whole(text, language, limits)


def test_halves_of_a_character_and_of_a_line_end_come_together() -> None:
    halves = ["Fine \ud83d", "\ude00. One\r", "\n\r", "\nTwo."]
    assert streamed(halves) == whole("Fine 😀. One\r\n\r\nTwo.")


@pytest.mark.parametrize(
    ("begun", "more", "clause"),
    [
        ("Hello there. Nice t", "", "Hello there."),
        ("Hello there! N", "", "Hello there!"),
        ("Hello there.", " Nice to", "Hello there."),
        ("Dr. Smith", " left. He was", "Doctor Smith left."),
        ("It is 3.", "5 km. Go now", "It is three point five kilometers."),
        ("It costs $43,", "000 now. Go there", "It costs forty-three thousand dollars now."),
        ("One. [Link", "](http://a.b). Two th", "One."),
        ("A title\n", "And te", "A title"),
        ("今天天气很好。", "我", "今天天气很好。"),
        (ANSWERS[0][:150], "", "Once upon a time,"),
    ],
)
def test_a_clause_goes_out_when_it_is_sure_and_no_sooner(begun: str, more: str, clause: str) -> None:
    begun_stream = stream("zh" if clause[0] == "今" else "en")
    given = begun_stream.push(begun)
    if more:
        assert given == []
        given = begun_stream.push(more)
    assert given[0].text == clause


def test_of_what_is_left_out_nothing_is_said_and_its_kinds_are_told() -> None:
    begun = stream()
    assert begun.push("<think>\nI greet. Then I stop. Or do I?\n") == []
    text = "</think>\n\nHello. [voice:nova]So:\n\n```python\na. b. c = {}\n"
    assert [clause.text for clause in begun.push(text)] == ["Hello.", "So:"]
    assert [clause.text for clause in [*begun.push("```\nThat is it."), *begun.finish()]] == ["That is it."]
    assert begun.left_out == {"thoughts", "code", "voices"}


def test_a_flush_gives_half_a_sentence_and_the_pause_comes_with_the_next() -> None:
    begun = stream()
    assert begun.push("I think. That it is") == [Clause("I think.", SENTENCE_PAUSE_S, "en", "I think.")]
    assert begun.flush() == [Clause("That it is", 0.0, "en", "That it is")]
    assert begun.push(" late. ") == []
    assert begun.flush() == [Clause("late.", 0.0, "en", "late.")]
    assert begun.flush() == []
    assert begun.push("Go now! Y") == [
        Clause("", SENTENCE_PAUSE_S, "en"),
        Clause("Go now!", SENTENCE_PAUSE_S, "en", "Go now!"),
    ]
    assert begun.finish() == [Clause("Y", 0.0, "en", "Y")]


def test_a_flush_inside_thoughts_says_nothing_of_them() -> None:
    begun = stream()
    assert begun.push("<think>I should") == []
    assert begun.flush() == []
    assert [clause.text for clause in [*begun.push(" be kind.</think> Hello."), *begun.finish()]] == ["Hello."]


def test_paragraphs_are_apart() -> None:
    assert [clause.pause_s for clause in streamed(["One.\n", "\nTwo.\nThr", "ee. Four."])] == [
        PARAGRAPH_PAUSE_S,
        SENTENCE_PAUSE_S,
        SENTENCE_PAUSE_S,
        0.0,
    ]


def test_a_voice_of_many_languages_reads_each_sentence_in_its_own() -> None:
    text = (
        "He wrote 21 letters to his brother. Das ist ein ganz normaler deutscher Satz mit 21 Wörtern. "
        "У меня 21 кошка. And he never got 1 answer from there."
    )
    voice = ("en", "de", "ru")
    begun = ClauseStream("en", languages=voice)
    given = [*(clause for piece in every(text, 4) for clause in begun.push(piece)), *begun.finish()]
    assert given == list(clauses(text, "en", languages=voice))
